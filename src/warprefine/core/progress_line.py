"""Show progress as one line that is written over, where somebody looks: on a terminal or in a notebook."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from warprefine.core.names import printable
from warprefine.core.progress import Progress, ProgressLines, silent

_INTERVAL = 0.5
"""Seconds between two changes of the line."""


@runtime_checkable
class Writable(Protocol):
    """What a line is written to."""

    def write(self, text: str, /) -> object:
        """Write a text."""
        ...

    def flush(self) -> object:
        """Show what was written."""
        ...


class ProgressLine:
    r"""Progress as one line, with the time that is left, which each report writes over.

    Args:
        file: A terminal, or the standard error of a notebook.

    Example:
        >>> import io
        >>> file = io.StringIO()
        >>> line = ProgressLine(file)
        >>> line("propagating", 1, 4, "drive")
        >>> line.end()
        >>> file.getvalue().replace("\r", "|")
        '|propagating: 1 of 4 drive|                         |'
    """

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._lines = ProgressLines(self._write, interval=_INTERVAL)
        self._shown = 0

    def forecast(self, text: str) -> None:
        """Show how long the job still takes, instead of the task in hand alone."""
        self._lines.forecast(text)

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Write over the line, unless that was done just now."""
        self._lines(task, done, total, note)

    def end(self) -> None:
        """Remove the line."""
        self._put("\r" + " " * self._shown + "\r")
        self._shown = 0

    def _write(self, line: str) -> None:
        text = printable(line)[: shutil.get_terminal_size().columns - 1]
        self._put("\r" + text.ljust(self._shown))
        self._shown = len(text)

    def _put(self, text: str) -> None:
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        self._file.write(text.encode(encoding, "replace").decode(encoding))
        self._file.flush()


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Return progress that is shown on standard error if that is a terminal or a notebook, else silent."""
    if not _is_watched():
        yield silent
        return
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.end()


def _is_watched() -> bool:
    """Return whether somebody sees standard error as it is written."""
    if sys.stderr is None:  # programs without a console have none
        return False
    interactive = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return sys.stderr.isatty() or getattr(interactive, "kernel", None) is not None
