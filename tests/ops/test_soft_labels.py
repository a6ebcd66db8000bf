"""Tests of ops/soft_labels.py: a few labels with shares per pixel, checked against dense planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import VOID
from warprefine.datasets.street import StreetScene
from warprefine.ops.label_vote import vote_labels
from warprefine.ops.soft_labels import SoftLabels, mix_soft, mix_warped, warp_soft
from warprefine.ops.warp import lands_inside

pytestmark = pytest.mark.usefixtures("with_and_without_loops")

CLASSES = 5
# Both sides of every border and far beyond, corners between pixels, and no numbers at all.
FLOW_VALUES = st.one_of(
    st.floats(-2, 2, width=32),
    st.floats(-40, 40, width=32),
    st.sampled_from([0.0, -1.0, 0.5, -0.25, 1e-6, 1e30, -1e30, float("inf"), float("-inf"), float("nan")]),
)


def shift(*, x: float, y: float, h: int, w: int) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


def probabilities(seed: int, *, b: int = 1, h: int, w: int) -> Tensor:
    """Return planes of CLASSES classes and VOID that sum to at most 1, with zeros and ties among them."""
    rng = np.random.default_rng(seed)
    votes = torch.from_numpy(rng.integers(0, 6, (b, CLASSES + 1, h, w)).astype(np.float32))
    unknown = torch.from_numpy(rng.integers(1, 3, (b, 1, h, w)).astype(np.float32))
    return votes / (votes.sum(dim=1, keepdim=True) + unknown)


def soft_of(planes: Tensor, *, most: int = CLASSES + 1) -> SoftLabels:
    return SoftLabels.of_probabilities(planes, most=most, void_is_last=True)


def pixel(*held: tuple[int, float]) -> SoftLabels:
    """Return soft labels of a picture of one pixel, that holds these labels with these shares."""
    labels, shares = zip(*held, strict=True)
    return SoftLabels(
        labels=torch.tensor(labels, dtype=torch.uint8).view(1, -1, 1, 1),
        shares=torch.tensor(shares, dtype=torch.float32).view(1, -1, 1, 1),
    )


def held(soft: SoftLabels) -> list[tuple[int, float]]:
    """List the labels and shares of the first pixel."""
    return list(zip(soft.labels[0, :, 0, 0].tolist(), soft.shares[0, :, 0, 0].tolist(), strict=True))


def assert_same(soft: SoftLabels, other: SoftLabels) -> None:
    assert torch.equal(soft.labels, other.labels)
    assert torch.equal(soft.shares, other.shares)


def assert_keeps_most(soft: SoftLabels, planes: Tensor, *, most: int) -> None:
    """Check that `soft` holds the `most` largest of `planes`, in order, each with its own label."""
    wanted = functional.pad(planes, (0, 0, 0, 0, 0, most)).topk(most, dim=1).values
    torch.testing.assert_close(soft.shares, wanted.float(), atol=2e-6, rtol=0)
    plane = soft.labels.long().masked_fill(soft.labels == VOID, CLASSES)
    own = planes.gather(1, plane).float().masked_fill(soft.shares == 0, 0)
    torch.testing.assert_close(soft.shares, own, atol=2e-6, rtol=0)
    assert_is_sound(soft)


def assert_is_sound(soft: SoftLabels) -> None:
    """Check what holds of all soft labels: falling shares, ties by label, empty slots, no label twice."""
    labels, shares = soft.labels.int(), soft.shares
    assert bool(((shares >= 0) & (shares <= 1)).all())
    assert bool((shares.sum(dim=1) <= 1 + 1e-6).all())
    falls = shares[:, :-1] > shares[:, 1:]
    tie = (shares[:, :-1] == shares[:, 1:]) & (labels[:, :-1] < labels[:, 1:])
    assert bool((falls | tie | (shares[:, 1:] == 0)).all())
    assert set(labels[shares == 0].tolist()) <= {VOID}
    distinct = labels.where(shares > 0, -1 - torch.arange(labels.shape[1])[:, None, None])
    assert bool((distinct.sort(dim=1).values.diff(dim=1) > 0).all())


def warped_planes(planes_a: Tensor, flow_ba: Tensor) -> Tensor:
    """Return bilinearly warped planes in 64 bits, 0 where the source lies outside."""
    h, w = planes_a.shape[-2:]
    x = (flow_ba[:, 0] + torch.arange(w)).double().nan_to_num()
    y = (flow_ba[:, 1] + torch.arange(h)[:, None]).double().nan_to_num()
    grid = torch.stack((2 * x / max(w - 1, 1) - 1, 2 * y / max(h - 1, 1) - 1), dim=-1).clamp(-1, 1)
    warped = functional.grid_sample(planes_a.double(), grid, padding_mode="border", align_corners=True)
    return warped * lands_inside(flow_ba)[:, None]


@st.composite
def carried(draw: Any) -> tuple[Tensor, Tensor]:
    """Draw planes of probabilities and a flow of the same size."""
    b, h, w = draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    flow = draw(arrays.arrays(np.float32, (b, 2, h, w), elements=FLOW_VALUES))
    return probabilities(draw(st.integers(0, 1000)), b=b, h=h, w=w), torch.from_numpy(flow)


def test_label_maps_are_certain() -> None:
    """Labels made by hand have a share of 1 each, VOID among them, and harden to themselves."""
    labels = torch.tensor([[[3, VOID]]], dtype=torch.uint8)

    soft = SoftLabels.of_labels(labels)

    assert soft.labels.shape == (1, 1, 1, 2)
    assert torch.equal(soft.harden()[0], labels)
    assert soft.harden()[1].tolist() == [[[1, 1]]]


@pytest.mark.parametrize("most", [1, 3, 6, 8])
def test_the_most_probable_labels_are_kept(most: int) -> None:
    """Of many classes a pixel keeps those with the largest probabilities, the largest first."""
    planes = probabilities(0, b=2, h=9, w=11)

    soft = soft_of(planes, most=most)

    assert soft.labels.shape == (2, most, 9, 11)
    assert_keeps_most(soft, planes.double(), most=most)


def test_equally_probable_classes_stand_in_their_order() -> None:
    """Among equals the class that comes first in the list is first, and VOID, the last plane, is last."""
    equal = torch.full((1, 4, 1, 1), 0.25)

    assert held(soft_of(equal, most=4)) == [(0, 0.25), (1, 0.25), (2, 0.25), (VOID, 0.25)]
    assert held(soft_of(equal, most=2)) == [(0, 0.25), (1, 0.25)]
    assert held(SoftLabels.of_probabilities(equal, most=4))[3] == (3, 0.25)


def test_impossible_classes_take_no_slot() -> None:
    """A class of probability 0 is not listed, however many slots there are."""
    planes = torch.tensor([0, 0.75, 0, 0.25]).view(1, 4, 1, 1)

    assert held(soft_of(planes, most=3)) == [(1, 0.75), (VOID, 0.25), (VOID, 0)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_probabilities_of_any_precision_become_shares(dtype: torch.dtype) -> None:
    """Half and double precision end as the same shares as single precision."""
    planes = torch.tensor([0.5, 0.25], dtype=dtype).view(1, 2, 1, 1)

    assert held(SoftLabels.of_probabilities(planes, most=2)) == [(0, 0.5), (1, 0.25)]


def test_a_pixel_without_any_share_is_void() -> None:
    """Where all slots are empty the label is VOID, with share 0."""
    labels, share = soft_of(torch.zeros(1, 4, 1, 1)).harden()

    assert labels.tolist() == [[[VOID]]]
    assert share.tolist() == [[[0]]]


def test_dense_planes_come_back() -> None:
    """With a slot for every class nothing is lost, and VOID is the last plane."""
    planes = probabilities(1, b=2, h=5, w=4)

    assert torch.equal(soft_of(planes).dense(CLASSES), planes)
    assert pixel((VOID, 0.5), (1, 0.25)).dense(3).flatten().tolist() == [0, 0.25, 0, 0.5]


def test_a_weight_scales_all_shares_of_its_pixel() -> None:
    """Half the weight leaves half of every share, each pixel by its own weight."""
    planes = probabilities(2, h=3, w=4)
    weight = torch.linspace(0, 1, 12).view(1, 3, 4)

    scaled = soft_of(planes).scaled(weight)

    torch.testing.assert_close(scaled.dense(CLASSES), planes * weight[:, None])


def test_without_weight_nothing_is_known() -> None:
    """A pixel that counts nothing has no label left."""
    scaled = pixel((4, 0.75), (2, 0.25)).scaled(torch.zeros(1, 1, 1))

    assert held(scaled) == [(VOID, 0), (VOID, 0)]


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), most=st.integers(1, 6))
def test_packing_rounds_shares_to_a_byte(seed: int, most: int) -> None:
    """A share comes back within half a step for each label of the pixel, and the sum stays below 1."""
    soft = soft_of(probabilities(seed, h=4, w=5), most=most)
    packed = soft.packed()

    back = SoftLabels.unpacked(packed)

    assert {name: tensor.dtype for name, tensor in packed.items()} == {
        "labels": torch.uint8,
        "shares": torch.uint8,
    }
    assert float((back.shares - soft.shares).abs().amax()) <= (0.5 * most + 0.01) / 255
    assert int(packed["shares"].int().sum(dim=1).amax()) <= 255
    assert_same(SoftLabels.unpacked(back.packed()), back)


def test_packing_keeps_certain_labels_exactly() -> None:
    """Labels made by hand come back as they were, share 1 and all."""
    soft = SoftLabels.of_labels(torch.tensor([[[3, VOID, 0]]], dtype=torch.uint8))

    assert_same(SoftLabels.unpacked(soft.packed()), soft)


def test_packed_shares_never_exceed_the_whole() -> None:
    """Four quarters are rounded up to 64 steps each, one more than there are; the last gives way."""
    packed = pixel((0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)).packed()

    assert packed["shares"].flatten().tolist() == [64, 64, 64, 63]


def test_packing_forgets_labels_that_hardly_count() -> None:
    """A label with less than half a step is no longer listed."""
    packed = pixel((7, 0.9), (2, 0.0019)).packed()

    assert packed["labels"].flatten().tolist() == [7, VOID]
    assert packed["shares"].flatten().tolist() == [230, 0]


def test_convention_flow_ba_points_from_b_to_a() -> None:
    """A dot that moves right by 2 and down by 1 has flow_ba = (-2, -1), and is carried right and down."""
    labels_a = torch.zeros(1, 3, 6, dtype=torch.uint8)
    labels_a[0, 1, 1] = 7

    soft_b = warp_soft(SoftLabels.of_labels(labels_a), shift(x=-2, y=-1, h=3, w=6))

    assert soft_b.harden()[0][0].tolist() == [[VOID] * 6, [VOID, VOID, 0, 0, 0, 0], [VOID, VOID, 0, 7, 0, 0]]


@pytest.mark.parametrize("most", [1, 4, 6])
@settings(max_examples=40)
@given(case=carried())
def test_carried_shares_equal_warped_planes(most: int, case: tuple[Tensor, Tensor]) -> None:
    """The labels that a pixel keeps are those whose warped planes are largest, with those planes' values."""
    planes, flow_ba = case

    soft_b = warp_soft(soft_of(planes), flow_ba, most=most)

    assert_keeps_most(soft_b, warped_planes(planes, flow_ba), most=most)


