"""Look parts up by name, suggest the nearest name for one that does not exist, and print names safely."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from warprefine.core.errors import RecipeError

T = TypeVar("T")
# Control characters but tab and line break, line separators, marks that reverse the order of letters, and
# surrogates, which stand for the bytes of file names that are not UTF-8.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What formulas begin with in spreadsheets."""


def look_up(table: Mapping[str, T], name: str, *, what: str) -> T:
    """Return the entry called `name`.

    Raises:
        RecipeError: There is none; the message names the nearest real one.

    Example:
        >>> look_up({"compact": 1, "lite0": 2}, "lite0", what="segmenter")
        2
    """
    if name not in table:
        raise RecipeError(f"no {what} is called {name!r}; {nearest_name(name, table)}")
    return table[name]


def nearest_name(wrong: str, names: Iterable[str]) -> str:
    """Return a hint with the real name nearest to `wrong`, and all of them if there are at most eight.

    Example:
        >>> print(nearest_name("compakt", ["compact", "lite0"]))
        did you mean 'compact'? (there are compact, lite0)
    """
    choices = list(names)
    close = difflib.get_close_matches(wrong, choices, n=1, cutoff=0.0)
    listed = f" (there are {', '.join(choices)})" if 1 < len(choices) <= 8 else ""
    return f"did you mean {close[0]!r}?{listed}" if close else "there are none"


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun in the singular or plural, which ends in "s" unless `nouns` is given.

    Example:
        >>> counted(1, "video"), counted(0, "video"), counted(2, "picture has", "pictures have")
        ('1 video', '0 videos', '2 pictures have')
    """
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"


def printable(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey: control characters become escapes.

    Tabs and line breaks stay. Bytes of file names that are not UTF-8 are shown as bytes.

    Example:
        >>> print(printable("clip\x1b[31m"))
        clip\x1b[31m
        >>> print(printable("clip\udcff"))
        clip\xff
    """
    return _OBEYED.sub(lambda found: _escaped(ord(found[0])), text)


def inert(text: str) -> str:
    """Return a text that a spreadsheet shows and does not compute, for a cell of a CSV file.

    Example:
        >>> inert("=HYPERLINK(A1)"), inert("road")
        ("'=HYPERLINK(A1)", 'road')
    """
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _escaped(code: int) -> str:
    byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{byte:02x}" if byte < 0x100 else f"\\u{byte:04x}"
