"""Tests of ops/smoothing.py: flicker goes, poles stay, and nobody is believed without trust."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from torch import Tensor

from warprefine.core.tensors import VOID
from warprefine.ops.smoothing import Neighbour, smooth, thin_structures
from warprefine.ops.soft_labels import SoftLabels, warp_soft

pytestmark = pytest.mark.usefixtures("with_and_without_loops")

ROAD, CAR, POLE = 0, 1, 2
H, W = 12, 16


def flat() -> Tensor:
    """Return a label map that is road everywhere, (1, H, W)."""
    return torch.full((1, H, W), ROAD, dtype=torch.uint8)


def flicker() -> Tensor:
    """Return a road on which one frame sees a car that is not there."""
    labels = flat()
    labels[0, 4:8, 5:10] = CAR
    return labels


def with_pole() -> Tensor:
    """Return a road with a pole one pixel wide."""
    labels = flat()
    labels[0, 2:10, 7] = POLE
    return labels


def probably(labels: Tensor, share: float) -> SoftLabels:
    """Return label maps with the same share everywhere; the rest is unknown."""
    return SoftLabels.of_labels(labels).scaled(torch.full(labels.shape, share))


def neighbour(soft: SoftLabels, *, trust: float = 1, x: float = 0) -> Neighbour:
    """Return a neighbour with the same trust and the same motion to the right everywhere."""
    b, _, h, w = soft.labels.shape
    flow = torch.zeros(b, 2, h, w)
    flow[:, 0] = x
    return Neighbour(soft=soft, flow=flow, trust=torch.full((b, h, w), float(trust)))


def opened(labels: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Mark what the opening of each label's region leaves, one label after the other."""
    square, left = np.ones((size, size), np.uint8), np.zeros(labels.shape, np.bool_)
    for label in np.unique(labels):
        left |= cv2.morphologyEx((labels == label).astype(np.uint8), cv2.MORPH_OPEN, square) > 0
    return left


def test_two_trusted_neighbours_remove_a_flicker() -> None:
    """What one frame sees and the frames before and after do not is gone, with two votes of three."""
    around = neighbour(SoftLabels.of_labels(flat()))

    soft = smooth(SoftLabels.of_labels(flicker()), [around, around], weight=1.0)

    labels, share = soft.harden()
    assert torch.equal(labels, flat())
    torch.testing.assert_close(share[flicker() == CAR], torch.full((20,), 2 / 3))
    torch.testing.assert_close(soft.dense(3)[:, CAR][flicker() == CAR], torch.full((20,), 1 / 3))


def test_one_trusted_neighbour_is_not_enough_at_half_weight() -> None:
    """A frame counts more than a single neighbour, which alone cannot overrule it."""
    labels, share = smooth(
        SoftLabels.of_labels(flicker()), [neighbour(SoftLabels.of_labels(flat()))]
    ).harden()

    assert torch.equal(labels, flicker())
    torch.testing.assert_close(share[flicker() == CAR], torch.full((20,), 1 / 1.5))


def test_neighbours_without_trust_change_nothing() -> None:
    """Where no neighbour is trusted the flicker stays, and stays certain."""
    doubted = neighbour(SoftLabels.of_labels(flat()), trust=0)

    labels, share = smooth(SoftLabels.of_labels(flicker()), [doubted, doubted], weight=1.0).harden()

    assert torch.equal(labels, flicker())
    assert bool((share == 1).all())


def test_trust_counts_pixel_by_pixel() -> None:
    """A neighbour trusted in the left half of the picture removes only what is there."""
    around = neighbour(SoftLabels.of_labels(flat()))
    around.trust[..., 7:] = 0

    labels, _ = smooth(SoftLabels.of_labels(flicker()), [around, around], weight=1.0).harden()

    assert torch.equal(labels[..., :7], flat()[..., :7])
    assert torch.equal(labels[..., 7:], flicker()[..., 7:])


def test_no_neighbours_give_the_same_soft_labels() -> None:
    """A frame on its own keeps what it has, unknown shares among it."""
    planes = torch.rand(2, 5, H, W).softmax(dim=1) * 0.9
    soft_b = SoftLabels.of_probabilities(planes, most=4)

    soft = smooth(soft_b, [])

    assert torch.equal(soft.labels, soft_b.labels)
    assert torch.equal(soft.shares, soft_b.shares)


def test_a_pole_outlives_neighbours_that_have_none() -> None:
    """What is one pixel wide keeps its label and its shares, although all neighbours miss it."""
    around = neighbour(SoftLabels.of_labels(flat()))
    pole = with_pole() == POLE

    soft = smooth(probably(with_pole(), 0.625), [around] * 4, weight=1.0)

    labels, share = soft.harden()
    assert torch.equal(labels, with_pole())
    assert set(share[pole].tolist()) == {0.625}
    assert not bool(soft.shares[:, 1:][:, :, pole[0]].any())


