"""Compute in threads, as decoders and compiled loops let each other run, and keep the order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
KeyT = TypeVar("KeyT", bound=Hashable)

MOST_THREADS = 8
"""Each holds frames in memory, and beyond a few they wait for what only one can run at a time."""
_least_threads: ContextVar[int] = ContextVar("_least_threads", default=1)


def thread_count() -> int:
    """Return how many threads to read and count frames in: those that torch computes with, up to a few.

    Within `at_least_threads` there may be more.
    """
    return min(max(torch.get_num_threads(), _least_threads.get()), MOST_THREADS)


@contextmanager
def at_least_threads(count: int) -> Iterator[None]:
    """Read and count frames in more threads than torch computes with.

    Example:
        >>> with at_least_threads(6):
        ...     thread_count() >= 6
        True
    """
    before = _least_threads.set(count)
    try:
        yield
    finally:
        _least_threads.reset(before)


def map_in_order(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, threads: int
) -> Generator[ResultT, None, None]:
    """Yield what a function returns for each item, in order; at most two items per thread are ahead.

    An error, of the function or of the items, is raised in the place of its item. Where the results are not
    taken to the end, items that are not begun are dropped.

    Example:
        >>> list(map_in_order(len, ["a", "abc", "ab"], threads=2))
        [1, 3, 2]
    """
    if threads == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="frames")
    ahead: deque[Future[ResultT]] = deque()
    try:
        for begun in _begun(pool, function, items):
            ahead.append(begun)
            while ahead and (ahead[0].done() or len(ahead) == 2 * threads):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(
    pool: ThreadPoolExecutor, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
) -> Iterator[Future[ResultT]]:
    """Yield the result of each item to come, and last the error that the items end with, if they do."""
    try:
        for item in items:
            yield pool.submit(function, item)
    except Exception as error:  # noqa: BLE001  (raised where the result is taken, after those before it)
        failed: Future[ResultT] = Future()
        failed.set_exception(error)
        yield failed


class Ahead(Generic[KeyT, ResultT]):
    """Computes values in threads before they are asked for.

    Args:
        function: Returns the value of a key. Several threads call it.
        threads: Their number. At most two values per thread are ahead.

    Example:
        >>> ahead = Ahead(len, threads=2)
        >>> ahead.expect(["a", "abc", "ab"])
        >>> ahead.take("a"), ahead.take("of no one"), ahead.take("ab")
        (1, 9, 2)
        >>> ahead.close()
    """

    def __init__(self, function: Callable[[KeyT], ResultT], *, threads: int) -> None:
        self._function, self._most = function, 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
        self._expected: Iterator[KeyT] = iter(())
        self._begun: dict[KeyT, Future[ResultT]] = {}

    def expect(self, keys: Iterable[KeyT]) -> None:
        """Compute the values of keys, each named once, in this order; those expected before are dropped."""
        for future in self._begun.values():
            future.cancel()
        self._begun.clear()
        self._expected = iter(keys)
        self._begin()

    def take(self, key: KeyT) -> ResultT:
        """Return the value of a key, computed here unless it was expected and has been begun.

        An error of the function is raised here; of values that nobody takes, errors are never raised.
        """
        future = self._begun.pop(key, None)
        if future is None:
            return self._function(key)
        self._begin()
        return future.result()

    def close(self) -> None:
        """Wait for what is being computed, and drop the rest."""
        self._expected = iter(())
        self._pool.shutdown(cancel_futures=True)

    def _begin(self) -> None:
        while len(self._begun) < self._most and (key := next(self._expected, None)) is not None:
            self._begun[key] = self._pool.submit(self._function, key)
