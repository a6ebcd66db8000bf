"""Do the work of a job on a Ray cluster: by actors, each of which keeps networks in memory."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from warprefine.cluster.crew import Crew, Event, Task
from warprefine.core.engine import ItemT, ResultT
from warprefine.core.errors import ClusterError, WarpRefineError
from warprefine.core.threads import available_cores, use_threads

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
    is_on_this_machine = False

    def __init__(self, *, workers: int | None = None, gpus: int = 0) -> None:
        self._workers, self._gpus = workers, gpus

    @property
    def cores_here(self) -> int:
        """As many as all actors take, wherever they are, and all if the cluster is theirs."""
        cores = available_cores()
        return cores if self._workers is None else min(self._workers * torch.get_num_threads(), cores)

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
        office = _RayOffice(lambda: make.remote(copy, threads))
        yield from Crew[ItemT, ResultT](office, most).results(iter(items))

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


class _RayWorker:
    """An actor, and where the results of its tasks arrive.

    Args:
        actor: The actor, which may not have started yet.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.starting: Any = actor.start.remote()
        self.arriving: dict[Any, Task[Any]] = {}

    def give(self, task: Task[Any]) -> None:
        """Add a task to those that it has in hand."""
        arriving = self._actor.results.options(num_returns="streaming").remote(task.item)
        self.arriving[arriving] = task

    def dismiss(self) -> None:
        """End it, whatever it is doing."""
        import ray

        ray.kill(self._actor)
        self.arriving.clear()


@dataclass(frozen=True)
class _RayOffice:
    """Starts actors, and waits for them.

    Attributes:
        start: Starts an actor.
    """

    start: Callable[[], Any]

    def hire(self) -> _RayWorker:
        """Start an actor."""
        return _RayWorker(self.start())

    def release(self, worker: _RayWorker) -> None:
        """End an actor."""
        worker.dismiss()

    def wait(self, workers: Sequence[_RayWorker]) -> Iterator[Event]:
        """Wait until something becomes known of actors, and yield it."""
        import ray

        at_work = {arriving: worker for worker in workers for arriving in worker.arriving}
        starting = {worker.starting: worker for worker in workers if worker.starting is not None}
        ready, _ = ray.wait([*at_work, *starting], num_returns=1)
        for place in ready:
            if place in starting:
                yield self._started(starting[place])
            elif place in at_work[place].arriving:  # else its actor has just been found dead
                yield self._arrived(at_work[place], place)

    def _started(self, worker: _RayWorker) -> Event:
        """Return whether an actor has started, or could not."""
        import ray

        try:
            ray.get(worker.starting)
        except ray.exceptions.RayError as error:
            return Event(worker=worker, kind="died", value=_told(error))
        worker.starting = None
        return Event(worker=worker, kind="started")

    def _arrived(self, worker: _RayWorker, place: Any) -> Event:
        """Return what has arrived from an actor at a place."""
        import ray

        task = worker.arriving[place]
        try:
            result = _next_of(place)
        except StopIteration:
            del worker.arriving[place]
            return Event(worker=worker, kind="done", task=task)
        except ray.exceptions.RayError as error:
            return Event(worker=worker, kind="died", value=_told(error))
        return Event(worker=worker, kind="result", task=task, value=result)


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
