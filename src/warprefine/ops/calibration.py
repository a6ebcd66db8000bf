"""Calibrate confidence: learn from hand-made labels how often labels of a confidence are right.

Confidence has 256 levels, as it is written, so all that a calibration is fitted to and scored by is a table
of counts: labels of a class at a level of confidence that are wrong or right. Counts of frames add up.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float64, Int64

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID, Confidence, LabelMaps

LEVELS = 256
"""Levels of confidence in a file: level i is i / 255."""
Hits: TypeAlias = Int64[np.ndarray, "n 256 2"]
"""Pixels by label (n = number of classes + 1, VOID last), level of confidence, and wrong (0) or right (1)."""
CalibrationTable: TypeAlias = Float64[np.ndarray, "n 256"]
"""The calibrated confidence, 0 to 1, by label and level of raw confidence; it never falls with the level."""
ConfidenceSums: TypeAlias = Int64[np.ndarray, "n 2"]
"""By label, VOID last: the number of pixels, and the sum of their levels of confidence."""

SHRINKAGE = 20_000.0
"""Pixels that a class needs until its own curve weighs as much as that of all classes together: neighbouring
pixels are right or wrong together, and an object of 480x360 frames has hundreds to thousands of them."""
_DOUBT = 8.0
"""Right and wrong pixels that each level is given beforehand, so that nothing is certain."""
_ROUNDS = 60
"""Steps of Newton's method; it converges in about ten."""


def count_hits(labels: LabelMaps, confidence: Confidence, truth: LabelMaps, *, class_count: int) -> Hits:
    """Count the pixels whose truth is a class, by label, level of confidence, and wrong or right.

    Raises:
        LabelError: A label is no class.

    Example:
        >>> labels = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
        >>> truth = torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8)
        >>> hits = count_hits(labels, torch.tensor([[[1.0, 0.2, 0.9]]]), truth, class_count=2)
        >>> int(hits.sum()), hits[0, 255].tolist(), hits[0, 51].tolist()
        (2, [0, 1], [1, 0])
    """
    scored = truth != VOID
    rows, right = _rows(labels, class_count)[scored], (labels == truth)[scored]
    flat = (rows * LEVELS + levels_of(confidence)[scored]) * 2 + right
    counts: Hits = torch.bincount(flat, minlength=(class_count + 1) * LEVELS * 2).cpu().numpy()
    return counts.reshape(class_count + 1, LEVELS, 2)


def levels_of(confidence: Confidence) -> torch.Tensor:
    """Return the level of each confidence, 0 to 255, as files have it.

    Example:
        >>> levels_of(torch.tensor([[[0.0, 0.5, 1.0]]])).tolist()
        [[[0, 128, 255]]]
    """
    return (confidence.clamp(0, 1) * (LEVELS - 1)).round().long()


def calibrate(labels: LabelMaps, confidence: Confidence, table: CalibrationTable) -> Confidence:
    """Return the calibrated confidence of each pixel.

    Args:
        labels: Class positions or VOID.
        confidence: The raw confidence, 0 to 1.
        table: As `fit_calibration` returns it, for these classes.

    Raises:
        LabelError: A label is no class of the table.

    Example:
        >>> table = np.tile(np.linspace(0.1, 0.9, LEVELS), (3, 1))
        >>> labels = torch.tensor([[[0, VOID]]], dtype=torch.uint8)
        >>> calibrate(labels, torch.tensor([[[1.0, 0.0]]]), table).tolist()
        [[[0.8999999761581421, 0.10000000149011612]]]
    """
    rows = _rows(labels, len(table) - 1)
    return torch.from_numpy(table).float().to(labels.device)[rows, levels_of(confidence)]


def confidence_sums(labels: LabelMaps, confidence: Confidence, *, class_count: int) -> ConfidenceSums:
    """Return, by label, the number of pixels and the sum of their levels of confidence.

    The expected number of right labels is that sum divided by 255.

    Example:
        >>> labels = torch.tensor([[[0, 0, VOID]]], dtype=torch.uint8)
        >>> confidence_sums(labels, torch.tensor([[[1.0, 0.2, 0.0]]]), class_count=1).tolist()
        [[2, 306], [1, 0]]
    """
    rows, levels = _rows(labels, class_count).flatten(), levels_of(confidence).flatten()
    pixels = torch.bincount(rows, minlength=class_count + 1)
    sums = torch.bincount(rows, weights=levels.double(), minlength=class_count + 1).long()
    return torch.stack([pixels, sums], dim=1).cpu().numpy()