@settings(max_examples=40)
@given(case=carried(), most=st.integers(4, 6))
def test_certain_labels_are_carried_as_by_a_vote(case: tuple[Tensor, Tensor], most: int) -> None:
    """Labels that are certain have the votes of the label map, to the bit, and nothing from outside."""
    labels_a, flow_ba = soft_of(case[0]).harden()[0], case[1]
    wanted_labels, wanted_share = vote_labels(labels_a, flow_ba, outside="void")

    labels_b, share = warp_soft(SoftLabels.of_labels(labels_a), flow_ba, most=most).harden()

    assert torch.equal(labels_b, wanted_labels)
    assert torch.equal(share, wanted_share)


@pytest.mark.parametrize("corner", [[3, 1, 2, 9], [1, 9, 3, 2], [9, 3, 2, 1]])
def test_equal_votes_stand_in_the_order_of_their_labels(corner: list[int]) -> None:
    """Exactly between four pixels of four classes, all four are listed, the smallest first."""
    labels_a = torch.tensor(corner, dtype=torch.uint8).view(1, 2, 2)

    soft_b = warp_soft(SoftLabels.of_labels(labels_a), shift(x=0.5, y=0.5, h=2, w=2))

    assert held(soft_b) == [(1, 0.25), (2, 0.25), (3, 0.25), (9, 0.25)]


