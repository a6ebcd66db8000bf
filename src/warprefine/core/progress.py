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
    """Progress as lines of text: one now and then with the time that is left, and the last of each task.

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
        self._begun: tuple[str, int, float] = ("", 0, 0.0)
        self._forecast = ""

    def forecast(self, text: str) -> None:
        """Show how long the job still takes, instead of the task in hand alone."""
        self._forecast = text

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Write a line if the last one was long ago, or if the task is done."""
        now = time.monotonic()
        if task != self._begun[0] or done < self._begun[1]:
            self._begun = task, done, now
        if done == total or now - self._last_line > self._interval:
            self._last_line = now
            self._write(f"{task}: {done} of {total} {note}".rstrip() + self._left(done, total, now))

    def _left(self, done: int, total: int, now: float) -> str:
        """Return how long the rest takes, if it is as quick as what was done since the first report."""
        _, first, begin = self._begun
        if self._forecast:
            return f" · {self._forecast}"
        if done in (first, total):
            return ""
        return f", {lasting((now - begin) / (done - first) * (total - done))} left"


def lasting(seconds: float) -> str:
    """Return a duration as people say it.

    Example:
        >>> lasting(7.6), lasting(100.0), lasting(5000.0)
        ('8 s', '1:40 min', '1:23 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    small, unit = (60, "min") if whole < 3600 else (3600, "h")
    return f"{whole // small}:{whole % small * 60 // small:02d} {unit}"


def write_line(line: str) -> None:
    """Write a line to standard output, whatever it can encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(printable(line).encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


print_progress: Progress = ProgressLines(write_line, interval=10.0)
"""Prints a line of text every 10 seconds, and one at the end of each task."""
