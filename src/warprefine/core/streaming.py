"""Turn work that calls back while it runs into an iterator of what it calls back with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar, cast

import torch

from warprefine.core.threads import use_threads

T = TypeVar("T")
_END = object()


def streamed(work: Callable[[Callable[[T], None]], object]) -> Iterator[T]:
    """Yield what work calls its argument with, while it runs in a thread of its own; raise what it raises.

    The thread computes with as many threads as the caller: a new one would have torch's usual number.

    Example:
        >>> def work(tell):
        ...     tell("first")
        ...     tell("second")
        >>> list(streamed(work))
        ['first', 'second']
    """
    arriving: SimpleQueue[object] = SimpleQueue()
    threads = torch.get_num_threads()

    def run() -> None:
        use_threads(threads)
        work(arriving.put)

    with ThreadPoolExecutor(max_workers=1) as pool:
        ended = pool.submit(run)
        ended.add_done_callback(lambda _: arriving.put(_END))
        yield from cast("Iterator[T]", iter(arriving.get, _END))
        ended.result()
