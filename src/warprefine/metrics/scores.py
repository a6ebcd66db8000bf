"""Scores of each method, and their files.

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
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int64

from warprefine.core.classes import ClassSet
from warprefine.core.names import inert
from warprefine.core.stages import Stage
from warprefine.io.atomic import write_text
from warprefine.metrics import boundaries, confusion
from warprefine.metrics.confusion import Confusion
from warprefine.propagation.methods import METHODS, ORACLE

Group: TypeAlias = Literal["between", "beside"]
GROUPS: Mapping[Group, str] = {
    "between": "a key frame before it and one after it",
    "beside": "key frames on one side only, which alone must label it",
}
"""The two groups of frames that are scored apart, and what a frame of each has."""


@dataclass(frozen=True, kw_only=True)
class GroupScores:
    """Scores of one method on a group of frames, in percent; None where there is nothing to measure.

    Fields named `by_distance` run over the distance to the key frame, k = 1, 2, ..., horizon. `miou` is
    the mean of `miou_by_distance`; other totals come from the pixels of all distances together.
    """

    miou_by_distance: Sequence[float | None]
    miou: float | None
    iou_by_class: Mapping[str, float | None]
    iou_by_class_and_distance: Mapping[str, Sequence[float | None]]
    ignore_iou: float | None
    frames_by_distance: Sequence[int]

    @property
    def frames(self) -> int:
        """The number of frames with truth."""
        return sum(self.frames_by_distance)

    @classmethod
    def of(
        cls,
        matrices: Int64[np.ndarray, "k n n"],
        *,
        classes: ClassSet,
        frames_by_distance: Sequence[int],
        void_as_class: bool = False,
    ) -> GroupScores:
        """Compute the scores from one confusion matrix per distance, as `MethodScores.of` does.

        Example:
            >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
            >>> matrices = np.array([[[6, 0, 0], [2, 2, 0], [0, 0, 0]]])
            >>> GroupScores.of(matrices, classes=classes, frames_by_distance=[1]).iou_by_class
            {'road': 75.0, 'car': 50.0}
        """
        total = matrices.sum(axis=0)
        miou_by_distance = [_percent(confusion.mean_iou(m, void_as_class=void_as_class)) for m in matrices]
        iou_by_distance = [confusion.iou(m, void_as_class=void_as_class) for m in matrices]
        iou = confusion.iou(total, void_as_class=void_as_class)
        return GroupScores(
            miou_by_distance=miou_by_distance,
            miou=mean(miou_by_distance),
            iou_by_class={name: _percent(iou[i]) for i, name in enumerate(classes.names)},
            iou_by_class_and_distance={
                name: [_percent(values[i]) for values in iou_by_distance]
                for i, name in enumerate(classes.names)
            },
            ignore_iou=_percent(confusion.iou(total, void_as_class=True)[-1]),
            frames_by_distance=list(frames_by_distance),
        )


@dataclass(frozen=True, kw_only=True)
class MethodScores(GroupScores):
    """Scores of one method's labels on all frames, in percent; None where there is nothing to measure.

    `coverage` is the share of pixels that have a class, not VOID; `ignore_iou` the IoU of VOID as a class
    of its own; `category_miou` the mIoU after merging the classes of each category; `boundary_f` the mean
    boundary F-score of the classes (`metrics.boundaries`); `consistency` the mIoU with the method's own
    labels of the previous frame (`metrics.consistency`). `between` and `beside` are the scores of the frames
    between two key frames, and of those with a key frame on one side alone; None without such frames.
    """

    ignore_iou_by_distance: Sequence[float | None]
    pixel_accuracy: float | None
    mean_accuracy: float | None
    frequency_weighted_iou: float | None
    coverage: float | None
    category_miou: float | None
    boundary_f: float | None
    boundary_f_by_class: Mapping[str, float | None]
    boundary_f_by_distance: Sequence[float | None]
    consistency: float | None
    between: GroupScores | None = None
    beside: GroupScores | None = None

    @classmethod
    def of(
        cls,
        matrices: Int64[np.ndarray, "k n n"],
        *,
        classes: ClassSet,
        frames_by_distance: Sequence[int],
        void_as_class: bool = False,
        boundary_counts: Int64[np.ndarray, "k c 4"] | None = None,
        agreement: Confusion | None = None,
        between: GroupScores | None = None,
        beside: GroupScores | None = None,
    ) -> MethodScores:
        """Compute the scores from one confusion matrix per distance.

        Args:
            void_as_class: Score VOID like a class: it takes part in the means and in the accuracies, and
                a class predicted where the truth is VOID is a false positive.
            boundary_counts: Counts of `count_boundaries` per distance; None if they were not counted.
            agreement: Counts of `count_agreement`; None if they were not counted.
            between: Scores of the frames between key frames.
            beside: Scores of the frames beside key frames.

        Example:
            >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
            >>> near, far = [[6, 0, 0], [0, 4, 0], [0, 0, 0]], [[6, 0, 0], [2, 2, 0], [0, 0, 0]]
            >>> scores = MethodScores.of(np.array([near, far]), classes=classes, frames_by_distance=[1, 1])
            >>> scores.miou_by_distance, scores.miou
            ([100.0, 62.5], 81.25)
        """
        total = matrices.sum(axis=0)
        of_all = GroupScores.of(
            matrices, classes=classes, frames_by_distance=frames_by_distance, void_as_class=void_as_class
        )
        by_category = confusion.merge(total, classes.categories) if classes.categories else None
        if boundary_counts is None:
            boundary_counts = np.zeros((len(matrices), len(classes), 4), np.int64)
        boundary_total = boundary_counts.sum(axis=0)
        boundary_f_by_class = boundaries.boundary_f_score(boundary_total)
        return MethodScores(
            **{field.name: getattr(of_all, field.name) for field in fields(of_all)},
            ignore_iou_by_distance=[_percent(confusion.iou(m, void_as_class=True)[-1]) for m in matrices],
            pixel_accuracy=_percent(confusion.pixel_accuracy(total, void_as_class=void_as_class)),
            mean_accuracy=_percent(confusion.mean_accuracy(total, void_as_class=void_as_class)),
            frequency_weighted_iou=_percent(
                confusion.frequency_weighted_iou(total, void_as_class=void_as_class)
            ),
            coverage=_percent(confusion.coverage(total)),
            category_miou=_mean_iou(by_category, void_as_class=void_as_class),
            boundary_f=_percent(boundaries.mean_boundary_f_score(boundary_total)),
            boundary_f_by_class={
                name: _percent(value) for name, value in zip(classes.names, boundary_f_by_class, strict=True)
            },
            boundary_f_by_distance=[
                _percent(boundaries.mean_boundary_f_score(counts)) for counts in boundary_counts
            ],
            consistency=_mean_iou(agreement, void_as_class=False),
            between=between,
            beside=beside,
        )


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort methods as in tables and figures: those of `METHODS` first, in its order, then others by name.

    Example:
        >>> in_order(["mine", "warp-refine", "motion-only"])
        ['motion-only', 'warp-refine', 'mine']
    """
    order = list(METHODS)
    return sorted(methods, key=lambda m: (order.index(m) if m in order else len(order), m))


