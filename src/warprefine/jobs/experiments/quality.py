"""Measure how good propagated labels are: figures 1 and 5 of the paper."""

from __future__ import annotations

from collections.abc import Mapping

from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.work import Work
from warprefine.metrics.score_table import group_line
from warprefine.metrics.scores import GroupScores, MethodScores, hardest_classes, split
from warprefine.report.plots import plot_hard_classes, plot_horizon
from warprefine.report.result_table import Cell, ResultTable

_HARDEST = 6


def quality(context: ExperimentContext) -> Findings:
    """Compare the labels of every method with the truth, by distance and by class.

    Raises:
        DatasetError: The data have no truth within the horizon.
    """
    _ = context.shown_classes  # a class that is not there is told of before the work
    _, finished = context.label(context.recipe.methods)
    context.check_truth(finished)
    return findings_of(finished.scores, context)


def work_of_quality(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `quality` labels."""
    return (Work.of(context, context.recipe.methods),)


def findings_of(scores: dict[str, MethodScores], context: ExperimentContext) -> Findings:
    """Return the scores of labels as tables and charts; frames between and beside key frames also apart."""
    classes = context.data.classes
    chosen = context.shown_classes
    hard = list(chosen) or hardest_classes(scores, classes, most=_HARDEST)
    title = f"mIoU (%) of labels at k frames from the key frame, {context.recipe.data.reader}"
    distances = {"miou-by-distance": _by_distance(scores, title)}
    for group, of_group in split(scores).items():
        distances[f"miou-{group}"] = _by_distance(of_group, f"{title}; {group_line(group, scores)}")
    measures: dict[str, list[Cell]] = {name: [s.iou_by_class[name] for s in scores.values()] for name in hard}
    measures |= {
        "Ignore": [s.ignore_iou for s in scores.values()],
        "mIoU": [s.miou for s in scores.values()],
        "category mIoU": [s.category_miou for s in scores.values()],
        "boundary F": [s.boundary_f for s in scores.values()],
        "consistency": [s.consistency for s in scores.values()],
        "labelled": [s.coverage for s in scores.values()],
    }
    measured = {name: cells for name, cells in measures.items() if any(cell is not None for cell in cells)}
    by_class = ResultTable(
        title=f"{'Chosen' if chosen else 'The hardest'} classes and further measures over all distances (%)",
        columns=("method", *measured),
        rows=tuple(zip(scores, *measured.values(), strict=True)),
    )
    return Findings(
        tables={**distances, "hard-classes": by_class},
        charts={
            "miou-by-distance": lambda kind: plot_horizon(scores, kind=kind),
            "hard-classes": lambda kind: plot_hard_classes(scores, classes, names=hard, kind=kind),
        },
    )


def _by_distance(scores: Mapping[str, GroupScores], title: str) -> ResultTable:
    horizon = max(len(s.miou_by_distance) for s in scores.values())
    return ResultTable(
        title=title,
        columns=("method", *(f"k={k}" for k in range(1, horizon + 1)), "mean"),
        rows=tuple((method, *s.miou_by_distance, s.miou) for method, s in scores.items()),
    )
