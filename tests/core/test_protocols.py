"""Tests of core/protocols.py: parts are recognised by what they can do, and live on one device."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import (
    MotionEstimator,
    Refiner,
    RefinerInput,
    Segmentation,
    Segmenter,
    channels_last,
    device_of,
    module_of,
    ready,
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
    """Only weights have a device of their own; a part without any computes on the CPU."""
    assert device_of(Still()) == torch.device("cpu")
    assert device_of(nn.ReLU()) == torch.device("cpu")


def test_a_part_without_weights_is_no_module() -> None:
    """A part that is no network cannot be trained, saved or moved, and is named in the error."""
    with pytest.raises(TypeError, match=r"Still is no torch\.nn\.Module, so it has no weights"):
        module_of(Still())
    with pytest.raises(TypeError, match="Still is no"):
        ready(Still(), torch.device("cpu"))


def test_a_part_with_weights_lives_where_they_are() -> None:
    """A network's device is that of its weights."""
    network = nn.Linear(1, 1, device="meta")

    assert device_of(network) == torch.device("meta")
    assert module_of(network) is network


def test_a_network_is_made_ready_for_a_device() -> None:
    """It moves there, its kernels channels last, and normalises with the statistics of its training."""
    network = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5))

    assert ready(network, torch.device("meta")) is network
    assert device_of(network) == torch.device("meta")
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert [module.training for module in network.modules()] == [False] * 3


def test_the_inputs_of_a_refiner_move_as_a_whole() -> None:
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
