"""Measure what pseudo-labels are worth to a network that is trained on them: table 1 of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.students import BASELINE, Students, StudentVariant
from warprefine.jobs.experiments.students_together import Arm, train_students
from warprefine.jobs.experiments.work import Work
from warprefine.propagation.methods import ORACLE
from warprefine.report.experiment_plots import plot_bars
from warprefine.report.result_table import Cell, ResultTable, Spread

# Quantiles 0.975 of Student's t for 1, 2, ... degrees of freedom; beyond 30 it is close to the normal 1.96.
_T = (
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def utility(context: ExperimentContext) -> Findings:
    """Train students on the labels of every method, n seeds each, and test them."""
    methods = compared(context)
    _, finished = context.label(methods)
    students, variants = Students(context, finished), _variants(context, methods)
    train_students(Arm(students=students, variants=variants, seeds=context.seeds))
    measured = {one.name: [scores.miou for scores in students.scores(one)] for one in variants}
    spreads = {name: Spread.of(values) for name, values in measured.items()}
    title = f"Students on {context.recipe.data.reader}, mIoU (%)"
    return Findings(
        tables={"utility": utility_table(measured, title=title)},
        charts={
            "utility": lambda kind: plot_bars(
                spreads, ylabel="mIoU of the student (%)", baseline=BASELINE, kind=kind
            )
        },
        unranked=frozenset({ORACLE}),
        remarks=(_remark(measured),),
    )


def work_of_utility(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `utility` labels and trains."""
    methods = compared(context)
    return (Work.of(context, methods, _variants(context, methods)),)


def _variants(context: ExperimentContext, methods: Sequence[str]) -> list[StudentVariant]:
    """Return the students: without pseudo-labels, and with those of each method."""
    recipe = context.recipe.student
    return [
        StudentVariant(name=BASELINE, recipe=recipe),
        *(StudentVariant(name=method, method=method, recipe=recipe) for method in methods),
    ]


def compared(context: ExperimentContext) -> tuple[str, ...]:
    """Return the methods whose labels students are trained on: the oracle last, where there is truth."""
    has_truth = any(video.truth for video in context.data.videos)
    return (*context.recipe.methods, *([ORACLE] if context.recipe.oracle and has_truth else []))


def utility_table(measured: Mapping[str, Sequence[float]], *, title: str) -> ResultTable:
    """Tabulate mean and deviation, gain over the baseline, and the share of the oracle's gain.

    Args:
        measured: By name, the mIoU of a student for each seed, in percent; seeds are the same for all.
    """
    baseline = measured[BASELINE]
    gains = {
        name: [value - other for value, other in zip(values, baseline, strict=True)]
        for name, values in measured.items()
    }
    bound = fmean(gains[ORACLE]) if ORACLE in gains else 0.0
    rows = []
    for name, values in measured.items():
        cells: list[Cell] = [name, Spread.of(values), None, None, None]
        if name != BASELINE:
            cells[2:4] = [Spread.of(gains[name]), verdict(gains[name])]
            cells[4] = 100 * fmean(gains[name]) / bound if bound > 0 else None
        rows.append(tuple(cells))
    columns = ("labels", "mIoU", "gain", "exceeds the noise", "share of the oracle's gain")
    return ResultTable(title=title, columns=columns, rows=tuple(rows))


def verdict(gains: Sequence[float]) -> str:
    """Return the result of `exceeds_noise` as a word."""
    return {True: "yes", False: "no", None: "–"}[exceeds_noise(gains)]


def exceeds_noise(gains: Sequence[float]) -> bool | None:
    """Return whether gains exceed chance: two-sided paired t-test at 5 %.

    Students of one seed start from the same weights and use the hand-made labels in the same order, so the
    gain of a seed varies less than the students do. None where the test is not possible: for a single gain,
    or for equal gains.

    Example:
        >>> exceeds_noise([1.0, 1.2, 0.9]), exceeds_noise([1.0, -1.2, 0.9])
        (True, False)
    """
    if len(gains) < 2 or stdev(gains) == 0:
        return None
    freedom = len(gains) - 1
    quantile = _T[freedom - 1] if freedom <= len(_T) else 1.96
    return abs(fmean(gains)) > quantile * stdev(gains) / math.sqrt(len(gains))


def _remark(measured: Mapping[str, Sequence[float]]) -> str:
    seeds = len(measured[BASELINE])
    return (
        f"Mean and sample standard deviation over {seeds} seeds, of gains seed by seed. A gain exceeds the "
        "noise where a paired t-test rejects chance at 5 %. In the paper warp-refine attains about 40 % of "
        "the oracle's gain."
    )