def test_no_share_is_more_than_the_whole(rng: np.random.Generator) -> None:
    """Four weights whose rounded sum is above 1 still give a share of 1."""
    flow = torch.from_numpy(rng.uniform(0, 1, (500, 2, 2, 2)).astype(np.float32))
    right, down = flow[:, :, 0, 0].unbind(dim=1)
    total = (1 - down) * (1 - right) + (1 - down) * right + down * (1 - right) + down * right

    soft_b = warp_soft(SoftLabels.of_labels(torch.zeros(500, 2, 2, dtype=torch.uint8)), flow)

    assert total.amax() > 1
    assert soft_b.shares.amax() == 1


@settings(max_examples=40)
@given(case=carried(), x=st.integers(-9, 9), y=st.integers(-9, 9))
def test_whole_pixels_are_an_exact_shift(case: tuple[Tensor, Tensor], x: int, y: int) -> None:
    """A flow of whole pixels copies all slots, not a bit altered, and at rest nothing changes at all."""
    planes = case[0]
    b, _, h, w = planes.shape
    flow = shift(x=x, y=y, h=h, w=w).repeat(b, 1, 1, 1)
    rows, columns = (torch.arange(h) + y).clamp(0, h - 1), (torch.arange(w) + x).clamp(0, w - 1)
    copied = planes[:, :, rows][:, :, :, columns] * lands_inside(flow)[:, None]

    assert_same(warp_soft(soft_of(planes), flow, most=6), soft_of(copied))
    assert_same(warp_soft(soft_of(planes), torch.zeros_like(flow), most=6), soft_of(planes))


