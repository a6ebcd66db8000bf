"""Do the work of a job on a Ray cluster: by actors, each of which keeps networks in memory."""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, cast

import torch

from warprefine.core.engine import ItemT, ResultT
from warprefine.core.errors import ClusterError, WarpRefineError
from warprefine.core.threads import available_cores, use_threads

log = logging.getLogger(__name__)
IN_HAND = 2
"""Items that an actor has: one that it works on, and the next, so that it never waits."""
MOST_DEATHS = 3
"""How often an actor may die at the same item before the job ends."""
_LONGEST_REASON = 200
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
LOCAL = "local"
"""The address that stands for a new cluster of this machine alone."""


@contextmanager
def ray_engine(
    *, address: str | None = None, workers: int | None = None, gpus: int = 0
) -> Iterator[RayEngine]:
    """Connect to a Ray cluster, and disconnect at the end; a cluster that is connected already is used.

    Args:
        address: HOST:PORT, "auto" for the cluster that this machine belongs to, or "local" for a new one of
            this machine alone; None takes the variable RAY_ADDRESS, else "local".
        workers: How many actors there are; None is as many as the cluster has room for.
        gpus: GPUs of each actor.

    Raises:
        ClusterError: There is no cluster at the address.

    Example:
        >>> with ray_engine(address="auto") as engine:  # doctest: +SKIP
        ...     autolabel("DATA", "RUN", engine=engine)
    """
    import ray

    if ray.is_initialized():
        yield RayEngine(workers=workers, gpus=gpus)
        return
    place = address or os.environ.get("RAY_ADDRESS") or LOCAL
    settings: dict[str, Any] = {}
    if place == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        cores = max(available_cores(), (workers or 1) * torch.get_num_threads())
        settings = {"num_cpus": cores, "include_dashboard": False}
    try:
        ray.init(address=place, log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"cannot connect to a Ray cluster at {place}: {_told(error)}; start one "
            "with `ray start --head`, or use --address local"
        ) from error
    try:
        yield RayEngine(workers=workers, gpus=gpus)
    finally:
        ray.shutdown()


class RayEngine:
    """An `Engine` whose work is done by the actors of the Ray cluster that this process is connected to.

    Each actor computes with as many threads as torch has here, so that results equal those of a run on one
    such machine, byte for byte. An actor that dies is replaced, and what it had in hand begun again.

    Args:
        workers: How many actors there are; None is as many as the cluster has room for.
        gpus: GPUs of each actor.
    """

    is_here = False

    def __init__(self, *, workers: int | None = None, gpus: int = 0) -> None:
        self._workers, self._gpus = workers, gpus

    def stream(
        self, work: Callable[[ItemT], Iterator[ResultT]], items: Iterable[ItemT]
    ) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield each item with each of its results as they come, and with None once it is done.

        Actors are started when there are items for them.

        Raises:
            ClusterError: No machine of the cluster is large enough for an actor, or actors died at an item
                more than `MOST_DEATHS` times.
            WarpRefineError: The work raised it.
        """
        import ray

        threads = torch.get_num_threads()
        most = self._workers or self._room(threads)
        make = ray.remote(_Actor).options(num_cpus=threads, num_gpus=self._gpus)
        copy = ray.put(work)
        crew = _Crew[ItemT, ResultT](lambda: make.remote(copy, threads), most)
        try:
            yield from crew.results(iter(items))
        finally:
            crew.dismiss()

    def _room(self, threads: int) -> int:
        """Return how many actors the machines of the cluster have room for."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(
            int(
                min(
                    node.get("CPU", 0) // threads,
                    node.get("GPU", 0) // self._gpus if self._gpus else torch.inf,
                )
            )
            for node in nodes
        )
        if not room:
            gpus = f" and {self._gpus} GPU" if self._gpus else ""
            raise ClusterError(
                f"no machine of the Ray cluster has the {threads} CPUs{gpus} of a worker; choose fewer "
                "--threads, or say with --workers how many there will be once machines have joined"
            )
        return room


class _Actor:
    """Works on items in a process of the cluster.

    Args:
        work: Yields the results of an item.
        threads: How many threads to compute with.
    """

    def __init__(self, work: Callable[[Any], Iterator[Any]], threads: int) -> None:
        use_threads(threads)
        self._work = work

    def start(self) -> None:
        """Return once the actor is there."""

    def results(self, item: Any) -> Iterator[Any]:
        """Yield the results of an item."""
        for result in self._work(item):  # noqa: UP028 - Ray sends values, which not all iterators take
            yield result


@dataclass(eq=False)
class _Task(Generic[ItemT]):
    """An item, and how often an actor has died at it."""

    item: ItemT
    deaths: int = 0