def leading(methods: Iterable[str]) -> str:
    """Return the method whose labels are to be used: the last in order of `METHODS`, the oracle excepted.

    Where there is none of them, the last of all as sorted by `in_order`.

    Example:
        >>> leading(["oracle", "warp-refine", "motion-only"])
        'warp-refine'
    """
    ordered = in_order(methods)
    listed = [m for m in ordered if m in METHODS and m != ORACLE]
    return (listed or ordered)[-1]


def best(values: Mapping[str, float | None]) -> set[str]:
    """Return the methods with the highest value, rounded to one decimal as printed, the oracle excepted.

    Example:
        >>> best({"motion-only": 71.2, "warp-refine": 73.74, "oracle": 90.0, "other": None})
        {'warp-refine'}
    """
    printed = {m: round(v, 1) for m, v in values.items() if v is not None and m != ORACLE}
    return {method for method, value in printed.items() if value == max(printed.values())}


def hardest_classes(scores: Mapping[str, MethodScores], classes: ClassSet, *, most: int) -> list[str]:
    """Return the `most` classes with the lowest mean IoU over the methods, of those that occur.

    Example:
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
        >>> matrices = np.array([[[6, 0, 0], [2, 2, 0], [0, 0, 0]]])  # IoU 75 % and 50 %
        >>> scores = MethodScores.of(matrices, classes=classes, frames_by_distance=[1])
        >>> hardest_classes({"warp-refine": scores}, classes, most=1)
        ['car']
    """
    means = {name: mean([s.iou_by_class[name] for s in scores.values()]) for name in classes.names}
    occurring = {name: value for name, value in means.items() if value is not None}
    return sorted(occurring, key=lambda name: occurring[name])[:most]


