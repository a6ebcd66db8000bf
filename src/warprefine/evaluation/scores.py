"""Hold the scores of each method, and show them as files and as a table.

Every number is in percent, None where there was nothing to measure.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from warprefine.core.classes import ClassSet
from warprefine.evaluation import boundaries, confusion
from warprefine.evaluation.confusion import Confusion
from warprefine.io.atomic import write_text
from warprefine.propagation.methods import METHODS, ORACLE

_TABLE_COLUMNS = 10  # with them a table fits into 80 characters


@dataclass(frozen=True, kw_only=True)
class MethodScores:
    """How good the labels of one method are: percent, None where there is nothing to measure.

    What is called `by_distance` runs over the distance to the key frame, k = 1, 2, ..., horizon.
    `miou` is the mean of `miou_by_distance`; the other totals come from the pixels of all distances
    together. `coverage` is the share of the pixels that were given a class at all, `ignore_iou` the
    IoU of VOID as a class of its own, `category_miou` the mIoU with the classes of a category taken as
    one. `boundary_f` is the mean boundary F-score of the classes (`evaluation.boundaries`),
    `consistency` the mIoU with the method's own labels of the frame before (`evaluation.consistency`).
    """

    miou_by_distance: Sequence[float | None]
    miou: float | None
    iou_by_class: Mapping[str, float | None]
    iou_by_class_and_distance: Mapping[str, Sequence[float | None]]
    ignore_iou: float | None
    ignore_iou_by_distance: Sequence[float | None]
    pixel_accuracy: float | None
    mean_accuracy: float | None
    frequency_weighted_iou: float | None
    coverage: float | None
    frames_by_distance: Sequence[int]
    category_miou: float | None
    boundary_f: float | None
    boundary_f_by_class: Mapping[str, float | None]
    boundary_f_by_distance: Sequence[float | None]
    consistency: float | None

    @property
    def frames(self) -> int:
        """The number of frames that were compared with truth."""
        return sum(self.frames_by_distance)

    @classmethod
    def of(
        cls,
        matrices: Int64[np.ndarray, "k n n"],
        *,
        classes: ClassSet,
        frames_by_distance: Sequence[int],
        boundary_counts: Int64[np.ndarray, "k c 4"] | None = None,
        agreement: Confusion | None = None,
        void_as_class: bool = False,
    ) -> MethodScores:
        """Score one confusion matrix per distance.

        Args:
            boundary_counts: Counts of `boundaries.count` per distance; None if they were not counted.
            agreement: Counts of `consistency.count_agreement`; None if they were not counted.
            void_as_class: Score VOID like a class: it takes part in the means and in the accuracies, and
                what is predicted where the truth is VOID counts against the class predicted.
        """
        total = matrices.sum(axis=0)
        miou_by_distance = [_percent(confusion.mean_iou(m, void_as_class=void_as_class)) for m in matrices]
        iou_by_distance = [confusion.iou(m, void_as_class=void_as_class) for m in matrices]
        iou = confusion.iou(total, void_as_class=void_as_class)
        by_category = confusion.merge(total, classes.categories) if classes.categories else None
        if boundary_counts is None:
            boundary_counts = np.zeros((len(matrices), len(classes), 4), np.int64)
        boundary_total = boundary_counts.sum(axis=0)
        return cls(
            miou_by_distance=miou_by_distance,
            miou=mean(miou_by_distance),
            iou_by_class={name: _percent(iou[i]) for i, name in enumerate(classes.names)},
            iou_by_class_and_distance={
                name: [_percent(values[i]) for values in iou_by_distance]
                for i, name in enumerate(classes.names)
            },
            ignore_iou=_percent(confusion.iou(total, void_as_class=True)[-1]),
            ignore_iou_by_distance=[_percent(confusion.iou(m, void_as_class=True)[-1]) for m in matrices],
            pixel_accuracy=_percent(confusion.pixel_accuracy(total, void_as_class=void_as_class)),
            mean_accuracy=_percent(confusion.mean_accuracy(total, void_as_class=void_as_class)),
            frequency_weighted_iou=_percent(
                confusion.frequency_weighted_iou(total, void_as_class=void_as_class)
            ),
            coverage=_percent(confusion.coverage(total)),
            frames_by_distance=list(frames_by_distance),
            category_miou=_mean_iou(by_category, void_as_class=void_as_class),
            boundary_f=_percent(boundaries.mean_f(boundary_total)),
            boundary_f_by_class={
                name: _percent(value)
                for name, value in zip(classes.names, boundaries.f_score(boundary_total), strict=True)
            },
            boundary_f_by_distance=[_percent(boundaries.mean_f(counts)) for counts in boundary_counts],
            consistency=_mean_iou(agreement, void_as_class=False),
        )


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort methods as tables and pictures show them: those of `METHODS` first, others by name."""
    return sorted(methods, key=lambda m: (METHODS.index(m) if m in METHODS else len(METHODS), m))


