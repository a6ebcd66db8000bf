"""Prepare the batches of a training ahead of its steps, in threads, and in order.

Decoders, OpenCV, numpy and torch let other threads run while they compute. A batch is a pure function of its
number, so that a training takes the same batches however many threads prepare them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numba
import torch
from numba import threading_layer  # type: ignore[attr-defined]
from torch import Tensor

from warprefine.core.parallel import MOST_THREADS
from warprefine.core.threads import available_cores

BatchT = TypeVar("BatchT")


def loaded(
    batch_at: Callable[[int], BatchT], numbers: range, *, threads: int, pin: bool = False
) -> Generator[BatchT, None, None]:
    """Yield the batches of `numbers`, in order; one more than there are threads is prepared ahead, or begun.

    An error is raised in the place of its batch. Where batches are not taken to the end, close the generator:
    those that are not begun are dropped.

    Args:
        batch_at: Returns the batch of a number. Several threads call it.
        numbers: The numbers.
        threads: How many threads prepare batches.
        pin: Put batches into pinned memory, from which they are copied to a GPU while it computes.

    Example:
        >>> list(loaded(lambda number: 10 * number, range(3), threads=2))
        [0, 10, 20]
    """

    def prepared(number: int) -> BatchT:
        batch = batch_at(number)
        return pinned(batch) if pin else batch

    upcoming: Iterator[int] = iter(numbers)
    ahead: deque[Future[BatchT]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
        try:
            for number in upcoming:
                ahead.append(pool.submit(prepared, number))
                if len(ahead) > threads + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def loader_threads(device: torch.device) -> int:
    """Return how many threads prepare batches, for a network on a device.

    Beside a GPU, they are the cores that this process has to itself; on the CPU, those that torch does not
    compute with; in both cases, one at least and a few at most.
    """
    numba.get_num_threads()  # starts its threads, after which it tells which library runs them
    if threading_layer() == "workqueue":
        return 1  # it ends the process when two threads start a compiled loop
    cores = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    free = cores if device.type == "cuda" else cores - torch.get_num_threads()
    return min(max(free, 1), MOST_THREADS)


def pinned(batch: Any) -> Any:
    """Return a batch whose tensors lie in pinned memory; dataclasses, tuples and lists may hold them."""
    if isinstance(batch, Tensor):
        return batch.pin_memory() if batch.device.type == "cpu" else batch
    if isinstance(batch, (tuple, list)):
        return type(batch)(map(pinned, batch))
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{one.name: pinned(getattr(batch, one.name)) for one in fields(batch)})
    return batch
