"""Tests of core/streaming.py: work that calls back, as an iterator."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from warprefine.core.streaming import streamed


def test_values_come_while_the_work_goes_on() -> None:
    """The first can be taken before the work has ended."""
    may_end = threading.Event()

    def work(tell: Callable[[int], None]) -> None:
        tell(1)
        assert may_end.wait(timeout=60)
        tell(2)

    values = streamed(work)
    first = next(values)
    may_end.set()

    assert [first, *values] == [1, 2]


def test_what_the_work_raises_comes_after_its_values() -> None:
    """Nothing is lost, and nothing is passed over."""

    def work(tell: Callable[[str], None]) -> None:
        tell("last")
        raise ValueError("no more")

    values = streamed(work)

    assert next(values) == "last"
    with pytest.raises(ValueError, match="no more"):
        next(values)
