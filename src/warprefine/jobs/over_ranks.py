"""Label the videos of a run in several processes that torchrun has started; each has networks of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice

import torch

from warprefine.core.engine import Engine, ItemT, ResultT
from warprefine.core.progress import Progress, silent
from warprefine.io.run import RunFolder
from warprefine.propagation.run import Job, propagate
from warprefine.propagation.unit_work import UnitWork
from warprefine.training.engine.distributed import World


def propagate_over_ranks(
    job: Job, run: RunFolder, *, world: World, engine: Engine, progress: Progress = silent
) -> dict[str, str]:
    """Label every frame within the horizon, as `propagate` does; all ranks call it, and share the units.

    Args:
        job: What is labelled; each rank has labellers of its own, with the same weights.
        run: The run folder, the same for all.
        world: The ranks.
        engine: Where the first rank lets units be labelled; where that is not here, the others wait.
        progress: Called on the first rank as frames are finished.

    Returns:
        Video name -> what is wrong with it, on all ranks.

    Raises:
        TimeIsUp: The time limit is over on some rank; frames that are recorded by then stay.
    """
    shared = engine.is_here and world.size > 1
    if shared and not world.is_first:
        _help(UnitWork(dataset=job.dataset, labellers=job.labellers, run=run), world)
    with_all = RankEngine(world) if shared else engine

    def labelled() -> dict[str, str]:
        return propagate(job, run, engine=with_all, progress=progress)

    if not shared:
        return world.of_first(labelled)
    failures = labelled() if world.is_first else {}
    return world.of_first(lambda: failures)


class RankEngine:
    """An `Engine` of the first rank: the items of a piece of work go to all ranks, one to each at a time.

    The others work on theirs in `_help`, with work of their own: no networks are sent.

    Args:
        world: The ranks.
    """

    is_here = False
    is_on_this_machine = False

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def cores_here(self) -> int:
        """Those of this rank alone: others may be on other machines."""
        return torch.get_num_threads()

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results as they come, and with None once it is done.

        Raises:
            TimeIsUp: The time limit is over on some rank.
        """
        world, left = self._world, iter(items)
        while wave := world.of_first(lambda: list(islice(left, world.size))):
            # Whatever is yielded, the caller may close this generator: the others are told by `parting`.
            with world.parting():
                for result in work(wave[0]):
                    yield wave[0], result
                yield wave[0], None
            found: list[list[ResultT]] = world.gathered([])
            with world.parting():
                for item, results in zip(wave[1:], found[1:], strict=False):
                    for result in results:
                        yield item, result
                    yield item, None


def _help(work: Callable[[ItemT], Iterator[ResultT]], world: World) -> None:
    """Work on this rank's share of what the first rank hands out, until there is nothing left.

    Raises:
        TimeIsUp: The time limit is over on some rank.
    """
    nothing: list[ItemT] = []
    while wave := world.of_first(lambda: nothing):
        results: list[ResultT] = []
        with world.parting():
            if world.rank < len(wave):
                results.extend(work(wave[world.rank]))
        world.gathered(results)
        with world.parting():
            pass  # the first records them
