"""Measure what propagated labels are worth to a network that learns from them: table 1 of the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping

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
    measured = {BASELINE: students.spread(Variant(name=BASELINE, recipe=lab.recipe.student))}
    for method in methods:
        measured[method] = students.spread(Variant(name=method, method=method, recipe=lab.recipe.student))
    return Findings(
        tables={"utility": utility_table(measured, title=f"Students on {lab.recipe.data.reader}, mIoU (%)")},
        charts={
            "utility": lambda kind: plot_bars(
                measured, ylabel="mIoU of the student (%)", baseline=BASELINE, kind=kind
            )
        },
        unranked=frozenset({ORACLE}),
        remarks=(_remark(measured),),
    )


def compared(lab: Lab) -> tuple[str, ...]:
    """Return the methods whose labels students learn from: the oracle last, where there is truth."""
    has_truth = any(video.truth for video in lab.data.videos)
    return (*lab.recipe.methods, *([ORACLE] if lab.recipe.oracle and has_truth else []))


def utility_table(measured: Mapping[str, Spread], *, title: str) -> ResultTable:
    """Set mean, deviation, gain over the baseline, and the share of the oracle's gain."""
    baseline = measured[BASELINE]
    bound = measured[ORACLE].mean - baseline.mean if ORACLE in measured else 0.0
    rows = []
    for name, spread in measured.items():
        gain = spread.mean - baseline.mean
        cells: list[Cell] = [name, spread, None, None, None]
        if name != BASELINE:
            exceeds = exceeds_noise(spread, baseline)
            cells[2:4] = [gain, "–" if exceeds is None else "yes" if exceeds else "no"]
            cells[4] = 100 * gain / bound if bound > 0 else None
        rows.append(tuple(cells))
    columns = ("labels", "mIoU", "gain", "exceeds the noise", "share of the oracle's gain")
    return ResultTable(title=title, columns=columns, rows=tuple(rows))


def exceeds_noise(a: Spread, b: Spread) -> bool | None:
    """Say whether two means differ by more than chance would make them: Welch's t-test at 5 %, two-sided.

    None where a spread of one value, or two without any, say nothing about chance.
    """
    if a.deviation is None or b.deviation is None:
        return None
    of_a, of_b = a.deviation**2 / a.count, b.deviation**2 / b.count
    if of_a + of_b == 0:
        return None
    freedom = (of_a + of_b) ** 2 / (of_a**2 / (a.count - 1) + of_b**2 / (b.count - 1))
    quantile = _T[max(int(freedom), 1) - 1] if freedom < len(_T) + 1 else 1.96
    return abs(a.mean - b.mean) > quantile * math.sqrt(of_a + of_b)


def _remark(measured: Mapping[str, Spread]) -> str:
    seeds = measured[BASELINE].count
    return (
        f"Mean and sample standard deviation over {seeds} trainings. A gain exceeds the noise where Welch's "
        "t-test rejects chance at 5 %. In the paper warp-refine attains about 40 % of the oracle's gain."
    )
