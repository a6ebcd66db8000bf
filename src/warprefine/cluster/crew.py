"""Hand out work to workers that may die, take what they send, and begin again what was lost."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Literal, Protocol, TypeAlias, cast, runtime_checkable

from warprefine.core.engine import ItemT, ResultT
from warprefine.core.errors import ClusterError

log = logging.getLogger(__name__)
IN_HAND = 2
"""Items that a worker has: one that it works on, and the next, so that it never waits."""
MOST_DEATHS = 3
"""How often a worker may die at the same item before the job ends."""


@dataclass(eq=False)
class Task(Generic[ItemT]):
    """An item, and how often a worker has died at it."""

    item: ItemT
    deaths: int = 0


@runtime_checkable
class Worker(Protocol):
    """A worker, which works on its tasks in the order in which it gets them."""

    def give(self, task: Task[Any]) -> None:
        """Add a task to those that it has in hand."""
        ...

    def dismiss(self) -> None:
        """End it, whatever it is doing."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """What became known of a worker.

    Attributes:
        worker: The worker.
        kind: It has started; it has a result of a task; a task is done; it has died.
        task: The task.
        value: The result, or one line on why it has died.
    """

    worker: Worker
    kind: Literal["started", "result", "done", "died"]
    task: Task[Any] | None = None
    value: Any = None


@runtime_checkable
class Office(Protocol):
    """Starts workers, and waits for them."""

    def hire(self) -> Worker:
        """Start a worker."""
        ...

    def release(self, worker: Any) -> None:
        """Take back a worker that has no task in hand: end it, or keep it for other work."""
        ...

    def wait(self, workers: Sequence[Any]) -> Iterator[Event]:
        """Wait until something becomes known of workers, and yield it, in the order of each worker.

        Raises:
            WarpRefineError: The work raised it.
        """
        ...


_Tasks: TypeAlias = list[Task[ItemT]]


@dataclass(eq=False)
class _Member(Generic[ItemT]):
    """A worker, and the tasks that it has in hand, in order.

    Until it has started it has none: there may never be room for it.
    """

    worker: Worker
    has_started: bool = False
    in_hand: _Tasks[ItemT] = field(default_factory=list)


class Crew(Generic[ItemT, ResultT]):
    """The workers of a piece of work; there are none before there are items.

    Args:
        office: Starts them.
        most: How many there are at most.
    """

    def __init__(self, office: Office, most: int) -> None:
        self._office, self._most = office, most
        self._members: dict[Worker, _Member[ItemT]] = {}
        self._waiting: deque[Task[ItemT]] = deque()
        self._failed_starts = 0

    def results(self, items: Iterator[ItemT]) -> Generator[tuple[ItemT, ResultT | None], None, None]:
        """Yield the results of all items, and None after those of each; release the workers then.

        All are dismissed if it ends early.

        Raises:
            ClusterError: Workers cannot start, or died at an item more than `MOST_DEATHS` times.
            WarpRefineError: The work raised it.
        """
        try:
            while True:
                self._hand_out(items)
                if not self._waiting and not any(one.in_hand for one in self._members.values()):
                    break
                for event in self._office.wait([*self._members]):
                    yield from self._take(event)
            for worker in [*self._members]:
                del self._members[worker]
                self._office.release(worker)
        finally:
            for worker in self._members:
                worker.dismiss()
            self._members.clear()

    def _take(self, event: Event) -> Iterator[tuple[ItemT, ResultT | None]]:
        """Yield what an event says of an item, if anything."""
        member, task = self._members[event.worker], event.task
        if event.kind == "started":
            member.has_started = True
        elif event.kind == "died":
            self._bury(member, event.value)
        elif task is not None:
            if event.kind == "done":
                member.in_hand.remove(task)
            yield task.item, cast("ResultT | None", event.value)

    def _hand_out(self, items: Iterator[ItemT]) -> None:
        """Give each worker a task, then a second one; start workers that are missing if tasks are left.

        There are second tasks only while each worker could get one: none is idle in the end while another
        has two.
        """
        there = [member for member in self._members.values() if member.has_started]
        for load in range(IN_HAND):
            for member in there:
                beside = load * len(self._members)
                if len(member.in_hand) <= load and self._has_waiting(items, beside=beside):
                    task = self._waiting.popleft()
                    member.in_hand.append(task)
                    member.worker.give(task)
        while len(self._members) < self._most and self._has_waiting(items, beside=self._starting):
            worker = self._office.hire()
            self._members[worker] = _Member(worker)

    @property
    def _starting(self) -> int:
        return sum(not member.has_started for member in self._members.values())

    def _has_waiting(self, items: Iterator[ItemT], *, beside: int = 0) -> bool:
        """Return whether a task is waiting beside so many others; take items if need be."""
        lacking = beside + 1 - len(self._waiting)
        self._waiting.extend(Task(item) for item in islice(items, max(lacking, 0)))
        return len(self._waiting) > beside

    def _bury(self, member: _Member[ItemT], reason: str) -> None:
        """Put back what a dead worker had in hand; the first task is the one that it was working on.

        Raises:
            ClusterError: Workers cannot start, or died at this task too often.
        """
        del self._members[member.worker]
        member.worker.dismiss()
        if not member.has_started:
            self._failed_starts += 1
            if self._failed_starts > MOST_DEATHS:
                raise ClusterError(
                    f"{self._failed_starts} workers could not start, the last one with: {reason}; see that "
                    "all machines have the same installation as this one"
                )
        if not member.in_hand:
            return
        first = member.in_hand[0]
        first.deaths += 1
        if first.deaths > MOST_DEATHS:
            raise ClusterError(
                f"{first.deaths} workers have died at the same part of the work, the last one with: "
                f"{reason}; see to their memory, then run the same command again, it goes on from there"
            )
        log.warning("a worker has died, what it had in hand is begun again: %s", reason)
        self._waiting.extendleft(reversed(member.in_hand))
