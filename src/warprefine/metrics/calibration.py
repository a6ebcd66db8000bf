"""Score confidence against truth: expected calibration error, Brier score, reliability diagram.

All scores come from counts of pixels (`ops.calibration.Hits`), never from means over images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warprefine.ops.calibration import LEVELS, Hits

BINS = 15
"""Bins of equal width, as in Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017)."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Labels of similar confidence.

    Attributes:
        confidence: Their mean confidence, 0 to 1.
        accuracy: The share of them that is right.
        share: Their share of all labels.
    """

    confidence: float
    accuracy: float
    share: float


@dataclass(frozen=True, kw_only=True)
class CalibrationScores:
    """How far confidence can be believed, in percent; None where there is nothing to measure.

    Attributes:
        ece: Expected calibration error: the mean distance between confidence and accuracy, over the bins.
        brier: Brier score: the mean squared distance between confidence and 1 (right) or 0 (wrong).
        confidence: The mean confidence, which is the expected accuracy.
        accuracy: The share of the labels that are right.
        bins: The reliability diagram, in order of confidence; bins without labels are left out.
    """

    ece: float | None
    brier: float | None
    confidence: float | None
    accuracy: float | None
    bins: Sequence[ReliabilityBin]

    def to_json(self) -> Mapping[str, object]:
        """Return the scores as they are written."""
        return {
            "ece": _rounded(self.ece),
            "brier": _rounded(self.brier),
            "confidence": _rounded(self.confidence),
            "accuracy": _rounded(self.accuracy),
            "bins": [[round(v, 6) for v in (b.confidence, b.accuracy, b.share)] for b in self.bins],
        }


def score_confidence(hits: Hits, *, bins: int = BINS) -> CalibrationScores:
    """Score confidence by counts of pixels.

    Args:
        hits: Pixels by label, level of confidence, and wrong or right; labels are scored together.
        bins: Bins of equal width.

    Example:
        >>> hits = np.zeros((2, LEVELS, 2), np.int64)
        >>> hits[0, 204] = 40, 60  # 100 labels of confidence 0.8, of which 60 are right
        >>> scores = score_confidence(hits)
        >>> round(scores.ece, 6), round(scores.brier, 6), scores.accuracy
        (20.0, 28.0, 60.0)
    """
    by_level = hits.sum(axis=0).astype(np.float64)
    pixels = by_level.sum(axis=1)
    total = pixels.sum()
    if not total:
        return CalibrationScores(ece=None, brier=None, confidence=None, accuracy=None, bins=())
    values = np.linspace(0, 1, LEVELS)
    wrong, right = by_level.T
    brier = (wrong * values**2 + right * (1 - values) ** 2).sum() / total
    places = np.minimum((values * bins).astype(int), bins - 1)
    found = []
    for place in range(bins):
        of_bin = pixels[places == place].sum()
        if of_bin:
            found.append(
                ReliabilityBin(
                    confidence=float((pixels * values)[places == place].sum() / of_bin),
                    accuracy=float(right[places == place].sum() / of_bin),
                    share=float(of_bin / total),
                )
            )
    return CalibrationScores(
        ece=100 * sum(one.share * abs(one.confidence - one.accuracy) for one in found),
        brier=100 * float(brier),
        confidence=100 * float((pixels * values).sum() / total),
        accuracy=100 * float(right.sum() / total),
        bins=tuple(found),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
