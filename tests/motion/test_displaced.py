"""Tests of motion/displaced.py: kernels at displaced points, checked against loops over all taps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import FrameError, LabelError
from warprefine.core.tensors import VOID
from warprefine.motion import displaced
from warprefine.motion.displaced import displaced_convolution, displaced_labels
from warprefine.motion.flownet_ops import resample2d


def identity(taps: int, h: int, w: int) -> Tensor:
    """Return kernels that are one in the middle and else zero, (1, taps, h, w)."""
    kernels = torch.zeros(1, taps, h, w)
    kernels[:, taps // 2] = 1
    return kernels


def by_brute_force(values_a: Tensor, flow_ba: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Add up one whole resampled picture per tap, each from a flow that points to that tap."""
    reach = vertical.shape[1] // 2
    total = torch.zeros_like(values_a)
    for i in range(vertical.shape[1]):
        for j in range(vertical.shape[1]):
            there = flow_ba + torch.tensor([j - reach, i - reach]).view(1, 2, 1, 1)
            total += vertical[:, i, None] * horizontal[:, j, None] * resample2d(values_a, there)
    return total


@pytest.mark.parametrize("taps", [1, 3, 7])
@pytest.mark.parametrize("reach_px", [1, 4, 60])
def test_every_tap_counts_where_it_lies(taps: int, reach_px: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is the sum over all taps of the picture there, inside, at the border and far beyond it."""
    monkeypatch.setattr(displaced, "_CHUNK_VALUES", 200)  # a few lines at a time
    values = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    flow = reach_px * torch.randn(2, 2, 7, 9, dtype=torch.float64)
    vertical, horizontal = torch.randn(2, 2, taps, 7, 9, dtype=torch.float64)

    found = displaced_convolution(values, flow, vertical, horizontal)

    torch.testing.assert_close(found, by_brute_force(values, flow, vertical, horizontal))


@pytest.mark.parametrize("taps", [1, 11, 51])
def test_kernels_of_one_in_the_middle_leave_the_flow_alone(taps: int) -> None:
    """Such kernels give the very bits of bilinear resampling."""
    values, flow = 255 * torch.rand(1, 3, 12, 17), 8 * torch.randn(1, 2, 12, 17)

    found = displaced_convolution(values, flow, identity(taps, 12, 17), identity(taps, 12, 17))

    assert torch.equal(found, resample2d(values, flow))


def test_convention_taps_run_downwards_and_to_the_right() -> None:
    """A kernel whose last taps are one looks below and to the right of the source."""
    values = torch.zeros(1, 1, 5, 5)
    values[..., 3, 4] = 1
    last = torch.zeros(1, 3, 5, 5)
    last[:, 2] = 1

    found = displaced_convolution(values, torch.zeros(1, 2, 5, 5), last, identity(3, 5, 5))

    assert found[0, 0].nonzero().tolist() == [[2, 4]]
    found = displaced_convolution(values, torch.zeros(1, 2, 5, 5), identity(3, 5, 5), last)
    assert found[0, 0].nonzero().tolist() == [[3, 3], [3, 4]]  # the border is repeated


def test_gradients_are_right() -> None:
    """Picture, flow and both kernels get the gradients that finite differences show."""
    values = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    # Between pixels, for at whole pixels bilinear values have a corner.
    flow = (torch.randint(-2, 3, (1, 2, 4, 3)) + 0.2 + 0.6 * torch.rand(1, 2, 4, 3)).double().requires_grad_()
    vertical = torch.randn(1, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    horizontal = torch.randn(1, 3, 4, 3, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(displaced_convolution, (values, flow, vertical, horizontal))


def test_labels_are_carried_by_the_votes_of_their_planes() -> None:
    """Each label's plane of 0 and 1 is filtered, and the label with most votes wins, VOID as well."""
    labels = torch.tensor([0, 2, 18, VOID], dtype=torch.uint8)[torch.randint(0, 4, (2, 6, 8))]
    flow, kernels = 2 * torch.randn(2, 2, 6, 8), torch.rand(2, 2, 3, 6, 8)

    carried = displaced_labels(labels, flow, *kernels, class_count=19)

    planes = (labels[:, None] == torch.tensor([*range(19), VOID]).view(1, -1, 1, 1)).float()
    winner = by_brute_force(planes, flow, *kernels).argmax(dim=1)
    assert torch.equal(carried, torch.tensor([*range(19), VOID], dtype=torch.uint8)[winner])
    assert set(carried.unique().tolist()) == {0, 2, 18, VOID}


def test_the_smaller_label_wins_a_tie() -> None:
    """Halfway between two labels both have as many votes."""
    labels = torch.tensor([[[7, 3]]], dtype=torch.uint8)
    halfway = torch.tensor([0.5, 0]).view(1, 2, 1, 1).expand(1, 2, 1, 2).contiguous()

    carried = displaced_labels(labels, halfway, identity(3, 1, 2), identity(3, 1, 2), class_count=8)

    assert carried.tolist() == [[[3, 3]]]


def test_a_label_that_is_nowhere_never_wins() -> None:
    """Where all votes are against a map's only label, no label of the map beside it takes its place."""
    labels = torch.tensor([[[4, 4]], [[1, 1]]], dtype=torch.uint8)
    kernels = identity(1, 1, 2).expand(2, 1, 1, 2)

    carried = displaced_labels(labels, torch.zeros(2, 2, 1, 2), -kernels, kernels, class_count=5)

    assert torch.equal(carried, labels)


def test_mistakes_are_told() -> None:
    """Kernels without a middle and labels of no class end in one clear line."""
    flow, kernels = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    with pytest.raises(FrameError, match="displaced kernels have 2 taps, expected an odd number"):
        displaced_convolution(torch.zeros(1, 3, 4, 4), flow, kernels, kernels)
    with pytest.raises(LabelError, match="label map holds class 5, but there are 5 classes; map unused ids"):
        displaced_labels(
            torch.full((1, 4, 4), 5, dtype=torch.uint8), flow, kernels[:, :1], kernels[:, :1], class_count=5
        )
