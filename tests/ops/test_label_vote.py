"""Tests of ops/label_vote.py: labels carried along a flow, checked against one-hot planes."""

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
from warprefine.ops.label_vote import Outside, carry_labels, vote_labels, vote_labels_torch, warp_labels
from warprefine.ops.warp import backward_warp, lands_inside

pytestmark = pytest.mark.usefixtures("with_and_without_loops")

LABELS = [0, 1, 2, 18, 254, VOID]
# Both sides of every border and far beyond, corners between pixels, and no numbers at all.
FLOW_VALUES = st.one_of(
    st.floats(-3, 3, width=32),
    st.floats(-60, 60, width=32),
    st.sampled_from([0.0, -1.0, 0.5, -0.25, 1e-6, 1e30, -1e30, float("inf"), float("-inf"), float("nan")]),
)


def shift(*, x: float, y: float, h: int, w: int) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


@pytest.fixture(scope="module")
def street() -> StreetScene:
    """A street whose motion is known exactly."""
    return StreetScene(seed=3, h=96, w=160, length=10)


@st.composite
def voters(draw: Any) -> tuple[Tensor, Tensor]:
    """Draw label maps and a flow of the same size."""
    count, h, w = draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    labels = draw(arrays.arrays(np.uint8, (count, h, w), elements=st.sampled_from(LABELS)))
    flow = draw(arrays.arrays(np.float32, (count, 2, h, w), elements=FLOW_VALUES))
    return torch.from_numpy(labels), torch.from_numpy(flow)


def votes_by_one_hot(labels_a: Tensor, flow_ba: Tensor) -> Tensor:
    """Return what each of LABELS gets when its plane of 0 and 1 is warped, (b, 6, h, w), in 64 bits."""
    h, w = labels_a.shape[-2:]
    planes = (labels_a[:, None] == torch.tensor(LABELS)[:, None, None]).double()
    x = (flow_ba[:, 0] + torch.arange(w)).double().nan_to_num()
    y = (flow_ba[:, 1] + torch.arange(h)[:, None]).double().nan_to_num()
    grid = torch.stack((2 * x / max(w - 1, 1) - 1, 2 * y / max(h - 1, 1) - 1), dim=-1).clamp(-1, 1)
    return functional.grid_sample(planes, grid, padding_mode="border", align_corners=True)


def test_convention_flow_ba_points_from_b_to_a() -> None:
    """A dot that moves right by 2 from a to b has flow_ba = (-2, 0), and warps to the right."""
    labels_a = torch.full((1, 3, 6), 0, dtype=torch.uint8)
    labels_a[0, 1, 1] = 7

    labels_b = warp_labels(labels_a, shift(x=-2, y=0, h=3, w=6))

    assert labels_b[0, 1].tolist() == [VOID, VOID, 0, 7, 0, 0]


def test_convention_y_points_down() -> None:
    """A dot that moves down by 1 from a to b has flow_ba = (0, -1)."""
    labels_a = torch.tensor([[[0], [7], [0], [0]]], dtype=torch.uint8)

    labels_b = warp_labels(labels_a, shift(x=0, y=-1, h=4, w=1))

    assert labels_b.flatten().tolist() == [VOID, 0, 7, 0]


@pytest.mark.parametrize("outside", ["void", "replicate"])
@settings(max_examples=40)
@given(case=voters())
def test_a_vote_equals_warped_one_hot_planes(outside: Outside, case: tuple[Tensor, Tensor]) -> None:
    """The winner is the class whose warped plane is largest, and its share is that plane's value."""
    labels_a, flow_ba = case
    votes = votes_by_one_hot(labels_a, flow_ba)
    defined = lands_inside(flow_ba) if outside == "void" else ~flow_ba.isnan().any(dim=1)

    labels_b, share = vote_labels(labels_a, flow_ba, outside=outside)

    most, second = votes.topk(2, dim=1).values.unbind(dim=1)
    clear = defined & (most - second > 1e-5)
    assert torch.equal(labels_b[clear], torch.tensor(LABELS, dtype=torch.uint8)[votes.argmax(dim=1)][clear])
    torch.testing.assert_close(share[defined].double(), most[defined], atol=1e-5, rtol=0)
    assert set(labels_b[~defined].tolist()) <= {VOID}
    assert set(share[~defined].tolist()) <= {0.0}


