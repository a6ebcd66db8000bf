"""Forecast how long a job of several stages still takes, from what its tasks have taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from warprefine.core.progress import Progress
from warprefine.core.stages import Stage

_PRIOR = 2.0
"""Seconds of work, as expected, from which on what is measured counts more than a guess."""
_HELD_UP = 8.0
"""A unit that takes more than so many times as long as now expected was held up, and counts as so many."""
_FEW = 3
"""Measurements from which on a forecast is shown."""
_LONG = 1.0
"""Seconds of a unit from which on the first one is measured, too; it takes longer than the others."""
_FROM_CACHE, _PARTLY_FROM_CACHE = 0.02, 0.25
"""Units that take less than this share of what is expected were found on disk, and measure nothing."""

ESTIMATING = "estimating the time left"
"""Shown instead of a forecast until a few units are measured."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task that a job is going to report the progress of.

    Attributes:
        name: Its name in the reports.
        stage: The stage that it belongs to.
        kind: Tasks of a kind take the same time for a unit.
        units: How many units it has; its reports correct that.
        seconds: What a unit takes on the machine that costs were measured on, in seconds.
        setup: What it takes before the first unit, likewise.
        group: Tasks of a group may take turns; all before a task that is reported are done, but for those of
            its group.
        partly: So many of the reported units take time, the others are found in a cache.
    """

    name: str
    stage: Stage
    kind: str
    units: int
    seconds: float
    setup: float = 0.0
    group: str = ""
    partly: bool = False


class _Open:
    """A task that is not done yet."""

    def __init__(self, task: Task) -> None:
        self.task, self.is_timed = task, False
        self._done, self._total = 0, task.units

    def takes(self, stage: Stage | None, name: str, done: int) -> bool:
        """Return whether a report may be of this task: one that goes back is of the next of the name."""
        return (self.task.stage, self.task.name) == (stage, name) and done >= self._done

    def advance(self, done: int, total: int) -> float:
        """Note a report; return how many units were done since the one before."""
        before, self._done, self._total = self._done, done, max(total, 1)
        return (done - before) * self._scale

    @property
    def units_left(self) -> float:
        """How many units are to be done."""
        return (self._total - self._done) * self._scale

    @property
    def _scale(self) -> float:
        return self.task.units / self._total if self.task.partly and self._total else 1.0


class Forecast:
    """How long each stage of a job still takes.

    What a unit of a task takes is measured while it runs, and then known for all tasks of its kind; costs of
    all other kinds are expected ones, times how much slower this machine was for what is measured.

    Args:
        tasks: All tasks in order. Those that are not reported, because there is nothing to do, are passed
            over when a later one of another group is.
        clock: Returns the time in seconds.

    Example:
        >>> now = iter([0.0, 0.0, 10.0, 20.0])
        >>> steps = Task(name="training", stage="good", kind="step", units=4, seconds=1.0)
        >>> frames = Task(name="propagating", stage="good", kind="frame", units=10, seconds=2.0)
        >>> forecast = Forecast([steps, frames], clock=lambda: next(now))
        >>> for done in range(1, 4):
        ...     forecast.report("training", done, 4)
        >>> {stage: round(seconds) for stage, seconds in forecast.remaining().items()}
        {'good': 65}
    """

    def __init__(self, tasks: Sequence[Task], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, clock()
        self._open = [_Open(task) for task in tasks]
        self._stage: Stage | None = tasks[0].stage if tasks else None
        self._measured: dict[str, tuple[float, float]] = {}
        self._expected = 0.0
        self._measurements = 0

    def begin(self, stage: Stage) -> None:
        """Report that a stage begins; all before it is done."""
        before = next((k for k, one in enumerate(self._open) if one.task.stage == stage), 0)
        self._open = self._open[before:]
        self._stage, self._last = stage, self._clock()

    def report(self, name: str, done: int, total: int) -> None:
        """Report that `done` of `total` units of a task are done."""
        found = next((one for one in self._open if one.takes(self._stage, name, done)), None)
        if found is None:
            return
        now = self._clock()
        seconds, self._last = now - self._last, now
        units = found.advance(done, total)
        if found.is_timed:
            self._measure(found.task, units, seconds)
        elif done == 1 and found.task.seconds >= _LONG:
            self._measure(found.task, units, seconds - found.task.setup * self._speed)
        found.is_timed = True
        place = self._open.index(found)
        self._open = [
            one for one in self._open[:place] if one.task.group and one.task.group == found.task.group
        ] + self._open[place:]

    def remaining(self) -> dict[Stage, float]:
        """Return the seconds until each stage that is not done will be."""
        left: dict[Stage, float] = {}
        seconds = 0.0
        for one in self._open:
            seconds += one.units_left * self._rate(one.task)
            seconds += 0 if one.is_timed else one.task.setup * self._speed
            left[one.task.stage] = seconds
        return left

    @property
    def is_measured(self) -> bool:
        """Whether a few units were measured, so that what remains is more than a guess."""
        return self._measurements >= _FEW

    def _measure(self, task: Task, units: float, seconds: float) -> None:
        share = _PARTLY_FROM_CACHE if task.partly else _FROM_CACHE
        if units <= 0 or seconds < share * units * task.seconds * self._speed:
            return
        before = self._measured.get(task.kind, (0.0, 0.0))
        counted = min(seconds, _HELD_UP * units * self._rate(task))
        self._measured[task.kind] = before[0] + units, before[1] + counted
        self._expected += units * task.seconds
        self._measurements += 1

    @property
    def _speed(self) -> float:
        """How many times as long as expected things take here."""
        taken = sum((seconds for _, seconds in self._measured.values()), 0.0)
        return _blended(taken, self._expected, expected_ratio=1.0)

    def _rate(self, task: Task) -> float:
        """Return what a unit of a task takes: as measured, and as expected while little is measured."""
        units, seconds = self._measured.get(task.kind, (0.0, 0.0))
        return task.seconds * _blended(seconds, units * task.seconds, expected_ratio=self._speed)


def _blended(taken: float, expected: float, *, expected_ratio: float) -> float:
    """Return how many times as long as expected things take, from what they took and a first guess.

    The mean of both in logarithms, so that no first unit, however long, makes hours of minutes.
    """
    if not taken or not expected:
        return expected_ratio
    share = expected / (expected + _PRIOR)
    return float((taken / expected) ** share * expected_ratio ** (1 - share))


@runtime_checkable
class ShowsForecast(Protocol):
    """Progress that shows how long the job still takes, beside the task in hand."""

    def forecast(self, text: str) -> None:
        """Receive what is left, for people; it is shown with the reports that follow."""
        ...


class Forecasting:
    """Progress that forecasts, and passes all reports on to one that may show the forecast.

    Args:
        progress: What the reports are passed on to.
        staged: Whether the job has stages, which are named then.
    """

    def __init__(self, progress: Progress, *, staged: bool = True) -> None:
        self._progress, self._staged = progress, staged
        self._forecast = Forecast([])

    def plan(self, forecast: Forecast) -> None:
        """Forecast from now on; one without tasks shows nothing."""
        self._forecast = forecast
        self._show()

    def begin(self, stage: Stage) -> None:
        """Report that a stage begins."""
        self._forecast.begin(stage)

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        """Report the progress of a task."""
        self._forecast.report(task, done, total)
        self._show()
        self._progress(task, done, total, note)

    def _show(self) -> None:
        if not isinstance(self._progress, ShowsForecast):
            return
        remaining = self._forecast.remaining()
        known = self._forecast.is_measured or not remaining
        self._progress.forecast(left(remaining, staged=self._staged) if known else ESTIMATING)


def left(remaining: Mapping[Stage, float], *, staged: bool = True) -> str:
    """Return the time until each stage is done, for people; without their names in a job without stages.

    Example:
        >>> left({"first": 39.6, "good": 250.0}), left({"best": 3725.0})
        ('first: 0:40 left · good: 4:10 left', 'best: 1:02:05 left')
        >>> left({"good": 250.0}, staged=False)
        '4:10 left'
    """
    return " · ".join(
        f"{stage}: {_clock(seconds)} left" if staged else f"{_clock(seconds)} left"
        for stage, seconds in remaining.items()
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