def test_labels_keep_apart_from_pixel_to_pixel() -> None:
    """All 256 labels can be at one pixel, and none of them is left over for the next."""
    planes = torch.full((1, 256, 1, 2), 1 / 256)
    planes[..., 1] = 0

    soft = SoftLabels.of_probabilities(planes, most=256)
    doubled = mix_soft([soft, soft], most=256)

    assert doubled.labels[0, :, 0, 0].tolist() == list(range(256))
    assert set(doubled.shares[0, :, 0, 0].tolist()) == {1 / 128}
    assert not bool(doubled.shares[..., 1].any())


def test_soft_labels_of_any_memory_layout_can_be_carried(rng: np.random.Generator) -> None:
    """A view into larger soft labels is carried and mixed like a copy of it."""
    wide = soft_of(probabilities(3, h=6, w=8))
    view = SoftLabels(labels=wide.labels.transpose(2, 3), shares=wide.shares.transpose(2, 3))
    copy = SoftLabels(labels=view.labels.contiguous(), shares=view.shares.contiguous())
    flow = torch.from_numpy(rng.uniform(-2, 2, (1, 2, 6, 8)).astype(np.float32)).transpose(2, 3)

    assert_same(warp_soft(view, flow), warp_soft(copy, flow.contiguous()))
    assert_same(mix_soft([view], most=3), mix_soft([copy], most=3))


@settings(max_examples=40)
@given(seeds=st.lists(st.integers(0, 1000), min_size=1, max_size=3), most=st.integers(1, 7))
def test_mixed_shares_equal_added_planes(seeds: list[int], most: int) -> None:
    """The shares of a label add up over all that have it, and the largest sums are kept."""
    planes = [probabilities(seed, h=3, w=4) / len(seeds) for seed in seeds]

    mixed = mix_soft([soft_of(part) for part in planes], most=most)

    assert_keeps_most(mixed, torch.stack(planes).double().sum(dim=0), most=most)


def test_parts_of_different_depth_can_be_mixed() -> None:
    """A certain label and a list of several are added; shares are not brought back to a sum of 1."""
    mixed = mix_soft([pixel((2, 1.0)), pixel((4, 0.5), (2, 0.25), (VOID, 0.125))], most=3)

    assert held(mixed) == [(2, 1.25), (4, 0.5), (VOID, 0.125)]


def test_exact_motion_carries_the_labels_of_a_street() -> None:
    """With its true motion, a street's labels arrive in place, and shares are high where they are right."""
    street = StreetScene(seed=3, h=96, w=160, length=10)
    visible = ~street.occluded(1, 0)

    labels_b, share = warp_soft(SoftLabels.of_labels(street.labels(0)), street.flow(1, 0)).harden()

    right = labels_b == street.labels(1)
    assert right[visible & (share > 0.99)].float().mean() > 0.995
    assert right[visible & (share < 0.6)].float().mean() < 0.9


@settings(max_examples=40)
@given(
    seed=st.integers(0, 9999),
    slots=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    flow=arrays.arrays(np.float32, (2, 2, 5, 7), elements=FLOW_VALUES),
)
def test_warping_and_mixing_at_once_is_warping_and_then_mixing(
    seed: int, slots: list[int], flow: Any
) -> None:
    """To the bit, whatever the number of frames and of labels per pixel, and where some have no weight."""
    rng = np.random.default_rng(seed)
    own = soft_of(probabilities(seed, b=2, h=5, w=7))
    others = [soft_of(probabilities(seed + 1 + i, b=2, h=5, w=7), most=most) for i, most in enumerate(slots)]
    flows = [torch.from_numpy(flow), *(torch.from_numpy(np.roll(flow, i, axis=2)) for i in range(1, 4))]
    weights = [
        torch.from_numpy(rng.integers(0, 3, (2, 5, 7)).astype(np.float32) / np.float32(3)) for _ in others
    ]

    mixed = mix_warped(own, others, flows=flows[: len(others)], weights=weights, most=4)

    warped = [
        warp_soft(other, along).scaled(weight)
        for other, along, weight in zip(others, flows, weights, strict=False)
    ]
    expected = mix_soft([own, *warped], most=4)
    assert torch.equal(mixed.labels, expected.labels)
    assert torch.equal(mixed.shares, expected.shares)
