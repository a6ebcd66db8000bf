"""Score label maps from one confusion matrix for the whole data set, never from a mean over images.

A confusion matrix counts pixels: rows are the truth, columns the prediction, and the last row and
column are VOID. Matrices of different frames add up; every score is computed from their sum.

By default the rules are those of cityscapesScripts: pixels whose truth is VOID do not count at all,
a prediction of VOID where the truth is a class is a miss, and a class that occurs in neither truth
nor prediction has no IoU (NaN) and no part in the mean. With `void_as_class` VOID is scored like
any class, which gives the IoU of "Ignore" in Warp-Refine Propagation (2021, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID, LabelMaps

Confusion: TypeAlias = Int64[np.ndarray, "n n"]
"""Pixel counts, n = number of classes + 1: row = truth, column = prediction, VOID last."""


def count(prediction: LabelMaps, truth: LabelMaps, *, class_count: int) -> Confusion:
    """Count the pixels of each pair of true and predicted class; both label maps have one size.

    Raises:
        LabelError: A label map holds a class beyond `class_count`.
    """
    # One 16-bit number per pair of classes: a single bincount, without the masks of the usual C·t + p.
    pairs = truth.cpu().numpy().astype(np.uint16) * np.uint16(256) + prediction.cpu().numpy()
    every_pair = np.bincount(pairs.ravel(), minlength=256 * 256).reshape(256, 256)
    known = np.array([*range(class_count), VOID])
    matrix: Confusion = every_pair[np.ix_(known, known)].astype(np.int64)
    if matrix.sum() != pairs.size:
        stray = int(np.setdiff1d(np.nonzero(every_pair.sum(axis=0) + every_pair.sum(axis=1))[0], known)[0])
        raise LabelError(
            f"label maps to be compared hold class {stray}, expected 0 to {class_count - 1} or "
            f"VOID ({VOID}); read both with the classes of this data set"
        )
    return matrix


def merge(matrix: Confusion, groups: Sequence[str]) -> Int64[np.ndarray, "m m"]:
    """Return the counts of groups of classes, in the order in which the groups first occur; VOID stays last.

    A class that is taken for another of its group is right then, as in the category IoU of
    cityscapesScripts.

    Args:
        groups: The name of each class's group.
    """
    names = list(dict.fromkeys(groups))
    group_of = [*(names.index(group) for group in groups), len(names)]
    merged = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    np.add.at(merged, np.ix_(group_of, group_of), matrix)
    return merged


def iou(matrix: Confusion, *, void_as_class: bool = False) -> Float64[np.ndarray, " c"]:
    """Return the intersection over union of each class, 0..1; NaN where the class occurs nowhere.

    With `void_as_class` one value more is returned, the last, for VOID.
    """
    hits, in_truth, in_prediction = _marginals(matrix, void_as_class=void_as_class)
    return _ratio(hits, in_truth + in_prediction - hits)


def mean_iou(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the mean IoU of the classes that occur, 0..1; NaN if none does."""
    return _mean(iou(matrix, void_as_class=void_as_class))


def pixel_accuracy(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the share of right pixels, 0..1; NaN if no pixel counts."""
    hits, in_truth, _ = _marginals(matrix, void_as_class=void_as_class)
    return float(_ratio(hits.sum(), in_truth.sum()))


def mean_accuracy(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the mean, over classes that occur in the truth, of the share of their pixels found, 0..1."""
    hits, in_truth, _ = _marginals(matrix, void_as_class=void_as_class)
    return _mean(_ratio(hits, in_truth))


def frequency_weighted_iou(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the mean IoU weighted by how many pixels of each class the truth has, 0..1."""
    _, in_truth, _ = _marginals(matrix, void_as_class=void_as_class)
    by_class = np.nan_to_num(iou(matrix, void_as_class=void_as_class))  # NaN only where the weight is 0
    return float(_ratio((in_truth * by_class).sum(), in_truth.sum()))


def coverage(matrix: Confusion) -> float:
    """Return the share of the pixels with a true class that were given any class at all, 0..1."""
    return float(_ratio(matrix[:-1, :-1].sum(), matrix[:-1].sum()))


def _marginals(
    matrix: Confusion, *, void_as_class: bool
) -> tuple[Int64[np.ndarray, " c"], Int64[np.ndarray, " c"], Int64[np.ndarray, " c"]]:
    """Return right pixels, true pixels and predicted pixels of each class, on scored pixels only."""
    classes = len(matrix) if void_as_class else len(matrix) - 1
    scored = matrix[:classes]
    return np.diagonal(scored).astype(np.int64), scored.sum(axis=1), scored[:, :classes].sum(axis=0)


def _ratio(part: ArrayLike, whole: ArrayLike) -> Float64[np.ndarray, "*c"]:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing to score
        return np.asarray(np.divide(part, whole), dtype=np.float64)


def _mean(values: Float64[np.ndarray, " c"]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