def split(scores: Mapping[str, MethodScores]) -> dict[Group, dict[str, GroupScores]]:
    """Return the scores of the frames between and beside key frames; empty where all are in one group.

    Example:
        >>> from dataclasses import replace
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
        >>> matrices = np.array([[[6, 0, 0], [2, 2, 0], [0, 0, 0]]])
        >>> group = GroupScores.of(matrices, classes=classes, frames_by_distance=[1])
        >>> both = MethodScores.of(
        ...     2 * matrices, classes=classes, frames_by_distance=[2], between=group, beside=group
        ... )
        >>> list(split({"motion-only": both})), split({"motion-only": replace(both, beside=None)})
        (['between', 'beside'], {})
    """
    found: dict[Group, dict[str, GroupScores]] = {
        "between": {method: one.between for method, one in scores.items() if one.between is not None},
        "beside": {method: one.beside for method, one in scores.items() if one.beside is not None},
    }
    return found if all(found.values()) else {}


def mean(values: Collection[float | None]) -> float | None:
    """Return the mean of the measured values; None if there are none.

    Example:
        >>> mean([80.0, None, 60.0])
        70.0
    """
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None


def write_metrics(
    path: Path,
    scores: Mapping[str, MethodScores],
    *,
    stages: Mapping[str, Mapping[Stage, int]] | None = None,
    reliability: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Write the scores as JSON, and the IoU of each class at each distance as CSV beside it.

    The JSON maps each method to the fields of `MethodScores`, in percent with four decimals, null
    where nothing was measured; `between` and `beside` are left out without such frames. The CSV has the
    columns method, distance, class, iou; where there are frames of both groups, iou_between and iou_beside
    too.

    Args:
        stages: By method, how many frames have labels of each stage; written as "frames_by_stage".
        reliability: By method, how far confidence can be believed; written as "reliability".
    """
    content = {method: _as_json(of_method) for method, of_method in scores.items()}
    for method, counts in (stages or {}).items():
        content[method]["frames_by_stage"] = dict(counts)
    for method, scored in (reliability or {}).items():
        content[method]["reliability"] = scored
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    groups = split(scores)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("method", "distance", "class", "iou", *(f"iou_{group}" for group in groups)))
    for method, of_method in scores.items():
        columns = [of_method, *(of_group[method] for of_group in groups.values())]
        for name in of_method.iou_by_class_and_distance:
            cells = inert(method), inert(name)
            by_distance = zip(*(one.iou_by_class_and_distance[name] for one in columns), strict=True)
            rows.writerows(
                (cells[0], k, cells[1], *map(rounded, values))
                for k, values in enumerate(by_distance, start=1)
            )
    write_text(path.with_suffix(".csv"), table.getvalue())


def spread(horizon: int, *, most: int) -> list[int]:
    """Return the distances to show: 1 to `horizon`, or `most` of them spread evenly, both ends included.

    Example:
        >>> spread(21, most=3)
        [1, 11, 21]
    """
    return [round(float(k)) for k in np.linspace(1, horizon, min(horizon, most))]


def format_percent(value: float | None) -> str:
    """Format a score with one decimal, a dash where nothing was measured.

    Example:
        >>> format_percent(73.74), format_percent(None)
        ('73.7', '–')
    """
    return "–" if value is None else f"{value:.1f}"


def _mean_iou(matrix: Confusion | None, *, void_as_class: bool) -> float | None:
    return None if matrix is None else _percent(confusion.mean_iou(matrix, void_as_class=void_as_class))


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else 100 * float(share)


def _as_json(scores: GroupScores) -> dict[str, object]:
    """Return the fields of scores, rounded, without groups that have no frames."""
    values = {field.name: getattr(scores, field.name) for field in fields(scores)}
    return {
        name: _as_json(value) if isinstance(value, GroupScores) else rounded(value)
        for name, value in values.items()
        if not (value is None and name in GROUPS)
    }


def rounded(value: object) -> object:
    """Round every number in a value to four decimals, for files."""
    match value:
        case float():
            return round(value, 4)
        case Mapping():
            return {key: rounded(entry) for key, entry in value.items()}
        case list() | tuple():
            return [rounded(entry) for entry in value]
        case _:
            return value
