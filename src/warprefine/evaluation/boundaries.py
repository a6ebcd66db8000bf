"""Score how well predicted class boundaries lie on the true ones: thin and small things are all boundary.

IoU is mostly about the inside of large regions. The boundary F-score (Csurka et al., BMVC 2013; Perazzi
et al., CVPR 2016) asks for each class which share of the predicted boundary pixels has a true one nearby
(precision), which share of the true ones has a predicted one nearby (recall), and takes the harmonic
mean. Counts of different frames add up; every score is computed from their sum.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from warprefine.core.tensors import VOID, LabelMaps

BoundaryCounts: TypeAlias = Int64[np.ndarray, "c 4"]
"""For each class: predicted boundary pixels, those of them near a true one, true ones, those near a
predicted one."""

TOLERANCE = 0.0075
"""How far apart boundaries may lie, as a share of the image diagonal (Csurka et al., BMVC 2013)."""

_Map: TypeAlias = UInt8[np.ndarray, "h w"]


def count(
    prediction: LabelMaps, truth: LabelMaps, *, class_count: int, tolerance: float = TOLERANCE
) -> BoundaryCounts:
    """Count the boundary pixels of each class and those that are matched; both maps have one size.

    A boundary pixel of a class is one of which either it or its right neighbour has the class, but not
    both, or likewise with its lower neighbour. Where one of the two is VOID in the truth, neither map
    has a boundary: nobody knows what meets there. VOID in the prediction is another class.

    Args:
        tolerance: Distance, in shares of the image diagonal, up to which boundary pixels match; it is
            rounded to whole pixels, and at least one.
    """
    radius = tolerance_px(truth.shape[1], truth.shape[2], tolerance=tolerance)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.uint8)
    counts = np.zeros((class_count, 4), np.int64)
    for predicted, true in zip(prediction.cpu().numpy(), truth.cpu().numpy(), strict=True):
        known = true != VOID
        pairs = known[:, :-1] & known[:, 1:], known[:-1] & known[1:]
        for position in range(class_count):
            of_prediction = _boundary(predicted == position, *pairs)
            of_truth = _boundary(true == position, *pairs)
            counts[position] += _matched(of_prediction, of_truth, disk) + _matched(
                of_truth, of_prediction, disk
            )
    return counts


def tolerance_px(h: int, w: int, *, tolerance: float = TOLERANCE) -> int:
    """Return a share of the diagonal in whole pixels, at least one."""
    return max(1, round(tolerance * math.hypot(h, w)))


def f_score(counts: BoundaryCounts) -> Float64[np.ndarray, " c"]:
    """Return the F-score of each class, 0..1; NaN where a class has a boundary in neither map."""
    predicted, predicted_matched, true, true_matched = counts.T
    with np.errstate(invalid="ignore"):  # 0 / 0 is settled below
        precision, recall = predicted_matched / predicted, true_matched / true
        score = 2 * precision * recall / (precision + recall)
    # A class that only one of the maps has, or of which nothing matches, scores nothing.
    score = np.where(np.minimum(predicted_matched, true_matched) == 0, 0.0, score)
    return np.where(predicted + true == 0, np.nan, score)


def mean_f(counts: BoundaryCounts) -> float:
    """Return the mean F-score of the classes that have a boundary, 0..1; NaN if none has."""
    scores = f_score(counts)
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else float("nan")


def _boundary(
    inside: Bool[np.ndarray, "h w"],
    known_across: Bool[np.ndarray, "h narrow"],
    known_down: Bool[np.ndarray, "low w"],
) -> _Map:
    boundary = np.zeros(inside.shape, bool)
    boundary[:, :-1] = (inside[:, :-1] != inside[:, 1:]) & known_across
    boundary[:-1] |= (inside[:-1] != inside[1:]) & known_down
    return boundary.view(np.uint8)


def _matched(boundary: _Map, others: _Map, disk: UInt8[np.ndarray, "side side"]) -> list[int]:
    """Count the pixels of a boundary, and those that have one of the others within the disk."""
    pixels = cv2.countNonZero(boundary)
    if not pixels:
        return [0, 0]
    return [pixels, cv2.countNonZero(boundary & cv2.dilate(others, disk))]
