"""Check the boundary F-score against cases counted by hand and against a search over all pairs of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from warprefine.core.tensors import VOID
from warprefine.metrics.boundaries import (
    boundary_f_score,
    boundary_tolerance_px,
    count_boundaries,
    mean_boundary_f_score,
)

H, W = 300, 400  # a diagonal of 500 pixels, so that boundaries match up to 4 pixels apart

label_arrays = npst.arrays(np.uint8, (1, 7, 8), elements=st.sampled_from([0, 1, 2, VOID]))


@st.composite
def pairs_of_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth of any size down to one pixel, with VOID and a class beyond the last."""
    shape = draw(st.tuples(st.just(1), st.integers(1, 14), st.integers(1, 14)))
    labels = npst.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, VOID]), fill=st.just(1))
    return draw(labels), draw(labels)


def halves(edge: int, *, h: int = H, w: int = W) -> torch.Tensor:
    """Class 0 on the left and class 1 from column `edge` on."""
    labels = torch.zeros((1, h, w), dtype=torch.uint8)
    labels[:, :, edge:] = 1
    return labels


def found_by_search(
    prediction: np.ndarray, truth: np.ndarray, class_count: int, radius: int
) -> list[list[int]]:
    """Do what `count_boundaries` does pixel by pixel and pair by pair."""

    def boundary(labels: np.ndarray, position: int) -> set[tuple[int, int]]:
        h, w = labels.shape
        return {
            (y, x)
            for y in range(h)
            for x in range(w)
            for v, u in ((y, x + 1), (y + 1, x))
            if v < h
            and u < w
            and (labels[y, x] == position) != (labels[v, u] == position)
            and VOID not in (truth[y, x], truth[v, u])
        }

    def near(pixels: set[tuple[int, int]], others: set[tuple[int, int]]) -> int:
        return sum(any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in pixels)

    rows = []
    for position in range(class_count):
        predicted, true = boundary(prediction, position), boundary(truth, position)
        rows.append([len(predicted), near(predicted, true), len(true), near(true, predicted)])
    return rows


def test_where_two_classes_meet_both_have_a_boundary():
    """The boundary is one pixel wide, and the border of the picture is none."""
    labels = halves(3, h=4, w=6)

    counts = count_boundaries(labels, labels, class_count=3)

    assert counts.tolist() == [[4, 4, 4, 4], [4, 4, 4, 4], [0, 0, 0, 0]]


@pytest.mark.parametrize(("shift", "matched"), [(0, H), (4, H), (-4, H), (5, 0)])
def test_boundaries_match_within_a_share_of_the_diagonal(shift, matched):
    """0.75 % of a diagonal of 500 pixels is 4, in either direction."""
    counts = count_boundaries(halves(200 + shift), halves(200), class_count=2)

    assert counts.tolist() == [[H, matched, H, matched]] * 2


def test_the_tolerance_is_the_users_to_choose():
    """One percent of the diagonal is five pixels."""
    counts = count_boundaries(halves(205), halves(200), class_count=1, tolerance=0.01)

    assert counts.tolist() == [[H, H, H, H]]


@pytest.mark.parametrize(("h", "w", "expected"), [(1024, 2048, 17), (360, 480, 4), (8, 8, 1)])
def test_the_tolerance_is_whole_pixels_and_never_none(h, w, expected):
    """Half a pixel of a tiny picture is one; of Cityscapes it is 17."""
    assert boundary_tolerance_px(h, w) == expected


def test_a_boundary_to_the_unknown_is_none():
    """What the truth leaves void has no boundary, whatever is predicted there; predicted void has one."""
    truth, nothing = halves(3, h=4, w=6), halves(6, h=4, w=6)
    truth[truth == 1] = VOID

    assert count_boundaries(halves(4, h=4, w=6), truth, class_count=2).tolist() == [[0] * 4] * 2
    assert count_boundaries(truth, nothing, class_count=1).tolist() == [[4, 0, 0, 0]]


