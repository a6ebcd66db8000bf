"""Let long work say how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Whoever wants to show the progress of long work."""

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Hear that `done` of `total` parts of `task` are finished; `note` may be a loss or a name."""
        ...


def silent(task: str, done: int, total: int, note: str = "") -> None:
    """Show nothing."""