@pytest.mark.parametrize("outside", ["void", "replicate"])
@settings(max_examples=40)
@given(case=voters())
def test_compiled_code_and_torch_agree_to_the_bit(outside: Outside, case: tuple[Tensor, Tensor]) -> None:
    """A run on another device gives the same labels and the same shares."""
    labels_b, share = vote_labels(*case, outside=outside)
    other_labels, other_share = vote_labels_torch(*case, outside=outside)

    assert torch.equal(labels_b, other_labels)
    assert torch.equal(share, other_share)


@pytest.mark.parametrize("outside", ["void", "replicate"])
@settings(max_examples=40)
@given(case=voters())
def test_labels_are_the_same_with_shares_with_confidence_or_alone(
    outside: Outside, case: tuple[Tensor, Tensor]
) -> None:
    """What else is computed in the same pass does not change which label wins."""
    labels_b, share = vote_labels(*case, outside=outside)

    certain = torch.ones(case[0].shape)
    with_confidence, confidence = carry_labels(case[0], certain, case[1], outside=outside)

    assert torch.equal(warp_labels(*case, outside=outside), labels_b)
    assert torch.equal(with_confidence, labels_b)
    torch.testing.assert_close(confidence, share)


@pytest.mark.parametrize("outside", ["void", "replicate"])
def test_confidence_is_warped_and_shrinks_with_the_share(outside: Outside, rng: np.random.Generator) -> None:
    """Confidence is that of the source, as any plane is warped, times the winner's share of the votes."""
    labels = torch.from_numpy(rng.integers(0, 3, (2, 20, 30), dtype=np.uint8))
    confidence = torch.from_numpy(rng.uniform(0, 1, (2, 20, 30)).astype(np.float32))
    flow = torch.from_numpy(rng.uniform(-4, 4, (2, 2, 20, 30)).astype(np.float32))

    _, carried = carry_labels(labels, confidence, flow, outside=outside)

    share = vote_labels(labels, flow, outside=outside)[1]
    torch.testing.assert_close(carried, backward_warp(confidence[:, None], flow)[:, 0] * share)
    assert bool((carried[~lands_inside(flow)] > 0).any()) == (outside == "replicate")


def test_no_confidence_is_carried_along_flow_that_is_no_number() -> None:
    """Where the flow is NaN, the label is VOID and its confidence 0, not NaN."""
    labels, flow = torch.full((1, 2, 2), 3, dtype=torch.uint8), torch.full((1, 2, 2, 2), torch.nan)

    labels_b, confidence_b = carry_labels(labels, torch.ones(1, 2, 2), flow, outside="replicate")

    assert labels_b.unique().tolist() == [VOID]
    assert confidence_b.unique().tolist() == [0]


@settings(max_examples=40)
@given(case=voters())
def test_a_winner_has_at_least_a_quarter_of_the_votes(case: tuple[Tensor, Tensor]) -> None:
    """Four voters cannot split further than four ways, and nobody gets more than all."""
    _, share = vote_labels(*case)

    inside = lands_inside(case[1])
    assert bool(((share >= 0.25) & (share <= 1))[inside].all())
    assert not bool(share[~inside].any())


def test_rounded_weights_are_not_more_than_all_votes() -> None:
    """Four weights whose rounded sum is above 1 still give a share of 1."""
    flow = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (1, 2, 40, 40)).astype(np.float32))
    labels = torch.zeros(1, 40, 40, dtype=torch.uint8)
    right, down = flow[:, 0].frac(), flow[:, 1].frac()

    for vote in (vote_labels, vote_labels_torch):
        assert vote(labels, flow, outside="replicate")[1].amax() == 1
    assert bool(((1 - down) * (1 - right) + (1 - down) * right + down * (1 - right) + down * right > 1).any())


@pytest.mark.parametrize("corner", [[3, 1, 2, 9], [1, 9, 3, 2], [9, 3, 2, 1]])
def test_the_smaller_label_wins_a_tie(corner: list[int]) -> None:
    """Exactly between four pixels of four classes, the class that comes first in the list wins."""
    labels_a = torch.tensor(corner, dtype=torch.uint8).view(1, 2, 2)

    for vote in (vote_labels, vote_labels_torch):
        labels_b, share = vote(labels_a, shift(x=0.5, y=0.5, h=2, w=2))
        assert labels_b[0, 0, 0] == 1
        assert share[0, 0, 0] == 0.25


def test_two_halves_outvote_a_larger_single() -> None:
    """Pixels of one class pool their votes, wherever they lie around the source."""
    labels_a = torch.tensor([[[5, 2], [2, 7]]], dtype=torch.uint8)

    labels_b, share = vote_labels(labels_a, shift(x=0.4, y=0.4, h=2, w=2))

    assert labels_b[0, 0, 0] == 2
    assert share[0, 0, 0].item() == pytest.approx(0.48)


