"""Report the progress of long work through a callback."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """A callback for the progress of long work."""

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` parts of `task` are finished; `note` may be a loss or a name."""
        ...


def silent(task: str, done: int, total: int, note: str = "") -> None:
    """Ignore all reports; the default where a `Progress` is expected."""
