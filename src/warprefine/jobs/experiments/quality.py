"""Measure how good propagated labels are: figures 1 and 5 of the paper."""

from __future__ import annotations

from warprefine.evaluation.plots import plot_hard_classes, plot_horizon
from warprefine.evaluation.result_table import ResultTable
from warprefine.evaluation.scores import MethodScores, hardest_classes
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.lab import Lab

_HARDEST = 6


def quality(lab: Lab) -> Findings:
    """Compare the labels of every method with the truth, by distance and by class.

    Raises:
        DatasetError: The data have no truth for any frame in reach.
    """
    _, outcome = lab.label(lab.recipe.methods)
    lab.check_truth(outcome)
    return findings_of(outcome.scores, lab)


def findings_of(scores: dict[str, MethodScores], lab: Lab) -> Findings:
    """Set the scores of labels as two tables and two charts."""
    classes = lab.data.classes
    hard = hardest_classes(scores, classes, most=_HARDEST)
    distances = ResultTable(
        title=f"mIoU (%) of labels at k frames from the key frame, {lab.data.root.name}",
        columns=("method", *(f"k={k}" for k in range(1, lab.recipe.data.horizon + 1)), "mean"),
        rows=tuple((method, *s.miou_by_distance, s.miou) for method, s in scores.items()),
    )
    columns = ("method", *hard, "Ignore", "mIoU", "category mIoU", "boundary F", "consistency", "labelled")
    by_class = ResultTable(
        title="The hardest classes and further measures over all distances (%)",
        columns=columns,
        rows=tuple(
            (
                method,
                *(s.iou_by_class[name] for name in hard),
                s.ignore_iou,
                s.miou,
                s.category_miou,
                s.boundary_f,
                s.consistency,
                s.coverage,
            )
            for method, s in scores.items()
        ),
    )
    return Findings(
        tables={"miou-by-distance": distances, "hard-classes": by_class},
        charts={
            "miou-by-distance": lambda kind: plot_horizon(scores, kind=kind),
            "hard-classes": lambda kind: plot_hard_classes(scores, classes, hardest=_HARDEST, kind=kind),
        },
    )
