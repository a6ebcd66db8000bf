"""Tests of core/parallel.py: results come in order, from a few threads that run a little ahead."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from warprefine.core import parallel
from warprefine.core.parallel import map_in_order, thread_count


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    """Also where the first items take longest."""

    def slow_first(item: int) -> int:
        time.sleep(0.01 if item < 2 else 0)
        return item * item

    assert list(map_in_order(slow_first, range(12), threads=count)) == [k * k for k in range(12)]


def test_items_are_worked_on_at_the_same_time() -> None:
    """Two that wait for each other both end."""
    both = threading.Barrier(2, timeout=10)

    assert len(list(map_in_order(lambda _: both.wait(), range(4), threads=2))) == 4


def test_nobody_runs_far_ahead() -> None:
    """Of a long video a few frames are in memory, however slowly they are taken."""
    begun: list[int] = []

    def note(item: int) -> int:
        begun.append(item)
        return item

    results = map_in_order(note, range(100), threads=2)
    next(results)
    time.sleep(0.05)

    assert len(begun) <= 5
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= 5, "what was not begun is dropped"


@pytest.mark.parametrize("count", [1, 3])
def test_an_error_comes_in_the_place_of_its_item(count: int) -> None:
    """What was computed before it is handed out first."""
    results = map_in_order(lambda item: 6 // item, [3, 2, 0, 1], threads=count)

    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_there_are_as_many_threads_as_torch_has_up_to_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--threads` decides, and memory."""
    for asked, expected in ((1, 1), (3, 3), (200, parallel.MOST_THREADS)):
        monkeypatch.setattr(torch, "get_num_threads", lambda asked=asked: asked)
        assert thread_count() == expected
