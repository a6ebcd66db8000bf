"""Segmentation scores from one confusion matrix over the whole data set, never averaged over images.

A confusion matrix counts pixels: rows are the truth, columns the prediction, and the last row and
column are VOID. Matrices of different frames add up; every score is computed from their sum.

By default the rules are those of cityscapesScripts: pixels whose truth is VOID are not scored, a
prediction of VOID where the truth is a class is a false negative, and a class that occurs in neither
truth nor prediction has no IoU (NaN) and is left out of the mean. With `void_as_class` VOID is scored like
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

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[0, 0, 0, 1]]], dtype=torch.uint8)
        >>> prediction = torch.tensor([[[0, 1, VOID, 1]]], dtype=torch.uint8)
        >>> count(prediction, truth, class_count=2).tolist()
        [[1, 1, 1], [0, 1, 0], [0, 0, 0]]
    """
    # One 16-bit number per pair of classes: a single bincount, without the masks of the usual C·t + p.
    pairs = truth.cpu().numpy().astype(np.uint16) * np.uint16(256) + prediction.cpu().numpy()
    every_pair = np.bincount(pairs.ravel(), minlength=256 * 256).reshape(256, 256)
    valid = np.array([*range(class_count), VOID])
    matrix: Confusion = every_pair[np.ix_(valid, valid)].astype(np.int64)
    if matrix.sum() != pairs.size:
        stray = int(np.setdiff1d(np.nonzero(every_pair.sum(axis=0) + every_pair.sum(axis=1))[0], valid)[0])
        raise LabelError(
            f"label maps to be compared hold class {stray}, expected 0 to {class_count - 1} or "
            f"VOID ({VOID}); read both with the classes of this data set"
        )
    return matrix


def merge(matrix: Confusion, groups: Sequence[str]) -> Int64[np.ndarray, "m m"]:
    """Merge classes into groups, in the order in which the groups first occur; VOID stays last.

    Confusing classes of one group is then not an error, as in the category IoU of cityscapesScripts.

    Args:
        groups: The name of each class's group.

    Example:
        >>> matrix = np.array([[4, 0, 1, 0], [0, 3, 2, 0], [0, 1, 5, 0], [0, 0, 0, 0]])
        >>> merge(matrix, ["flat", "vehicle", "vehicle"]).tolist()
        [[4, 1, 0], [0, 11, 0], [0, 0, 0]]
    """
    names = list(dict.fromkeys(groups))
    group_of = [*(names.index(group) for group in groups), len(names)]
    merged = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    np.add.at(merged, np.ix_(group_of, group_of), matrix)
    return merged


def iou(matrix: Confusion, *, void_as_class: bool = False) -> Float64[np.ndarray, " c"]:
    """Return the intersection over union of each class, 0..1; NaN where the class occurs nowhere.

    With `void_as_class` the last of one more value is that of VOID.

    Example:
        >>> matrix = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])  # 2 classes and VOID
        >>> iou(matrix).round(3)
        array([0.333, 0.5  ])
    """
    hits, in_truth, in_prediction = _marginals(matrix, void_as_class=void_as_class)
    return _ratio(hits, in_truth + in_prediction - hits)


def mean_iou(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the mean IoU of the classes that occur, 0..1; NaN if none does.

    Example:
        >>> matrix = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])  # 2 classes and VOID
        >>> round(mean_iou(matrix), 3)
        0.417
    """
    return _mean(iou(matrix, void_as_class=void_as_class))


def pixel_accuracy(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the share of correctly labelled pixels, 0..1; NaN if no pixel is scored.

    Example:
        >>> matrix = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])  # 2 classes and VOID
        >>> pixel_accuracy(matrix)
        0.5
    """
    hits, in_truth, _ = _marginals(matrix, void_as_class=void_as_class)
    return float(_ratio(hits.sum(), in_truth.sum()))


def mean_accuracy(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the mean recall of the classes that occur in the truth, 0..1; NaN if none does.

    Example:
        >>> matrix = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])  # 2 classes and VOID
        >>> round(mean_accuracy(matrix), 3)
        0.667
    """
    hits, in_truth, _ = _marginals(matrix, void_as_class=void_as_class)
    return _mean(_ratio(hits, in_truth))


def frequency_weighted_iou(matrix: Confusion, *, void_as_class: bool = False) -> float:
    """Return the mean IoU weighted by the true pixels of each class, 0..1; NaN if no pixel is scored.

    Example:
        >>> matrix = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])  # 2 classes and VOID
        >>> frequency_weighted_iou(matrix)
        0.375
    """
    _, in_truth, _ = _marginals(matrix, void_as_class=void_as_class)
    by_class = np.nan_to_num(iou(matrix, void_as_class=void_as_class))  # NaN only where the weight is 0
    return float(_ratio((in_truth * by_class).sum(), in_truth.sum()))


def coverage(matrix: Confusion) -> float:
    """Return the share of the pixels with a true class whose prediction is not VOID, 0..1.

    Example:
        >>> matrix = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]])  # 2 classes and VOID
        >>> coverage(matrix)
        0.75
    """
    return float(_ratio(matrix[:-1, :-1].sum(), matrix[:-1].sum()))


def _marginals(
    matrix: Confusion, *, void_as_class: bool
) -> tuple[Int64[np.ndarray, " c"], Int64[np.ndarray, " c"], Int64[np.ndarray, " c"]]:
    """Return the correct, true and predicted pixels of each class, counted on scored pixels only."""
    classes = len(matrix) if void_as_class else len(matrix) - 1
    scored = matrix[:classes]
    return np.diagonal(scored).astype(np.int64), scored.sum(axis=1), scored[:, :classes].sum(axis=0)


def _ratio(part: ArrayLike, whole: ArrayLike) -> Float64[np.ndarray, "*c"]:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing to score
        return np.asarray(np.divide(part, whole), dtype=np.float64)


def _mean(values: Float64[np.ndarray, " c"]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
