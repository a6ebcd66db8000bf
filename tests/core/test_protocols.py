"""Tests of core/protocols.py: parts are known by what they can do, and live on one device."""

from __future__ import annotations

import torch
from torch import nn

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import (
    MotionEstimator,
    Refiner,
    RefinerInput,
    Segmentation,
    Segmenter,
    as_module,
    channels_last,
    device_of,
)
from warprefine.core.tensors import Flow, Frames


class Still:
    """A world in which nothing moves."""

    name = "still"

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        return torch.zeros(frame_b.shape[0], 2, *frame_b.shape[2:])


def refiner_input() -> RefinerInput:
    frame = torch.zeros(1, 3, 4, 6, dtype=torch.uint8)
    return RefinerInput(
        frame=frame,
        warped_frame=frame,
        labels=frame[:, 0],
        segmentation=Segmentation(logits=torch.zeros(1, 2, 4, 6), features=torch.zeros(1, 5, 1, 2)),
    )


def test_a_part_needs_no_base_class() -> None:
    """Whatever has the name and the call of a motion estimator is one; a plain function is not."""
    assert isinstance(Still(), MotionEstimator)
    assert not isinstance(silent, MotionEstimator)
    assert not isinstance(Still(), Segmenter | Refiner)
    assert isinstance(silent, Progress)


def test_a_part_without_weights_lives_on_the_cpu() -> None:
    """Only weights have a place of their own; what has none computes on the CPU."""
    assert device_of(Still()) == torch.device("cpu")
    assert device_of(nn.ReLU()) == torch.device("cpu")
    assert as_module(Still()) is None


def test_a_part_with_weights_lives_where_they_are() -> None:
    """A network is asked where it is, not told."""
    network = nn.Linear(1, 1, device="meta")

    assert device_of(network) == torch.device("meta")
    assert as_module(network) is network


def test_what_the_refiner_sees_moves_as_a_whole() -> None:
    """All tensors of a step go to the refiner's device together."""
    moved = refiner_input().to(torch.device("meta"))

    tensors = [*vars(moved).values(), *vars(moved.segmentation).values()]
    assert {tensor.device.type for tensor in tensors if isinstance(tensor, torch.Tensor)} == {"meta"}
    assert sum(isinstance(tensor, torch.Tensor) for tensor in tensors) == 5


def test_kernels_lie_channel_by_channel() -> None:
    """The layout of the kernels changes; their values and the network do not."""
    network = nn.Conv2d(4, 5, 3)
    before = network.weight.detach().clone()

    assert channels_last(network) is network
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(network.weight, before)
