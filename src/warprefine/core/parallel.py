"""Compute in threads, as decoders and compiled loops let each other run, and keep the order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MOST_THREADS = 8
"""Each holds frames in memory, and beyond a few they wait for what only one can run at a time."""


def thread_count() -> int:
    """Return how many threads to read and count frames in: those that torch computes with, up to a few."""
    return min(torch.get_num_threads(), MOST_THREADS)


def map_in_order(
    function: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, threads: int
) -> Iterator[ResultT]:
    """Yield what a function returns for each item, in order; at most two items per thread are ahead.

    An error is raised in the place of its item. Where the results are not taken to the end, items that are
    not begun are dropped.

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
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) == 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
