"""Measure what propagated labels are worth to a network that learns from them: table 1 of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from warprefine.evaluation.experiment_plots import plot_bars
from warprefine.evaluation.result_table import Cell, ResultTable, Spread
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.lab import Lab
from warprefine.jobs.experiments.students import BASELINE, Students, Variant
from warprefine.jobs.generated import LabelledRun
from warprefine.propagation.methods import ORACLE

# Quantiles 0.975 of Student's t for 1, 2, ... degrees of freedom; beyond 30 it is close to the normal 1.96.
_T = (
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


def utility(lab: Lab) -> Findings:
    """Train students on the labels of every method, n seeds each, and test them."""
    methods = compared(lab)
    started, _ = lab.label(methods)
    students = Students(lab, LabelledRun.of(started))
    recipe = lab.recipe.student
    variants = [Variant(name=BASELINE, recipe=recipe)]
    variants += [Variant(name=method, method=method, recipe=recipe) for method in methods]
    measured = {one.name: [scores.miou for scores in students.scores(one)] for one in variants}
    spreads = {name: Spread.of(values) for name, values in measured.items()}
    return Findings(
        tables={"utility": utility_table(measured, title=f"Students on {lab.recipe.data.reader}, mIoU (%)")},
        charts={
            "utility": lambda kind: plot_bars(
                spreads, ylabel="mIoU of the student (%)", baseline=BASELINE, kind=kind
            )
        },
        unranked=frozenset({ORACLE}),
        remarks=(_remark(measured),),
    )


def compared(lab: Lab) -> tuple[str, ...]:
    """Return the methods whose labels students learn from: the oracle last, where there is truth."""
    has_truth = any(video.truth for video in lab.data.videos)
    return (*lab.recipe.methods, *([ORACLE] if lab.recipe.oracle and has_truth else []))


def utility_table(measured: Mapping[str, Sequence[float]], *, title: str) -> ResultTable:
    """Set mean and deviation, gain over the baseline, and the share of the oracle's gain.

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
    """Say in a word what `exceeds_noise` says of gains."""
    return {True: "yes", False: "no", None: "–"}[exceeds_noise(gains)]


def exceeds_noise(gains: Sequence[float]) -> bool | None:
    """Say whether gains are more than chance would make them: the t-test for pairs at 5 %, two-sided.

    Students of one seed begin from the same weights and see the hand-made labels in the same order, so
    that a gain seed by seed varies less than the students do. None where a single gain, or gains that are
    all alike, say nothing about chance.
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