@dataclass(eq=False)
class _Member(Generic[ItemT]):
    """An actor, and the tasks that it has in hand, in order, by where their results arrive.

    Until it has started it has none: there may never be room for it.
    """

    actor: Any
    starting: Any
    in_hand: dict[Any, _Task[ItemT]] = field(default_factory=dict)


class _Crew(Generic[ItemT, ResultT]):
    """The actors of a piece of work.

    Args:
        hire: Starts an actor.
        most: How many there are at most.
    """

    def __init__(self, hire: Callable[[], Any], most: int) -> None:
        self._hire, self._most = hire, most
        self._members: list[_Member[ItemT]] = []
        self._waiting: deque[_Task[ItemT]] = deque()
        self._failed_starts = 0

    def results(self, items: Iterator[ItemT]) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield the results of all items, and None after those of each."""
        import ray

        while True:
            self._hand_out(items)
            at_work = {arriving: one for one in self._members for arriving in one.in_hand}
            starting = {one.starting: one for one in self._members if one.starting is not None}
            if not at_work and not self._waiting:
                return
            ready, _ = ray.wait([*at_work, *starting], num_returns=1)
            for arriving in ready:
                if arriving in starting:
                    self._welcome(starting[arriving])
                    continue
                member = at_work[arriving]
                task = member.in_hand.get(arriving)
                if task is None:  # its actor has just been found dead
                    continue
                try:
                    result = _next_of(arriving)
                except StopIteration:
                    del member.in_hand[arriving]
                    yield task.item, None
                except ray.exceptions.RayError as error:
                    self._replace(member, error)
                else:
                    yield task.item, cast(ResultT, result)

    def dismiss(self) -> None:
        """End all actors, whatever they are doing."""
        import ray

        for member in self._members:
            ray.kill(member.actor)
        self._members.clear()

    def _hand_out(self, items: Iterator[ItemT]) -> None:
        """Give each actor a task, then a second one; start actors that are missing while there are tasks."""
        there = [member for member in self._members if member.starting is None]
        for load in range(IN_HAND):
            for member in there:
                if len(member.in_hand) <= load:
                    if not self._has_waiting(items):
                        return
                    task = self._waiting.popleft()
                    arriving = member.actor.results.options(num_returns="streaming").remote(task.item)
                    member.in_hand[arriving] = task
        while len(self._members) < self._most and self._has_waiting(items, beside=self._starting):
            actor = self._hire()
            self._members.append(_Member(actor, starting=actor.start.remote()))

    @property
    def _starting(self) -> int:
        return sum(member.starting is not None for member in self._members)

    def _has_waiting(self, items: Iterator[ItemT], *, beside: int = 0) -> bool:
        """Return whether a task is waiting beside so many others; take an item if need be."""
        if len(self._waiting) <= beside:
            self._waiting.extend(_Task(item) for item in islice(items, 1))
        return len(self._waiting) > beside

    def _welcome(self, member: _Member[ItemT]) -> None:
        """Note that an actor has started, or dismiss it if it could not.

        Raises:
            ClusterError: Actors cannot start.
        """
        import ray

        try:
            ray.get(member.starting)
            member.starting = None
        except ray.exceptions.RayError as error:
            self._dismiss(member)
            self._failed_starts += 1
            if self._failed_starts > MOST_DEATHS:
                raise ClusterError(
                    f"{self._failed_starts} workers could not start, the last one with: {_told(error)}; see "
                    "that all machines have the same installation as this one"
                ) from error

    def _dismiss(self, member: _Member[ItemT]) -> None:
        import ray

        self._members.remove(member)
        ray.kill(member.actor)

    def _replace(self, member: _Member[ItemT], error: Exception) -> None:
        """Put back what a dead actor had in hand; the first task is the one that it was working on.

        Raises:
            ClusterError: Actors died at this task too often.
        """
        tasks = [*member.in_hand.values()]
        member.in_hand.clear()
        self._dismiss(member)
        tasks[0].deaths += 1
        if tasks[0].deaths > MOST_DEATHS:
            raise ClusterError(
                f"{tasks[0].deaths} workers have died at the same part of the work, the last one with: "
                f"{_told(error)}; see to their memory, then run the same command again, it goes on from there"
            )
        log.warning("a worker has died, what it had in hand is begun again: %s", _told(error))
        self._waiting.extendleft(reversed(tasks))


def _told(error: Exception) -> str:
    """Return the first and the last line of what Ray reports, in one line, without colours."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    ends = lines if len(lines) < 2 else [lines[0], lines[-1]]
    return " ... ".join(line[:_LONGEST_REASON] for line in ends)


def _next_of(arriving: Any) -> Any:
    """Return the next result that arrives from an actor.

    Raises:
        StopIteration: There is none.
        WarpRefineError: The work raised it.
    """
    import ray

    try:
        return ray.get(next(arriving))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WarpRefineError):
            raise error.cause from None
        raise RuntimeError(f"a worker has failed:\n{error}") from error