def test_without_a_thin_size_a_pole_is_voted_away() -> None:
    """It is the guard for thin structures, and nothing else, that keeps a pole."""
    around = neighbour(SoftLabels.of_labels(flat()))

    labels, _ = smooth(SoftLabels.of_labels(with_pole()), [around] * 2, weight=1.0, thin=1).harden()

    assert torch.equal(labels, flat())


def test_a_thin_gap_of_nothing_known_is_filled() -> None:
    """A crack without labels is no structure: it gets the labels of the neighbours."""
    labelled = torch.ones(1, H, W)
    labelled[..., 7] = 0

    labels, _ = smooth(
        SoftLabels.of_labels(flat()).scaled(labelled), [neighbour(SoftLabels.of_labels(flat()))]
    ).harden()

    assert torch.equal(labels, flat())


def test_convention_neighbours_are_carried_along_their_flow() -> None:
    """A car that will be 3 pixels further right in the next frame confirms the car where it is now."""
    later = torch.roll(flicker(), 3, dims=2)

    soft = smooth(SoftLabels.of_labels(flicker()), [neighbour(SoftLabels.of_labels(later), x=3)], weight=1.0)

    assert torch.equal(soft.harden()[0], flicker())
    assert bool((soft.shares[:, 0, :, : W - 3] == 1).all())


def test_a_trusted_neighbour_that_knows_nothing_lowers_all_shares() -> None:
    """Where the flow leads out of the neighbour, its weight goes to the unknown."""
    soft = smooth(SoftLabels.of_labels(flat()), [neighbour(SoftLabels.of_labels(flat()), x=4)], weight=1.0)

    assert set(soft.shares[0, 0, :, : W - 4].flatten().tolist()) == {1}
    assert set(soft.shares[0, 0, :, W - 4 :].flatten().tolist()) == {0.5}


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    weight=st.floats(0, 3, width=32),
    count=st.integers(0, 3),
    most=st.integers(1, 5),
)
def test_smoothed_shares_are_the_weighted_mean(seed: int, weight: float, count: int, most: int) -> None:
    """Shares are the mean of all frames by weight and trust, from 0 to 1, largest first."""
    torch.manual_seed(seed)

    def soft() -> SoftLabels:
        return SoftLabels.of_probabilities((3 * torch.randn(1, 5, 6, 7)).softmax(dim=1), most=5)

    soft_b = soft()
    around = [
        Neighbour(soft=soft(), flow=2 * torch.randn(1, 2, 6, 7), trust=torch.rand(1, 6, 7))
        for _ in range(count)
    ]
    planes, total = soft_b.dense(5), torch.ones(1, 6, 7)
    for each in around:
        planes = planes + warp_soft(each.soft, each.flow, most=5).dense(5) * weight * each.trust[:, None]
        total = total + weight * each.trust
    thin = thin_structures(soft_b.harden()[0])
    wanted = torch.where(thin[:, None], soft_b.dense(5), planes / total[:, None])

    shares = smooth(soft_b, around, weight=weight, most=5).shares
    fewer = smooth(soft_b, around, weight=weight, most=most).shares

    torch.testing.assert_close(shares, wanted.sort(dim=1, descending=True).values[:, :5], atol=1e-5, rtol=0)
    assert bool(((fewer >= 0) & (fewer <= 1)).all())
    assert bool((fewer.sum(dim=1) <= 1 + 1e-6).all())
    assert bool((fewer.diff(dim=1) <= 0).all())


@pytest.mark.parametrize("size", [1, 3, 5])
@settings(max_examples=40)
@given(
    labels=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 1, VOID]),
        fill=st.just(0),
    )
)
def test_thin_is_what_an_opening_of_each_class_removes(size: int, labels: NDArray[np.uint8]) -> None:
    """One pass over all labels marks what opening one class after the other takes away."""
    thin = thin_structures(torch.from_numpy(labels), size=size)

    assert thin.tolist() == [(~opened(each, size)).tolist() for each in labels]


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("upright", [True, False])
def test_a_pole_is_thin_if_narrower_than_the_size(size: int, width: int, upright: bool) -> None:
    """Poles and bars below the size are thin whole, wider ones not at all; the road beside never is."""
    labels = torch.zeros(1, 20, 20, dtype=torch.uint8)
    labels[0, :, 8 : 8 + width] = POLE
    turned = labels if upright else labels.transpose(1, 2)

    thin = thin_structures(turned, size=size)

    assert torch.equal(thin, (turned == POLE) & torch.tensor(width < size))


def test_a_region_cut_by_the_border_is_not_thin() -> None:
    """Of a region at the border two columns are seen; it goes on outside."""
    labels = flat()
    labels[..., :2] = CAR

    assert not bool(thin_structures(labels).any())