def fit_calibration(hits: Hits) -> CalibrationTable:
    """Fit calibrated confidence to counts: temperature over all classes, and a rising curve for each class.

    Temperature and bias (Platt 1999; Guo et al., ICML 2017) are those of all labels together:
    logit(calibrated) = a · logit(raw) + b with a >= 0. A class has a curve of its own by isotonic regression
    (Zadrozny and Elkan, KDD 2002), which starts from that of all classes: the more pixels the class has, the
    less that counts. VOID is a label like any other; where the truth is a class it is never right.

    Args:
        hits: Counts of held-out pixels; without any, confidence stays as it is.

    Example:
        >>> hits = np.zeros((2, LEVELS, 2), np.int64)
        >>> hits[0, 255] = 300_000, 700_000  # labels of full confidence are right in 70 %
        >>> round(float(fit_calibration(hits)[0, 255]), 2)
        0.7
    """
    raw = np.linspace(0, 1, LEVELS)
    if not hits.any():
        return np.tile(raw, (len(hits), 1))
    of_all = _temperature(hits[:-1].sum(axis=0))
    return np.stack([_curve(of_label, of_all) for of_label in hits])


def _temperature(hits: Int64[np.ndarray, "256 2"]) -> Float64[np.ndarray, " 256"]:
    """Fit slope and bias of the logit by Newton's method, all pixels weighing alike."""
    counts = hits.astype(np.float64)
    x = _logit(np.linspace(0, 1, LEVELS))
    features = np.stack([x, np.ones(LEVELS)], axis=1)
    weights, right = counts.sum(axis=1), counts[:, 1]
    scale = 1 / max(1.0, weights.sum())
    prior = np.diag([1e-4, 1e-4])  # without wrong pixels there would be no finite answer
    solution = np.array([1.0, 0.0])
    for _ in range(_ROUNDS):
        p = _sigmoid(features @ solution)
        gradient = scale * features.T @ (weights * p - right) + prior @ (solution - [1.0, 0.0])
        curvature = scale * (features.T * (weights * p * (1 - p))) @ features + prior
        step = np.linalg.solve(curvature, gradient)
        solution -= step / max(1.0, float(np.abs(step).max()))
    if solution[0] < 0:  # confidence is worth nothing: the share of right labels is all that is known
        return np.full(LEVELS, (right.sum() + 1) / (weights.sum() + 2))
    return _sigmoid(features @ solution)


def _curve(
    hits: Int64[np.ndarray, "256 2"], of_all: Float64[np.ndarray, " 256"]
) -> Float64[np.ndarray, " 256"]:
    """Return the rising curve of a label, drawn to that of all labels where it has few pixels."""
    counts = hits.astype(np.float64)
    weights = counts.sum(axis=1)
    total = weights.sum()
    # The prior lies where the pixels of the label lie, so that its weight is compared with theirs.
    prior = SHRINKAGE * (weights / total if total else np.full(LEVELS, 1 / LEVELS)) + _DOUBT
    return rising((counts[:, 1] + prior * of_all) / (weights + prior), weights + prior)


def rising(
    values: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return the nearest sequence that never falls, in weighted least squares (pool adjacent violators).

    Example:
        >>> rising(np.array([0.2, 0.6, 0.4]), np.array([1.0, 1.0, 3.0])).round(2).tolist()
        [0.2, 0.45, 0.45]
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            before = blocks.pop()
            together = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / together
            block = (mean, together, before[2] + block[2])
        blocks.append(block)
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def _rows(labels: LabelMaps, class_count: int) -> torch.Tensor:
    """Return the row of a table for each label."""
    rows = labels.long()
    rows = torch.where(labels == VOID, class_count, rows)
    if rows.numel() and int(rows.max()) > class_count:
        raise LabelError(
            f"a label map holds class {int(rows.max())}, expected 0 to {class_count - 1} or VOID ({VOID}); "
            "read it with the classes of this data set"
        )
    return rows


def _logit(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    inside = np.clip(values, 0.5 / LEVELS, 1 - 0.5 / LEVELS)
    logits: Float64[np.ndarray, " n"] = np.log(inside / (1 - inside))
    return logits


def _sigmoid(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    shares: Float64[np.ndarray, " n"] = 1 / (1 + np.exp(-values))
    return shares
