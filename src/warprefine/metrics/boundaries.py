"""Boundary F-score: how well predicted class boundaries match the true ones.

IoU is dominated by the interior of large regions; thin and small objects are mostly boundary. The boundary
F-score (Csurka et al., BMVC 2013; Perazzi et al., CVPR 2016) of a class is the harmonic mean of precision,
the share of predicted boundary pixels with a true one nearby, and recall, the share of true ones with a
predicted one nearby. Counts of different frames add up; every score is computed from their sum.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from warprefine.core.tensors import VOID, LabelMaps, size_of
from warprefine.ops.boundary_loops import columns_by_class, count_matched

BoundaryCounts: TypeAlias = Int64[np.ndarray, "c 4"]
"""For each class: predicted boundary pixels, those of them near a true one, true ones, those near a
predicted one."""

BOUNDARY_TOLERANCE = 0.0075
"""Distance up to which boundary pixels match, as a share of the image diagonal (Csurka et al., BMVC 2013)."""

_Map: TypeAlias = UInt8[np.ndarray, "h w"]
_Mask: TypeAlias = Bool[np.ndarray, "h w"]


def count_boundaries(
    prediction: LabelMaps, truth: LabelMaps, *, class_count: int, tolerance: float = BOUNDARY_TOLERANCE
) -> BoundaryCounts:
    """Count the boundary pixels of each class and those that are matched; both maps have one size.

    A pixel is on the boundary of a class if exactly one of it and its right neighbour has the class, or
    exactly one of it and its lower neighbour. Where one of the two is VOID in the truth, neither map has
    a boundary, since the true one is unknown. VOID in the prediction is treated as another class.

    Args:
        tolerance: Distance, in shares of the image diagonal, up to which boundary pixels match; it is
            rounded to whole pixels, and at least one.

    Example:
        >>> import torch
        >>> truth = torch.tensor([[[0, 0, 0, 1, 1]] * 4], dtype=torch.uint8)
        >>> prediction = torch.tensor([[[0, 1, 1, 1, 1]] * 4], dtype=torch.uint8)
        >>> count_boundaries(prediction, truth, class_count=2).tolist()  # 2 pixels off, 1 allowed
        [[4, 0, 4, 0], [4, 0, 4, 0]]
    """
    h, w = size_of(truth)
    radius = boundary_tolerance_px(h, w, tolerance=tolerance)
    reach = np.array([math.isqrt(radius**2 - rows**2) for rows in range(radius + 1)])
    counts = np.zeros((class_count, 4), np.int64)
    for predicted, true in zip(prediction.cpu().numpy(), truth.cpu().numpy(), strict=True):
        in_prediction, in_truth = (
            columns_by_class(labels, *_boundary(labels, valid=true != VOID), class_count)
            for labels in (predicted, true)
        )
        size = class_count, h, w
        counts[:, :2] += count_matched(in_prediction, in_truth, reach, size)
        counts[:, 2:] += count_matched(in_truth, in_prediction, reach, size)
    return counts


def boundary_tolerance_px(h: int, w: int, *, tolerance: float = BOUNDARY_TOLERANCE) -> int:
    """Convert a tolerance from shares of the image diagonal to whole pixels, at least one.

    Example:
        >>> boundary_tolerance_px(1024, 2048)
        17
    """
    return max(1, round(tolerance * math.hypot(h, w)))


def boundary_f_score(counts: BoundaryCounts) -> Float64[np.ndarray, " c"]:
    """Return the boundary F-score of each class, 0..1; NaN where a class has a boundary in neither map.

    Example:
        >>> counts = np.array([[10, 5, 20, 5], [0, 0, 0, 0]])  # precision 1/2, recall 1/4; no boundary
        >>> boundary_f_score(counts).round(3)
        array([0.333,   nan])
    """
    predicted, predicted_matched, true, true_matched = counts.T
    with np.errstate(invalid="ignore"):  # 0 / 0 is replaced below
        precision, recall = predicted_matched / predicted, true_matched / true
        score = 2 * precision * recall / (precision + recall)
    # A class with a boundary in only one map, or without any match, scores 0.
    score = np.where(np.minimum(predicted_matched, true_matched) == 0, 0.0, score)
    return np.where(predicted + true == 0, np.nan, score)


def mean_boundary_f_score(counts: BoundaryCounts) -> float:
    """Return the mean boundary F-score of the classes that have a boundary, 0..1; NaN if none has.

    Example:
        >>> counts = np.array([[10, 10, 10, 10], [4, 0, 4, 0], [0, 0, 0, 0]])
        >>> mean_boundary_f_score(counts)  # of 1 and 0; the third class has no boundary
        0.5
    """
    scores = boundary_f_score(counts)
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else float("nan")


def _boundary(labels: _Map, *, valid: _Mask) -> tuple[_Mask, _Mask]:
    """Mark the pixels that a boundary divides from their right neighbours, and from their lower ones."""
    across, down = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    across[:, :-1] = (labels[:, :-1] != labels[:, 1:]) & valid[:, :-1] & valid[:, 1:]
    down[:-1] = (labels[:-1] != labels[1:]) & valid[:-1] & valid[1:]
    return across, down
