"""Tests of motion/sdcnet_motion.py: frames of any size, mirrored on, and the protocol's conventions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import MotionEstimator
from warprefine.motion.sdcnet import SDCNet
from warprefine.motion.sdcnet_motion import SDCNetMotion, mirror_flows, mirror_frames, predict_any_size


class Given:
    """An estimator that returns a fixed flow and records its calls."""

    name = "given"

    def __init__(self, flow_ba: Tensor) -> None:
        self.flow_ba = flow_ba
        self.calls: list[tuple[Tensor, Tensor]] = []

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        self.calls.append((frame_b, frame_a))
        return self.flow_ba


def test_pictures_go_on_as_in_a_mirror() -> None:
    """Beyond the right and the lower border come the pixels before it, without the border's own again."""
    picture = torch.arange(12).view(1, 3, 4)

    mirrored = mirror_frames(picture, (4, 9))

    assert mirrored[0, 0].tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert mirrored[0, :, 0].tolist() == [0, 4, 8, 4]


def test_what_is_large_enough_stays() -> None:
    """A picture is continued along its short side alone, and never cut."""
    assert mirror_frames(torch.zeros(1, 3, 4, 9), (6, 8)).shape == (1, 3, 6, 9)
    assert mirror_flows(torch.zeros(1, 2, 4, 9), (6, 8)).shape == (1, 2, 6, 9)


def test_motion_in_a_mirror_goes_the_other_way() -> None:
    """Mirrored at the right border x turns round, mirrored at the lower border y."""
    flow = torch.tensor([2.0, 5.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)

    mirrored = mirror_flows(flow, (4, 4))

    assert mirrored[0, 0].tolist() == [[2, 2, 2, -2]] * 4
    assert mirrored[0, 1].tolist() == [[5] * 4] * 3 + [[-5] * 4]


def test_it_is_a_motion_estimator_that_starts_from_another() -> None:
    """Untrained it returns the other's flow of the frames as they are, at their size."""
    flow_ba = 3 * torch.randn(2, 2, 50, 70)
    given = Given(flow_ba)
    frame_a, frame_b = torch.randint(0, 256, (2, 2, 3, 50, 70), dtype=torch.uint8)
    motion = SDCNetMotion(SDCNet(2, width=0.05, starts_from_flow=True).train(), given, name="sdcnet-1")

    found = motion(frame_b, frame_a)

    assert isinstance(motion, MotionEstimator)
    assert motion.name == "sdcnet-1"
    assert not motion.network.training
    assert torch.equal(found, flow_ba)
    assert [tuple(map(id, frames)) for frames in given.calls] == [(id(frame_b), id(frame_a))]


@pytest.mark.parametrize("blue_first", [False, True])
def test_convention_the_network_sees_a_before_b(blue_first: bool) -> None:
    """Its inputs are both frames, oldest first, in BGR order where set so, and the flow from b into a."""
    network = SDCNet(2, width=0.05)
    frame_a, frame_b = torch.randint(0, 256, (2, 1, 3, 64, 64), dtype=torch.uint8)
    flow_ba = torch.randn(1, 2, 64, 64)

    found = SDCNetMotion(network, Given(flow_ba), name="sdcnet-1", blue_first=blue_first)(frame_b, frame_a)

    inputs = torch.stack((frame_a, frame_b), dim=1)[:, :, [2, 1, 0] if blue_first else [0, 1, 2]]
    with torch.no_grad():
        expected = network(inputs.float(), flow_ba[:, None])
    assert torch.equal(found, expected)


def test_kernels_come_at_the_size_of_the_frames() -> None:
    """Where the network has kernels they are cut to the frame like its flow."""
    network = SDCNet(2, width=0.05, kernel_taps=3)

    found = predict_any_size(network, torch.zeros(1, 2, 3, 33, 65), torch.zeros(1, 1, 2, 33, 65))

    assert found.kernels is not None
    assert found.kernels.vertical.shape == found.kernels.horizontal.shape == (1, 3, 33, 65)


@pytest.mark.parametrize("taps", [0, 3])
def test_labels_are_carried_with_and_without_kernels(taps: int) -> None:
    """Kernels that were not trained yet carry labels as the flow does; the border's go on beyond it."""
    flow_ba = torch.zeros(1, 2, 40, 50)
    flow_ba[:, 0] = -2
    motion = SDCNetMotion(
        SDCNet(2, width=0.05, kernel_taps=taps, starts_from_flow=True), Given(flow_ba), name="n"
    )
    frames = torch.randint(0, 256, (2, 1, 3, 40, 50), dtype=torch.uint8)
    labels_a = torch.randint(0, 4, (1, 40, 50), dtype=torch.uint8)
    labels_a[:, 5, 7] = 255

    labels_b = motion.carry_labels(labels_a, frame_b=frames[0], frame_a=frames[1], class_count=4)

    assert torch.equal(labels_b[:, :, 2:], labels_a[:, :, :-2])
    assert torch.equal(labels_b[:, :, 0], labels_a[:, :, 0])


def test_kernels_that_look_aside_carry_labels_from_there() -> None:
    """A kernel whose last tap counts takes the label to the right of the one that the flow points to."""
    network = SDCNet(2, width=0.05, kernel_taps=3, starts_from_flow=True)
    assert network.final_kernels is not None
    with torch.no_grad():
        network.final_kernels.horizontal.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    motion = SDCNetMotion(network, Given(torch.zeros(1, 2, 40, 50)), name="n")
    frame = torch.zeros(1, 3, 40, 50, dtype=torch.uint8)
    labels_a = torch.randint(0, 4, (1, 40, 50), dtype=torch.uint8)

    labels_b = motion.carry_labels(labels_a, frame_b=frame, frame_a=frame, class_count=4)

    assert torch.equal(labels_b[:, :, :-1], labels_a[:, :, 1:])
