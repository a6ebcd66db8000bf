"""Tests of core/parallel.py: results come in order, from a few threads that run a little ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from warprefine.core import parallel
from warprefine.core.parallel import Ahead, at_least_threads, map_in_order, thread_count


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
    results.close()
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


def test_more_threads_can_be_asked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner wishes count, and end; fewer than torch has are not asked for."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with at_least_threads(4):
        with at_least_threads(1):
            assert thread_count() == 2
        assert thread_count() == 4
    assert thread_count() == 2


def test_results_before_an_error_of_the_items_come_first() -> None:
    """Where items are computed too and one of them fails, nothing that came before it is lost."""

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("third")

    results = map_in_order(lambda item: item, items(), threads=2)

    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(KeyError, match="third"):
        next(results)


def test_a_result_is_handed_out_as_soon_as_it_is_there() -> None:
    """It does not wait until all threads have something to do."""
    begun: list[int] = []

    def slowly() -> Iterator[int]:
        for item in range(5):
            begun.append(item)
            yield item
            time.sleep(0.05)

    results = map_in_order(lambda item: item, slowly(), threads=4)

    assert next(results) == 0
    assert len(begun) < 5
    results.close()


def test_expected_values_are_computed_ahead_in_their_order() -> None:
    """A few are there before they are asked for, and each is computed once."""
    begun: list[int] = []
    ahead = Ahead(lambda key: (begun.append(key), 10 * key)[1], threads=2)
    ahead.expect(range(1, 9))
    deadline = time.monotonic() + 10
    while len(begun) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert sorted(begun) == [1, 2, 3, 4]
    assert [ahead.take(key) for key in range(1, 9)] == [10 * key for key in range(1, 9)]
    assert sorted(begun) == list(range(1, 9))
    ahead.close()


def test_what_was_not_expected_is_computed_when_it_is_asked_for() -> None:
    """Also after it was taken, or when others are expected by now."""
    ahead = Ahead(lambda key: 10 * key, threads=2)
    ahead.expect([1, 2])
    assert [ahead.take(1), ahead.take(1), ahead.take(7)] == [10, 10, 70]

    ahead.expect([3])

    assert [ahead.take(2), ahead.take(3)] == [20, 30]
    ahead.close()


def test_errors_of_values_that_nobody_takes_are_not_raised() -> None:
    """A damaged frame ahead of those that are needed does no harm."""
    ahead = Ahead(lambda key: 6 // key, threads=2)
    ahead.expect([1, 0, 2])

    assert [ahead.take(1), ahead.take(2)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        ahead.take(0)
    ahead.close()
