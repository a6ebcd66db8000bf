"""Tests of cluster/crew.py: who gets which task, and what becomes of those of the dead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from warprefine.cluster.crew import Crew, Event, Task
from warprefine.core.errors import ClusterError


class Hand:
    """A worker that does what the test says."""

    def __init__(self, number: int) -> None:
        self.number, self.is_dismissed, self.is_released = number, False, False
        self.tasks: list[Task[Any]] = []

    def give(self, task: Task[Any]) -> None:
        """Add a task to those that it has in hand."""
        self.tasks.append(task)

    def dismiss(self) -> None:
        """End it."""
        self.is_dismissed = True


class Script:
    """An office whose workers do one thing after the other, as a test has written it down."""

    def __init__(self, *steps: tuple[int, str]) -> None:
        self.steps, self.hired = [*steps], list[Hand]()
        self.in_hand: list[list[str]] = []

    def hire(self) -> Hand:
        """Start a worker."""
        self.hired.append(Hand(len(self.hired)))
        return self.hired[-1]

    def release(self, worker: Hand) -> None:
        """Take a worker back."""
        worker.is_released = True

    def wait(self, workers: Sequence[Any]) -> Iterator[Event]:
        """Yield the next step, and note what each worker has in hand before it."""
        self.in_hand.append(["".join(task.item for task in hand.tasks) for hand in self.hired])
        number, kind = self.steps.pop(0)
        hand = self.hired[number]
        if kind == "done":
            yield Event(worker=hand, kind="done", task=hand.tasks.pop(0))
        elif kind == "died":
            hand.tasks.clear()
            yield Event(worker=hand, kind="died", value="no memory")
        else:
            yield Event(worker=hand, kind="started")


def test_nobody_has_two_tasks_while_another_has_none() -> None:
    """The first that starts leaves one for the one that is still starting, and in the end none takes two."""
    office = Script((0, "started"), (1, "started"), (0, "done"), (1, "done"), (0, "done"))

    found = [*Crew[str, None](office, 2).results(iter("abc"))]

    assert found == [("a", None), ("b", None), ("c", None)]
    assert office.in_hand == [["", ""], ["a", ""], ["a", "b"], ["c", "b"], ["c", ""]]
    assert [(hand.is_released, hand.is_dismissed) for hand in office.hired] == [(True, False)] * 2


def test_work_that_ends_early_dismisses_its_workers() -> None:
    """Whoever leaves has no use for what they have in hand, and none of them is taken back."""
    office = Script((0, "started"), (1, "started"), (0, "done"))

    results = Crew[str, None](office, 2).results(iter("abcdef"))
    next(results)
    results.close()

    assert [(hand.is_released, hand.is_dismissed) for hand in office.hired] == [(False, True)] * 2


def test_nobody_waits_for_the_next_task_while_there_are_many() -> None:
    """Each has a second one, as long as one more for each is waiting."""
    office = Script((0, "started"), (1, "started"), *((number % 2, "done") for number in range(8)))

    found = [*Crew[str, None](office, 2).results(iter("abcdefgh"))]

    assert sorted(item for item, _ in found) == [*"abcdefgh"]
    assert office.in_hand[2] == ["ab", "cd"]


def test_tasks_of_the_dead_come_first() -> None:
    """What a worker had in hand is begun again, in order, before all that was waiting."""
    office = Script((0, "started"), (0, "died"), (1, "started"), *4 * ((1, "done"),))

    found = [*Crew[str, None](office, 1).results(iter("abcd"))]

    assert "".join(item for item, _ in found) == "abcd"
    assert office.in_hand[1] == ["ab"]


def test_only_the_task_that_was_worked_on_is_to_blame() -> None:
    """The fourth death at a task ends the job, whatever else the dead had in hand."""
    steps = [step for number in range(4) for step in ((number, "started"), (number, "died"))]
    office = Script(*steps)

    with pytest.raises(ClusterError, match=r"4 workers have died at the same part of the work.*no memory"):
        [*Crew[str, None](office, 1).results(iter("abcd"))]


def test_workers_that_cannot_start_end_the_job() -> None:
    """They are tried four times."""
    office = Script(*((number, "died") for number in range(4)))

    with pytest.raises(ClusterError, match=r"4 workers could not start, the last one with: no memory"):
        [*Crew[str, None](office, 1).results(iter("a"))]


def test_without_items_there_are_no_workers() -> None:
    """Nothing is started for nothing."""
    office = Script()

    assert [*Crew[str, None](office, 2).results(iter(""))] == []
    assert office.hired == []
