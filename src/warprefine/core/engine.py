"""Where the work of a job is done: here, one item after the other, or by workers on other machines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch

from warprefine.core.parallel import at_least_threads, map_in_order

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
WORTH_WORKERS = 2000
"""Frames to look at from which workers are started for it: each takes seconds to start."""


@runtime_checkable
class Engine(Protocol):
    """Does work on items, such as the units of a run, whose results do not depend on each other.

    Example:
        >>> for name, letter in HERE.stream(iter, ["ab", "c"]):
        ...     print(name, letter)
        ab a
        ab b
        ab None
        c c
        c None
    """

    @property
    def is_here(self) -> bool:
        """Whether this process does all work itself, one item after the other."""
        ...

    @property
    def is_on_this_machine(self) -> bool:
        """Whether all work is done on this machine, with the files in the user's cache."""
        ...

    @property
    def cores_here(self) -> int:
        """How many cores of this machine the work may take: this process has them while no worker works."""
        ...

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results as they come, and with None once it is done.

        Items come in any order, and no more are taken from `items` than there is somebody to work on soon. An
        item may be begun again, so that some of its results come twice; they are the same then. Whoever
        closes the generator ends the work.

        Args:
            work: Yields the results of an item. Other machines get a copy of it.
            items: What is worked on.
        """
        ...


class Here:
    """The engine that does all work in this process."""

    is_here = True
    is_on_this_machine = True

    @property
    def cores_here(self) -> int:
        """As many as torch has threads."""
        return torch.get_num_threads()

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results, and with None once it is done, in order."""
        for item in items:
            for result in work(item):
                yield item, result
            yield item, None


HERE: Engine = Here()
"""The default: all work is done in this process."""


@contextmanager
def while_workers_rest(engine: Engine) -> Iterator[None]:
    """Read and count frames in threads on the cores of workers that have nothing to do, too.

    Networks keep the number of threads that they have everywhere.
    """
    with at_least_threads(engine.cores_here):
        yield


def map_over(
    engine: Engine, function: Callable[[ItemT], ResultT], items: Sequence[ItemT], *, frames: int, threads: int
) -> Generator[ResultT, None, None]:
    """Yield what a function returns for each item, in order; workers compute it where there is much to do.

    Args:
        engine: Has the workers.
        function: Looks at the frames of an item. Workers get a copy of it.
        items: The items.
        frames: How many frames all items have: workers are asked from `WORTH_WORKERS` on.
        threads: Threads of this process that compute it otherwise.

    Example:
        >>> list(map_over(HERE, len, ["a", "abc"], frames=4, threads=1))
        [1, 3]
    """
    if engine.is_here or frames < WORTH_WORKERS:
        yield from map_in_order(function, items, threads=threads)
        return
    found: dict[int, ResultT] = {}
    due = 0
    with closing(engine.stream(_OfPlace(function), enumerate(items))) as results:
        for (place, _), result in results:
            if result is not None:
                (found[place],) = result
            while due in found:
                yield found.pop(due)
                due += 1


@dataclass(frozen=True)
class _OfPlace(Generic[ItemT, ResultT]):
    """Work that yields what a function returns for an item, in a tuple, as None stands for its end."""

    function: Callable[[ItemT], ResultT]

    def __call__(self, placed: tuple[int, ItemT]) -> Iterator[tuple[ResultT]]:
        yield (self.function(placed[1]),)