def leading(methods: Iterable[str]) -> str:
    """Return the method whose labels are meant to be used: of `METHODS` the last but the oracle, if any."""
    ordered = in_order(methods)
    known = [m for m in ordered if m in METHODS and m != ORACLE]
    return (known or ordered)[-1]


def best(values: Mapping[str, float | None]) -> set[str]:
    """Return the methods with the highest value as printed with one decimal; the oracle does not compete."""
    printed = {m: round(v, 1) for m, v in values.items() if v is not None and m != ORACLE}
    return {method for method, value in printed.items() if value == max(printed.values())}


def hardest_classes(scores: Mapping[str, MethodScores], classes: ClassSet, *, most: int) -> list[str]:
    """Return the `most` classes with the lowest mean IoU over the methods, of those that occur."""
    means = {name: mean([s.iou_by_class[name] for s in scores.values()]) for name in classes.names}
    occurring = {name: value for name, value in means.items() if value is not None}
    return sorted(occurring, key=lambda name: occurring[name])[:most]


def mean(values: Collection[float | None]) -> float | None:
    """Return the mean of what was measured, None if nothing was."""
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None


def write_metrics(path: Path, scores: Mapping[str, MethodScores]) -> None:
    """Write the scores as JSON, and the IoU of each class at each distance as CSV beside it.

    The JSON maps each method to the fields of `MethodScores`, in percent with four decimals, null
    where nothing was measured. The CSV has the columns method, distance, class, iou.
    """
    content = {m: {f.name: _rounded(getattr(s, f.name)) for f in fields(s)} for m, s in scores.items()}
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("method", "distance", "class", "iou"))
    for method, of_method in scores.items():
        for name, by_distance in of_method.iou_by_class_and_distance.items():
            rows.writerows((method, k, name, _rounded(value)) for k, value in enumerate(by_distance, start=1))
    write_text(path.with_suffix(".csv"), table.getvalue())


def format_table(scores: Mapping[str, MethodScores]) -> str:
    """Lay out mIoU by method and distance as plain text; the best of each column has a star.

    Of a long horizon ten distances are shown; the mean is still that of all.
    """
    horizon = max(len(s.miou_by_distance) for s in scores.values())
    columns = {
        f"k={k}": {m: s.miou_by_distance[k - 1] for m, s in scores.items()}
        for k in spread(horizon, most=_TABLE_COLUMNS)
    }
    columns["mean"] = {m: s.miou for m, s in scores.items()}
    width = 1 + max(map(len, ("mIoU %", *scores)))
    lines = ["".join([f"{'mIoU %':<{width}}", *(f"{title:>5} " for title in columns)])]
    winners = {title: best(values) for title, values in columns.items()}
    for method in scores:
        cells = (
            f"{format_percent(values[method]):>5}{'*' if method in winners[title] else ' '}"
            for title, values in columns.items()
        )
        lines.append("".join([f"{method:<{width}}", *cells]))
    return "\n".join(line.rstrip() for line in lines)


def spread(horizon: int, *, most: int) -> list[int]:
    """Return the distances to show: 1 to `horizon`, or `most` of them spread evenly, both ends included."""
    return [round(float(k)) for k in np.linspace(1, horizon, min(horizon, most))]


def format_percent(value: float | None) -> str:
    """Print a score with one decimal, a dash where nothing was measured."""
    return "–" if value is None else f"{value:.1f}"


def _mean_iou(matrix: Confusion | None, *, void_as_class: bool) -> float | None:
    return None if matrix is None else _percent(confusion.mean_iou(matrix, void_as_class=void_as_class))


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else 100 * float(share)


def _rounded(value: object) -> object:
    """Round every number in a value to four decimals, for files."""
    match value:
        case float():
            return round(value, 4)
        case Mapping():
            return {key: _rounded(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_rounded(entry) for entry in value]
        case _:
            return value
