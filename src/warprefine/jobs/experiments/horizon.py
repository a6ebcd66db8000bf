"""Measure from how far away labels still help a student: figure 8 of the paper."""

from __future__ import annotations

from warprefine.core.errors import RecipeError
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.students import BASELINE, Students, StudentVariant
from warprefine.jobs.experiments.students_together import Arm, train_students
from warprefine.jobs.experiments.work import Work
from warprefine.report.experiment_plots import plot_lines
from warprefine.report.result_table import Cell, ResultTable


def horizon(context: ExperimentContext) -> Findings:
    """Train students on labels from all frames up to a distance, for one distance after another.

    Raises:
        RecipeError: A distance lies beyond the horizon of the labels.
    """
    recipe, reach = context.recipe, context.horizon
    if max(recipe.ranges) > reach:
        raise RecipeError(
            f"ranges reach to {max(recipe.ranges)} frames, but labels only to {reach}; lower them, or raise "
            "horizon under [data]"
        )
    _, finished = context.label(recipe.range_methods)
    students = Students(context, finished)
    train_students(Arm(students=students, variants=_students(context), seeds=context.seeds))
    baseline = students.spread(_baseline(context))
    lines = {
        method: [
            (float(farthest), students.spread(_up_to(context, method, farthest)))
            for farthest in sorted(recipe.ranges)
        ]
        for method in recipe.range_methods
    }
    flat = [(float(farthest), baseline) for farthest in sorted(recipe.ranges)]
    rows: list[tuple[Cell, ...]] = [(BASELINE, *(spread for _, spread in flat))]
    rows += [(method, *(spread for _, spread in points)) for method, points in lines.items()]
    table = ResultTable(
        title="mIoU (%) of students by the farthest frame that labels are taken from",
        columns=("labels", *(f"±{farthest}" for farthest in sorted(recipe.ranges))),
        rows=tuple(rows),
    )
    return Findings(
        tables={"horizon": table},
        charts={
            "horizon": lambda kind: plot_lines(
                {BASELINE: flat, **lines},
                xlabel="farthest frame that labels are taken from",
                ylabel="mIoU of the student (%)",
                kind=kind,
            )
        },
    )


def work_of_horizon(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `horizon` labels and trains."""
    return (Work.of(context, context.recipe.range_methods, _students(context)),)


def _students(context: ExperimentContext) -> list[StudentVariant]:
    """Return the student without pseudo-labels, and those of each method and distance."""
    methods, ranges = context.recipe.range_methods, sorted(context.recipe.ranges)
    students = [_up_to(context, method, farthest) for method in methods for farthest in ranges]
    return [_baseline(context), *students]


def _baseline(context: ExperimentContext) -> StudentVariant:
    return StudentVariant(name=BASELINE, recipe=context.recipe.student)


def _up_to(context: ExperimentContext, method: str, farthest: int) -> StudentVariant:
    """Return the student that learns from a method's labels up to a distance."""
    return StudentVariant(
        name=f"{method}-to-{farthest}",
        method=method,
        offsets=tuple(range(1, farthest + 1)),
        recipe=context.recipe.student,
    )