def test_void_votes_like_a_class() -> None:
    """Where most of the source is VOID the result is VOID, with its share of the votes."""
    labels_a = torch.tensor([[[VOID, 0]]], dtype=torch.uint8)

    labels_b, share = vote_labels(labels_a, shift(x=0.25, y=0, h=1, w=2))

    assert labels_b[0, 0, 0] == VOID
    assert share[0, 0, 0].item() == pytest.approx(0.75)


@pytest.mark.parametrize("outside", ["void", "replicate"])
@settings(max_examples=40)
@given(case=voters(), x=st.integers(-12, 12), y=st.integers(-12, 12))
def test_whole_pixels_are_an_exact_shift(
    outside: Outside, case: tuple[Tensor, Tensor], x: int, y: int
) -> None:
    """A flow of whole pixels copies labels, none altered, and nothing at all changes without motion."""
    labels_a = case[0]
    h, w = labels_a.shape[-2:]
    flow = shift(x=x, y=y, h=h, w=w).repeat(len(labels_a), 1, 1, 1)

    labels_b, share = vote_labels(labels_a, flow, outside=outside)

    rows, columns = torch.arange(h)[:, None] + y, torch.arange(w) + x
    copied = labels_a[:, rows.clamp(0, h - 1), columns.clamp(0, w - 1)]
    defined = lands_inside(flow) | torch.tensor(outside == "replicate")
    assert torch.equal(labels_b, copied.masked_fill(~defined, VOID))
    assert torch.equal(share, defined.float())


def test_no_motion_changes_nothing(rng: np.random.Generator) -> None:
    """Labels that do not move stay what they are, fully certain."""
    labels = torch.from_numpy(rng.integers(0, 256, (2, 31, 47), dtype=np.uint8))

    labels_b, share = vote_labels(labels, torch.zeros(2, 2, 31, 47))

    assert torch.equal(labels_b, labels)
    assert bool((share == 1).all())


def test_labels_of_any_memory_layout_can_be_warped(rng: np.random.Generator) -> None:
    """A view into a larger label map is warped like a copy of it."""
    whole = torch.from_numpy(rng.integers(0, 9, (1, 20, 30), dtype=np.uint8))
    flow = torch.from_numpy(rng.uniform(-2, 2, (1, 2, 30, 20)).astype(np.float32))
    view, wide = whole.transpose(1, 2), flow.expand(3, -1, -1, -1)

    assert torch.equal(warp_labels(view, flow), warp_labels(view.contiguous(), flow))
    assert torch.equal(warp_labels(view.expand(3, -1, -1), wide)[2:], warp_labels(view, flow))


@pytest.mark.parametrize(("b", "a"), [(1, 0), (4, 5), (6, 1)])
def test_exact_motion_carries_the_labels_of_a_street(street: StreetScene, b: int, a: int) -> None:
    """With its true motion, all of a street's labels but those cut by an edge arrive where they belong."""
    labels_b, share = vote_labels(street.labels(a), street.flow(b, a))

    visible = ~street.occluded(b, a)
    uncut = visible & (share > 0.99)
    assert uncut.float().mean() > 0.7
    assert (labels_b == street.labels(b))[uncut].float().mean() > 0.995


def test_convention_labels_fit_best_without_any_offset(street: StreetScene) -> None:
    """Half a pixel of error in any direction makes the labels of a street fit worse: nothing is shifted."""
    flow, truth, visible = street.flow(1, 0), street.labels(1), ~street.occluded(1, 0)

    def right(x: float, y: float) -> float:
        carried = warp_labels(street.labels(0), flow + shift(x=x, y=y, h=96, w=160), outside="replicate")
        return float((carried == truth)[visible].float().mean())

    assert right(0, 0) > 0.97
    assert right(0, 0) > 0.003 + max(right(x, y) for x, y in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)))


@pytest.mark.parametrize("label", [0, 254, 255])
def test_every_value_of_a_label_is_carried(label: int) -> None:
    """None of them means anything to the loops but a label."""
    labels = torch.full((2, 5, 7), label, dtype=torch.uint8)
    labels[:, 2] = 3
    flow = torch.zeros(2, 2, 5, 7)

    assert torch.equal(warp_labels(labels, flow), labels)
    assert torch.equal(vote_labels(labels, flow)[0], labels)
