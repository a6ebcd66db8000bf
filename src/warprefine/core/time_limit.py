"""Stop work at its next safe point once a time limit is over.

Whoever does long work in parts looks between two of them, as trainings look for Ctrl-C between two steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from warprefine.core.errors import TimeIsUp

_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def until_deadline(deadline: float | None) -> Iterator[None]:
    """Limit the work in a block.

    Args:
        deadline: When it has to stop, on the clock `time.monotonic`; None does not limit it.
    """
    before = _DEADLINE.set(deadline)
    try:
        yield
    finally:
        _DEADLINE.reset(before)


def is_time_up() -> bool:
    """Return whether the time limit of the work in hand is over.

    Example:
        >>> with until_deadline(time.monotonic() - 1):
        ...     is_time_up()
        True
        >>> is_time_up()
        False
    """
    deadline = _DEADLINE.get()
    return deadline is not None and time.monotonic() >= deadline


def check_time() -> None:
    """Raise if the time limit is over; to be called where nothing is lost by stopping.

    Raises:
        TimeIsUp: It is.
    """
    if is_time_up():
        raise TimeIsUp("the time limit is over")
