"""Tests of propagation/two_sided/direct_flow.py: composed or direct flow, the better one at each pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.propagation.two_sided.direct_flow import RefinesFlow, best_path
from warprefine.propagation.two_sided.trajectories import Trajectory

H, W = 24, 40
MOVED = 3  # pixels to the right, from the origin to the frame
INSIDE = (..., slice(8, -8))  # what both frames show, with some room around it


def shift(x: float) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, 0.0]).view(1, 2, 1, 1).repeat(1, 1, H, W)


class Finds:
    """Motion that returns given flow, out and back, from whatever it starts, and records its inputs."""

    def __init__(self, out: Tensor, back: Tensor) -> None:
        self._found = [out, back]
        self.inputs: list[tuple[Tensor, Tensor, Tensor]] = []

    def refine_flow(self, frame_b: Tensor, frame_a: Tensor, flow_ba: Tensor) -> Tensor:
        self.inputs.append((frame_b, frame_a, flow_ba))
        return self._found[len(self.inputs) - 1]


def composed(flow: Tensor, reverse_flow: Tensor, trust: float = 0.25) -> Trajectory:
    return Trajectory(flow=flow, reverse_flow=reverse_flow, trust=torch.full((1, H, W), trust))


@pytest.fixture
def frames(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A frame and its origin: a wall of noise that has moved to the right."""
    wall = torch.from_numpy(rng.integers(0, 256, (1, 3, H, W + MOVED), dtype=np.uint8))
    return wall[..., :W].contiguous(), wall[..., MOVED:].contiguous()


@pytest.fixture
def blank() -> tuple[Tensor, Tensor]:
    """Two frames of one colour."""
    return torch.full((1, 3, H, W), 90, dtype=torch.uint8), torch.full((1, 3, H, W), 90, dtype=torch.uint8)


def test_the_better_flow_is_taken_pixel_by_pixel(frames: tuple[Tensor, Tensor]) -> None:
    """Where either flow is wrong the other is taken, each with its own trust."""
    left_right, right_right = shift(-MOVED), shift(-MOVED)
    left_right[..., 20:] = 2
    right_right[..., :20] = -7
    motion = Finds(right_right, shift(MOVED))

    best = best_path(composed(left_right, shift(MOVED)), *frames, motion, slack=2.0)

    assert torch.equal(best.flow[INSIDE], shift(-MOVED)[INSIDE])
    assert best.trust[..., 8:20].unique().tolist() == [0.25]
    assert best.trust[..., 20:-8].unique().tolist() == [1]


def test_worse_flow_is_never_taken(frames: tuple[Tensor, Tensor]) -> None:
    """Motion that finds nothing of use changes nothing."""
    trajectory = composed(shift(-MOVED), shift(MOVED))

    best = best_path(trajectory, *frames, Finds(shift(1), shift(5)), slack=2.0)

    assert torch.equal(best.flow[INSIDE], trajectory.flow[INSIDE])
    assert torch.equal(best.trust[INSIDE], trajectory.trust[INSIDE])


def test_equal_flow_leaves_all_as_it_is(frames: tuple[Tensor, Tensor]) -> None:
    """Where nothing is gained the composed flow stays, and the trust of all its steps with it."""
    trajectory = composed(shift(-MOVED), shift(MOVED))

    best = best_path(trajectory, *frames, Finds(trajectory.flow.clone(), shift(MOVED)), slack=2.0)

    assert torch.equal(best.flow, trajectory.flow)
    assert torch.equal(best.trust, trajectory.trust)


def test_colours_decide_between_flows_that_both_lead_back(frames: tuple[Tensor, Tensor]) -> None:
    """Flow that agrees with its reverse may still point to the wrong place."""
    right, wrong = (shift(-MOVED), shift(MOVED)), (shift(-1), shift(1))

    found = best_path(composed(*wrong), *frames, Finds(*right), slack=2.0)
    stayed = best_path(composed(*right), *frames, Finds(*wrong), slack=2.0)

    assert torch.equal(found.flow[INSIDE], right[0][INSIDE])
    assert torch.equal(stayed.flow[INSIDE], right[0][INSIDE])


def test_the_reverse_flow_decides_where_colours_are_alike(blank: tuple[Tensor, Tensor]) -> None:
    """On a blank wall the better flow is that whose reverse leads back nearer; trust follows the error."""
    agreeing, apart = (shift(-MOVED), shift(MOVED + 1)), (shift(-MOVED - 1), shift(MOVED - 1))

    found = best_path(composed(*apart), *blank, Finds(*agreeing), slack=1.0)
    stayed = best_path(composed(*agreeing), *blank, Finds(*apart), slack=1.0)

    assert torch.equal(found.flow[INSIDE], agreeing[0][INSIDE])
    assert torch.equal(stayed.flow[INSIDE], agreeing[0][INSIDE])
    torch.testing.assert_close(found.trust[INSIDE], torch.full((1, H, W - 16), math.exp(-0.5)))


def test_motion_is_initialised_with_composed_flow(frames: tuple[Tensor, Tensor]) -> None:
    """Direct flow begins from the composed flow, and its reverse from the reverse of that."""
    trajectory = composed(shift(-MOVED), shift(MOVED))
    motion = Finds(shift(0), shift(0))

    best_path(trajectory, *frames, motion, slack=2.0)

    (out, back), (frame, origin) = motion.inputs, frames
    assert out[0] is frame
    assert out[1] is origin
    assert out[2] is trajectory.flow
    assert back[0] is origin
    assert back[1] is frame
    assert back[2] is trajectory.reverse_flow


def test_not_every_motion_can_be_initialised_with_flow(drive: Any) -> None:
    """Motion without `refine_flow` is recognised."""
    assert isinstance(Finds(shift(0), shift(0)), RefinesFlow)
    assert not isinstance(drive.motion(), RefinesFlow)
