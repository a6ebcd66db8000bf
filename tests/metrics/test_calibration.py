"""Tests of metrics/calibration.py: how far confidence can be believed."""

from __future__ import annotations

import numpy as np
import pytest

from warprefine.metrics.calibration import score_confidence
from warprefine.ops.calibration import LEVELS


def counted(*entries: tuple[int, int, int]) -> np.ndarray:
    """Return counts of (level, wrong, right) of one class."""
    hits = np.zeros((2, LEVELS, 2), np.int64)
    for level, wrong, right in entries:
        hits[0, level] = wrong, right
    return hits


def test_confidence_that_is_right_has_no_calibration_error() -> None:
    """Four of five labels of confidence 0.8 are right: the error is 0, and the Brier score that of a coin."""
    scores = score_confidence(counted((204, 20, 80)))

    assert scores.ece == pytest.approx(0)
    assert scores.brier == pytest.approx(16)
    assert scores.confidence == pytest.approx(scores.accuracy)


def test_the_error_weighs_bins_by_their_pixels() -> None:
    """Full confidence in 300 right labels is right, and in 100 of which half are wrong is not."""
    scores = score_confidence(counted((255, 50, 50), (51, 240, 60)))

    assert scores.ece == pytest.approx(100 * (100 * 0.5 + 300 * 0.0) / 400)
    assert [round(one.share, 2) for one in scores.bins] == [0.75, 0.25]


def test_scores_agree_with_their_definition(rng: np.random.Generator) -> None:
    """Counts give what a loop over pixels gives."""
    levels, right = rng.integers(0, LEVELS, 2000), rng.random(2000) < 0.6
    hits = np.zeros((2, LEVELS, 2), np.int64)
    np.add.at(hits[0], (levels, right.astype(int)), 1)
    sure = levels / 255
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [
        (bins == b).mean() * abs(sure[bins == b].mean() - right[bins == b].mean()) for b in np.unique(bins)
    ]

    scores = score_confidence(hits, bins=10)

    assert scores.ece == pytest.approx(100 * sum(gaps))
    assert scores.brier == pytest.approx(100 * float(np.mean((sure - right) ** 2)))


def test_nothing_is_measured_without_pixels() -> None:
    """Scores of nothing are missing, not 0."""
    assert score_confidence(counted()).to_json() == {
        "ece": None,
        "brier": None,
        "confidence": None,
        "accuracy": None,
        "bins": [],
    }
