"""Report the progress of long work through a callback."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from warprefine.core.names import printable


@runtime_checkable
class Progress(Protocol):
    """A callback for the progress of long work."""

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` parts of `task` are finished; `note` may be a loss or a name."""
        ...


def silent(task: str, done: int, total: int, note: str = "") -> None:
    """Ignore all reports; the default where a `Progress` is expected."""


class ProgressLines:
    """Progress as lines of text: one now and then, and the last of each task.

    Args:
        write: Called with each line.
        interval: Seconds between two lines of a task.

    Example:
        >>> lines = ProgressLines(print)
        >>> for done in range(1, 5):
        ...     lines("propagating", done, 4, "drive")
        propagating: 1 of 4 drive
        propagating: 4 of 4 drive
    """

    def __init__(self, write: Callable[[str], object], *, interval: float = 20.0) -> None:
        self._write, self._interval = write, interval
        self._last_line = -interval

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Write a line if the last one was long ago, or if the task is done."""
        if done == total or time.monotonic() - self._last_line > self._interval:
            self._last_line = time.monotonic()
            self._write(f"{task}: {done} of {total} {note}".rstrip())


def write_line(line: str) -> None:
    """Write a line to standard output, whatever it can encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(printable(line).encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


print_progress: Progress = ProgressLines(write_line, interval=10.0)
"""Prints a line of text every 10 seconds, and one at the end of each task."""
