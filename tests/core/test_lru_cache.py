"""Tests of core/lru_cache.py: values are kept while they fit, those used last the longest."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

from warprefine.core.lru_cache import LRUCache


class Recorder:
    """A cache of numbers that are their own keys, and the keys of the values that were made."""

    def __init__(self, limit: int) -> None:
        self.sizes: dict[int, int] = {}
        self.made: list[int] = []
        self._cache = LRUCache[int](limit, lambda key: self.sizes.get(key, 10))

    def get(self, key: int) -> int:
        def make() -> int:
            self.made.append(key)
            return key

        return self._cache.get(key, make)


def test_a_value_is_made_once() -> None:
    """As long as all values fit, each is made the first time only."""
    recorder = Recorder(limit=30)

    assert [recorder.get(key) for key in (1, 2, 3, 1, 3, 2)] == [1, 2, 3, 1, 3, 2]
    assert recorder.made == [1, 2, 3]


def test_the_least_recently_used_is_dropped() -> None:
    """Of three values that fit, the one that was not used for longest makes room for a fourth."""
    recorder = Recorder(limit=30)
    for key in (1, 2, 3, 1, 4):
        recorder.get(key)

    assert [recorder.get(key) for key in (1, 3, 4)] == [1, 3, 4]
    assert recorder.made == [1, 2, 3, 4]
    recorder.get(2)
    assert recorder.made == [1, 2, 3, 4, 2]


def test_the_newest_is_kept_however_large() -> None:
    """A value larger than the limit drops all others and is kept until the next one is made."""
    recorder = Recorder(limit=30)
    recorder.sizes[9] = 1000
    for key in (1, 9, 9, 1, 9):
        recorder.get(key)

    assert recorder.made == [1, 9, 1, 9]


def test_values_count_one_each_by_default() -> None:
    """Without a measure of size, the limit is a number of values."""
    cache = LRUCache[str](2)

    assert [cache.get(key, lambda key=key: f"first {key}") for key in "abc"] == [
        "first a",
        "first b",
        "first c",
    ]
    assert [cache.get(key, lambda key=key: f"second {key}") for key in "cba"] == [
        "first c",
        "first b",
        "second a",
    ]


def test_threads_may_share_a_cache() -> None:
    """Values are right and the size is kept to, whoever asks; one thread makes while others read."""
    cache, reading = LRUCache[int](20), threading.Event()

    def slowly() -> int:
        assert reading.wait(timeout=60)
        return -1

    with ThreadPoolExecutor(5) as pool:
        slow = pool.submit(cache.get, "slow", slowly)
        found = list(pool.map(lambda number: cache.get(number % 37, lambda: number % 37), range(3000)))
        reading.set()

    assert slow.result() == -1
    assert found == [number % 37 for number in range(3000)]
    assert len(cache._items) == cache._size == 20


def test_a_value_that_two_threads_make_is_one() -> None:
    """Both get that of the first to end."""
    cache, together = LRUCache[object](5), threading.Barrier(2, timeout=60)

    def make() -> object:
        together.wait()
        return object()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: cache.get("key", make), range(2))

    assert one is other


def test_a_cache_can_be_sent_to_another_process() -> None:
    """Its values go along."""
    cache = LRUCache[int](5)
    cache.get("key", lambda: 7)

    assert pickle.loads(pickle.dumps(cache)).get("key", lambda: 8) == 7
