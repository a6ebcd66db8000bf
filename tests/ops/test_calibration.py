"""Tests of ops/calibration.py: counts of right and wrong labels, and confidence that is fitted to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.ops.calibration import (
    LEVELS,
    calibrate,
    confidence_sums,
    count_hits,
    fit_calibration,
    levels_of,
    rising,
)


def overconfident(rng: np.random.Generator, *, pixels: int, slope: float) -> np.ndarray:
    """Count labels of one class, right with the probability sigmoid(slope · logit(confidence))."""
    levels = rng.integers(1, LEVELS - 1, pixels)
    sure = levels / (LEVELS - 1)
    right = rng.random(pixels) < 1 / (1 + ((1 - sure) / sure) ** slope)
    hits = np.zeros((2, LEVELS, 2), np.int64)
    np.add.at(hits[0], (levels, right.astype(int)), 1)
    return hits


def test_pixels_are_counted_by_label_level_and_truth() -> None:
    """Pixels whose truth is VOID are not counted; a label of VOID is wrong where the truth is a class."""
    labels = torch.tensor([[[0, 1, VOID, 1]]], dtype=torch.uint8)
    truth = torch.tensor([[[0, 0, 1, VOID]]], dtype=torch.uint8)
    sure = torch.tensor([[[1.0, 0.0, 0.2, 1.0]]])

    hits = count_hits(labels, sure, truth, class_count=2)

    assert {(*place.tolist(), int(hits[tuple(place)])) for place in np.argwhere(hits)} == {
        (0, 255, 1, 1),
        (1, 0, 0, 1),
        (2, 51, 0, 1),
    }


def test_temperature_of_overconfident_labels_is_found(rng: np.random.Generator) -> None:
    """Confidence that claims too much is lowered to what is right, over its whole range."""
    table = fit_calibration(overconfident(rng, pixels=400_000, slope=0.5))

    sure = np.array([0.6, 0.8, 0.9, 0.98])
    expected = 1 / (1 + ((1 - sure) / sure) ** 0.5)
    assert table[0, np.rint(sure * 255).astype(int)] == pytest.approx(expected, abs=0.02)


def test_a_class_with_few_pixels_follows_all_classes(rng: np.random.Generator) -> None:
    """Ten pixels that happen to be wrong do not make a class worthless; half a million do."""
    common = overconfident(rng, pixels=400_000, slope=1.0)
    few, many = (np.concatenate([common[:1], common[:1] * 0, common[1:]]) for _ in range(2))
    few[1, 230, 0], many[1, 230, 0] = 10, 500_000

    assert fit_calibration(few)[1, 230] == pytest.approx(230 / 255, abs=0.03)
    assert fit_calibration(many)[1, 230] < 0.1


def test_calibrated_confidence_never_falls_with_the_raw_one(rng: np.random.Generator) -> None:
    """Ranking by confidence stays what it was, whatever was counted."""
    hits = rng.integers(0, 50, (4, LEVELS, 2))

    assert (np.diff(fit_calibration(hits), axis=1) >= 0).all()


def test_confidence_that_is_worth_nothing_becomes_the_share_of_right_labels() -> None:
    """Where sure labels are wrong more often than unsure ones, all get the same confidence."""
    hits = np.zeros((2, LEVELS, 2), np.int64)
    hits[0, 20], hits[0, 250] = (100, 900), (900, 100)

    assert fit_calibration(hits)[0, [20, 250]] == pytest.approx([0.5, 0.5], abs=0.03)


def test_without_pixels_confidence_stays_as_it_is() -> None:
    """Nothing is known, so nothing changes."""
    labels = torch.zeros((1, 1, 3), dtype=torch.uint8)
    sure = torch.tensor([[[0.0, 0.4, 1.0]]])

    found = calibrate(labels, sure, fit_calibration(np.zeros((2, LEVELS, 2), np.int64)))

    assert torch.allclose(found, sure, atol=1 / 510)


def test_certain_labels_that_were_all_right_are_almost_certain() -> None:
    """A finite number of right pixels proves no certainty, but comes near it."""
    hits = np.zeros((2, LEVELS, 2), np.int64)
    hits[0, 255, 1] = 1_000_000

    assert 0.99 < fit_calibration(hits)[0, 255] < 1


def test_sums_have_every_pixel_once() -> None:
    """Pixels and levels are added up by label, VOID last."""
    labels = torch.tensor([[[1, 1, VOID]]], dtype=torch.uint8)

    assert confidence_sums(labels, torch.tensor([[[1.0, 0.5, 0.0]]]), class_count=2).tolist() == [
        [0, 0],
        [2, 383],
        [1, 0],
    ]


def test_levels_are_those_of_files() -> None:
    """They round as `write_gray` does, so counts and files agree."""
    assert levels_of(torch.tensor([[[0.1, 0.999, 1.0]]])).tolist() == [[[26, 255, 255]]]


def test_rising_sequences_stay_and_others_are_pooled() -> None:
    """Neighbours that fall become their weighted mean."""
    assert rising(np.array([0.1, 0.2]), np.ones(2)).tolist() == [0.1, 0.2]
    assert rising(np.array([0.9, 0.5, 0.1]), np.array([1.0, 1.0, 2.0])).tolist() == pytest.approx([0.4] * 3)


def test_labels_of_other_classes_are_refused() -> None:
    """A table of one class knows nothing of class 3."""
    labels = torch.full((1, 1, 1), 3, dtype=torch.uint8)

    with pytest.raises(LabelError, match=r"holds class 3, expected 0 to 0 or VOID \(255\)"):
        calibrate(labels, torch.ones(1, 1, 1), np.ones((2, LEVELS)))
