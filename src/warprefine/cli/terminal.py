"""The console: it shows names as they are, never obeys them, and prints in any encoding."""

from __future__ import annotations

import io
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from warprefine.core.names import printable
from warprefine.io.places import with_urls

_PLAIN = str.maketrans({"█": "#", "–": "-", "−": "-", "…": "...", "±": "+-", "×": "x", "τ": "tau"})
"""What the program itself prints, for terminals that have only ASCII."""


class SafeConsole(Console):
    """A console without markup and emoji: file names are printed as they are, but for control characters."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return a text, or a cell of a table, as the terminal can show it."""
        return super().render_str(shown(with_urls(text), self.encoding), **settings)


def shown(text: str, encoding: str) -> str:
    r"""Return a text without control characters, and with what an encoding lacks replaced.

    Example:
        >>> shown("road █ 3.0 ± 0.1 車\x1b", "latin-1")
        'road # 3.0 ± 0.1 ?\\x1b'
    """
    text = printable(text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        fitting = "".join(letter if _has(encoding, letter) else letter.translate(_PLAIN) for letter in text)
        return fitting.encode(encoding, "replace").decode(encoding)
    return text


def replace_what_cannot_be_shown() -> None:
    """Configure the standard streams to print a question mark for letters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _has(encoding: str, letter: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
