"""Where the work of a job is done: here, one item after the other, or by workers on other machines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

import torch

from warprefine.core.parallel import at_least_threads

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


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
