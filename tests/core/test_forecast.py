"""Tests of core/forecast.py: how long a job still takes, told early and truly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from warprefine.core.forecast import Forecast, Forecasting, ShowsForecast, Task, left
from warprefine.core.progress import ProgressLines
from warprefine.core.stages import Stage


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def task(name: str, stage: Stage, units: int, seconds: float, **more: object) -> Task:
    return Task(name=name, stage=stage, kind=f"{name} of {stage}", units=units, seconds=seconds, **more)  # type: ignore[arg-type]


JOB = (
    task("computing features", "first", 120, 0.055),
    task("training segmenter", "first", 100, 0.14, setup=1.0),
    task("propagating", "first", 40, 0.45),
    task("scores and report", "first", 1, 7.0),
    task("training segmenter", "good", 500, 0.14, setup=1.0),
    task("training segmenter-fold0", "good", 120, 0.14, setup=1.0, group="refiner"),
    task("training segmenter-fold1", "good", 120, 0.14, setup=1.0, group="refiner"),
    task("cycling", "good", 2, 8.5, group="refiner"),
    task("training the refiner", "good", 200, 0.8, setup=1.0),
    task("propagating", "good", 40, 0.9),
)


def run(
    forecast: Forecast, clock: Clock, pace: dict[str, float], stalls: Mapping[int, float] | None = None
) -> Iterator[tuple[float, float]]:
    """Do the job; yield the time since the start and the time that is said to be left, after each report.

    A stall is a report, counted from the start, and the seconds that it comes too late.
    """
    start, stage, late, number = clock.now, "first", stalls or {}, 0
    forecast.begin("first")
    for one in JOB:
        if one.stage != stage:
            stage = one.stage
            forecast.begin(one.stage)
        clock.now += one.setup * pace["all"]
        for done in range(1, one.units + 1):
            clock.now += one.seconds * pace["all"] * pace.get(one.name, 1.0) + late.get(number, 0.0)
            number += 1
            if one.name != "scores and report":  # of which nothing is heard
                forecast.report(one.name, done, one.units)
            yield clock.now - start, forecast.remaining().get("good", 0.0)


@pytest.mark.parametrize(
    "pace",
    [
        {"all": 1.0},
        {"all": 4.0},
        {"all": 0.2},
        {"all": 2.0, "training the refiner": 1.3, "propagating": 0.8},
        {"all": 1.0, "training segmenter": 0.75, "training the refiner": 1.25},
    ],
    ids=str,
)
def test_after_a_tenth_the_time_that_is_left_is_right_within_a_third(pace: dict[str, float]) -> None:
    """Whatever the machine, and although tasks do not cost what is expected."""
    clock = Clock()
    told = list(run(Forecast(JOB, clock=clock), clock, pace))

    whole = told[-1][0]
    later = [(when, seconds) for when, seconds in told if when > whole / 10]
    assert len(later) > 700
    for when, seconds in later:
        assert abs(seconds - (whole - when)) <= max((whole - when) / 3, 0.04 * whole)


@pytest.mark.parametrize(
    "stalls",
    [{0: 5.0, 1: 5.0, 2: 5.0}, {2: 20.0}, dict.fromkeys(range(8), 1.5), {121: 30.0}, {225: 30.0}],
    ids=str,
)
def test_a_machine_that_is_busy_at_first_does_not_make_it_hours(stalls: dict[int, float]) -> None:
    """What units take that are held up counts little; after a tenth the forecast is right as ever."""
    clock = Clock()
    forecast = Forecast(JOB, clock=clock)
    told = [(when, seconds) for when, seconds in run(forecast, clock, {"all": 1.0}, stalls) if seconds]

    whole = told[-1][0]
    assert max(seconds for _, seconds in told) < 1.7 * whole
    for when, seconds in told:
        if when > whole / 10:
            assert abs(seconds - (whole - when)) <= max((whole - when) / 3, 0.04 * whole)


def test_nothing_is_forecast_before_a_few_units_are_measured() -> None:
    """A time that nobody has measured is none; the first units of a job say how quick the machine is."""
    clock = Clock()
    forecast = Forecast(JOB, clock=clock)
    assert not forecast.is_measured
    known = []
    for done in range(1, 7):
        clock.now += 0.06
        forecast.report("computing features", done, 120)
        known.append(forecast.is_measured)

    assert known == [False, False, False, True, True, True]
    assert not Forecast([]).is_measured


def test_what_a_task_takes_is_known_for_all_of_its_kind() -> None:
    """A step that takes ten times as long as expected in the first stage does so in the second."""
    clock = Clock()
    steps = [
        Task(name="training", stage=stage, kind="step", units=100, seconds=0.1) for stage in ("first", "good")
    ]
    forecast = Forecast(steps, clock=clock)
    for done in range(1, 101):
        clock.now += 1.0
        forecast.report("training", done, 100)

    assert forecast.remaining()["good"] == pytest.approx(100, rel=0.2)


def test_tasks_that_take_turns_are_both_counted() -> None:
    """A fold is trained between two key frames whose sides are computed; what came before is done."""
    forecast = Forecast(JOB[4:], clock=Clock())
    forecast.begin("good")
    forecast.report("training segmenter-fold0", 120, 120)
    with_cycles = forecast.remaining()["good"]

    forecast.report("cycling", 1, 2)
    forecast.report("training segmenter-fold1", 60, 120)

    saved = 8.5 + 60 * 0.14 + 1.0
    assert forecast.remaining()["good"] == pytest.approx(with_cycles - saved, abs=1e-6)
    forecast.report("training the refiner", 200, 200)
    assert forecast.remaining()["good"] == pytest.approx(36.0)


def test_what_is_found_in_a_cache_measures_nothing() -> None:
    """A machine is not fast because features are there; those that are not are still to be computed."""
    clock = Clock()
    features = Task(
        name="computing features", stage="good", kind="features", units=100, seconds=1.0, partly=True
    )
    forecast = Forecast([features], clock=clock)
    for done in range(1, 501):
        clock.now += 0.001
        forecast.report("computing features", done, 1000)

    assert forecast.remaining()["good"] == pytest.approx(50)


def test_a_task_that_nobody_has_planned_changes_nothing() -> None:
    """Neither its name nor its time counts."""
    forecast = Forecast(JOB, clock=Clock())
    before = forecast.remaining()

    forecast.report("choosing tau", 1, 2)

    assert forecast.remaining() == before
    assert Forecast([]).remaining() == {}


def test_each_stage_has_its_own_time() -> None:
    """That of a later one includes that of the one before."""
    remaining = Forecast(JOB, clock=Clock()).remaining()

    assert left(remaining) == "first: 0:47 left · good: 6:07 left"


def test_lines_of_progress_end_with_the_forecast() -> None:
    """For those who show it; all others get their reports as they are. At first it is being estimated."""
    lines: list[str] = []
    clock = Clock()
    shown, heard = ProgressLines(lines.append, interval=0.0), []
    assert isinstance(shown, ShowsForecast)
    watch = Forecasting(shown)
    watch.plan(Forecast(JOB, clock=clock))
    for done in range(60, 64):
        clock.now += 0.055
        watch("computing features", done, 120)
    watch.plan(Forecast([]))
    watch("computing features", 64, 120)

    other = Forecasting(lambda *report: heard.append(report))
    other("training", 1, 2, "loss 3")

    assert lines[0] == "computing features: 60 of 120 · estimating the time left"
    assert lines[3] == "computing features: 63 of 120 · first: 0:43 left · good: 6:04 left"
    assert lines[4].startswith("computing features: 64 of 120, ")
    assert heard == [("training", 1, 2, "loss 3")]