@settings(max_examples=40)
@given(prediction=label_arrays, truth=label_arrays, radius=st.integers(1, 3))
def test_counts_agree_with_a_search_over_all_pairs(prediction, truth, radius):
    """A boundary pixel is matched if one of the other map lies within the radius, in a straight line."""
    maps = torch.from_numpy(prediction), torch.from_numpy(truth)
    counts = count_boundaries(*maps, class_count=3, tolerance=radius / float(np.hypot(7, 8)))

    assert counts.tolist() == found_by_search(prediction[0], truth[0], 3, radius)


def found_by_dilation(
    prediction: np.ndarray, truth: np.ndarray, class_count: int, radius: int
) -> list[list[int]]:
    """Do what `count_boundaries` does with maps of whole frames, class by class."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.uint8)
    known = truth != VOID

    def boundary(inside: np.ndarray) -> np.ndarray:
        found = np.zeros(inside.shape, np.uint8)
        found[:, :-1] |= (inside[:, :-1] != inside[:, 1:]) & known[:, :-1] & known[:, 1:]
        found[:-1] |= (inside[:-1] != inside[1:]) & known[:-1] & known[1:]
        return found

    rows = []
    for position in range(class_count):
        predicted, true = boundary(prediction == position), boundary(truth == position)
        near_true, near_predicted = cv2.dilate(true, disk), cv2.dilate(predicted, disk)
        found = predicted, predicted & near_true, true, true & near_predicted
        rows.append([int(marked.sum()) for marked in found])
    return rows


@settings(max_examples=150)
@given(maps=pairs_of_maps(), radius=st.integers(1, 16))
def test_counts_agree_with_dilated_maps(maps, radius):
    """Frames of any size, down to a single pixel, and distances beyond their borders are no exception."""
    prediction, truth = maps
    tolerance = radius / float(np.hypot(*truth.shape[1:]))
    counts = count_boundaries(*map(torch.from_numpy, maps), class_count=3, tolerance=tolerance)

    assert counts.tolist() == found_by_dilation(prediction[0], truth[0], 3, radius)


@pytest.mark.parametrize("radius", [1, 4, 17])
def test_counts_of_large_maps_agree_with_dilated_maps(rng, radius):
    """Regions of many shapes, of which the prediction has moved and lost some."""
    noise = [cv2.resize(rng.random((12, 16), np.float32), (320, 240)) for _ in range(9)]
    truth = np.argmax(noise, axis=0).astype(np.uint8)
    prediction = np.roll(truth, (2, 5), axis=(0, 1))
    prediction[100:160], truth[:, 250:290] = 8, VOID

    maps = (torch.from_numpy(labels)[None] for labels in (prediction, truth))
    counts = count_boundaries(*maps, class_count=9, tolerance=radius / 400)

    assert counts.tolist() == found_by_dilation(prediction, truth, 9, radius)
    assert 0 < counts[:, 1].sum() < counts[:, 0].sum()


def test_counts_of_frames_add_up():
    """Two frames counted one by one or together are the same."""
    frames, truths = torch.cat([halves(100), halves(202)]), torch.cat([halves(200), halves(200)])

    together = count_boundaries(frames, truths, class_count=2)
    apart = sum(count_boundaries(frames[i : i + 1], truths[:1], class_count=2) for i in (0, 1))

    assert (together == apart).all()
    assert together[0].tolist() == [2 * H, H, 2 * H, H]


def test_f_is_the_harmonic_mean_of_precision_and_recall():
    """Half of the predicted is right and a quarter of the true is found: 1/3."""
    assert boundary_f_score(np.array([[10, 5, 20, 5]])).tolist() == pytest.approx([1 / 3])


def test_a_class_without_boundaries_has_no_score_and_one_that_is_not_matched_scores_zero():
    """Invented, missed and misplaced boundaries are worth nothing; what occurs nowhere has no part."""
    counts = np.array([[10, 10, 10, 10], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 3, 0], [2, 0, 2, 0]])

    scores = boundary_f_score(counts)

    assert scores[[0, 2, 3, 4]].tolist() == [1, 0, 0, 0]
    assert np.isnan(scores[1])
    assert mean_boundary_f_score(counts) == pytest.approx(1 / 4)
    assert np.isnan(mean_boundary_f_score(counts[1:2]))
