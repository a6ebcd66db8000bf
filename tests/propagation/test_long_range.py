"""Tests of propagation/long_range.py: between two ways to a pixel the better one is taken."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.propagation.long_range import Improves, best_path
from warprefine.propagation.trajectories import Trajectory

H, W = 24, 40
MOVED = 3  # pixels to the right, from the origin to the frame
INSIDE = (..., slice(8, -8))  # what both frames show, with some room around it


def shift(x: float) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, 0.0]).view(1, 2, 1, 1).repeat(1, 1, H, W)


class Finds:
    """Motion that finds given flow, out and back, whatever it begins from; what that was is kept."""

    def __init__(self, out: Tensor, back: Tensor) -> None:
        self._found = [out, back]
        self.began: list[tuple[Tensor, Tensor, Tensor]] = []

    def improve(self, frame_b: Tensor, frame_a: Tensor, flow_ba: Tensor) -> Tensor:
        self.began.append((frame_b, frame_a, flow_ba))
        return self._found[len(self.began) - 1]


def composed(flow: Tensor, way_back: Tensor, trust: float = 0.25) -> Trajectory:
    return Trajectory(flow=flow, way_back=way_back, trust=torch.full((1, H, W), trust))


@pytest.fixture
def frames(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A frame and its origin: a wall of noise that has moved to the right."""
    wall = torch.from_numpy(rng.integers(0, 256, (1, 3, H, W + MOVED), dtype=np.uint8))
    return wall[..., :W].contiguous(), wall[..., MOVED:].contiguous()


@pytest.fixture
def blank() -> tuple[Tensor, Tensor]:
    """Two frames on which there is nothing to see."""
    return torch.full((1, 3, H, W), 90, dtype=torch.uint8), torch.full((1, 3, H, W), 90, dtype=torch.uint8)


def test_the_better_way_is_taken_pixel_by_pixel(frames: tuple[Tensor, Tensor]) -> None:
    """Where one way is wrong the other is taken, either way round, each with its own trust."""
    left_right, right_right = shift(-MOVED), shift(-MOVED)
    left_right[..., 20:] = 2
    right_right[..., :20] = -7
    motion = Finds(right_right, shift(MOVED))

    best = best_path(composed(left_right, shift(MOVED)), *frames, motion, slack=2.0)

    assert torch.equal(best.flow[INSIDE], shift(-MOVED)[INSIDE])
    assert best.trust[..., 8:20].unique().tolist() == [0.25]
    assert best.trust[..., 20:-8].unique().tolist() == [1]


def test_a_worse_way_is_never_taken(frames: tuple[Tensor, Tensor]) -> None:
    """Motion that finds nothing of use changes nothing."""
    way = composed(shift(-MOVED), shift(MOVED))

    best = best_path(way, *frames, Finds(shift(1), shift(5)), slack=2.0)

    assert torch.equal(best.flow[INSIDE], way.flow[INSIDE])
    assert torch.equal(best.trust[INSIDE], way.trust[INSIDE])


def test_ways_alike_leave_all_as_it_is(frames: tuple[Tensor, Tensor]) -> None:
    """Where nothing is gained the composed way stays, and the trust of all its steps with it."""
    way = composed(shift(-MOVED), shift(MOVED))

    best = best_path(way, *frames, Finds(way.flow.clone(), shift(MOVED)), slack=2.0)

    assert torch.equal(best.flow, way.flow)
    assert torch.equal(best.trust, way.trust)


def test_colours_tell_ways_apart_that_both_lead_back(frames: tuple[Tensor, Tensor]) -> None:
    """A way that agrees with its way back may still lead to the wrong place."""
    right, wrong = (shift(-MOVED), shift(MOVED)), (shift(-1), shift(1))

    found = best_path(composed(*wrong), *frames, Finds(*right), slack=2.0)
    stayed = best_path(composed(*right), *frames, Finds(*wrong), slack=2.0)

    assert torch.equal(found.flow[INSIDE], right[0][INSIDE])
    assert torch.equal(stayed.flow[INSIDE], right[0][INSIDE])


def test_the_way_back_tells_ways_apart_where_nothing_is_to_be_seen(blank: tuple[Tensor, Tensor]) -> None:
    """On a blank wall the way is better that leads back nearer to where it began; trust follows the error."""
    agreeing, apart = (shift(-MOVED), shift(MOVED + 1)), (shift(-MOVED - 1), shift(MOVED - 1))

    found = best_path(composed(*apart), *blank, Finds(*agreeing), slack=1.0)
    stayed = best_path(composed(*agreeing), *blank, Finds(*apart), slack=1.0)

    assert torch.equal(found.flow[INSIDE], agreeing[0][INSIDE])
    assert torch.equal(stayed.flow[INSIDE], agreeing[0][INSIDE])
    torch.testing.assert_close(found.trust[INSIDE], torch.full((1, H, W - 16), math.exp(-0.5)))


def test_motion_begins_from_the_composed_way(frames: tuple[Tensor, Tensor]) -> None:
    """It is asked for the way out from the way out, and for the way back from the way back."""
    way = composed(shift(-MOVED), shift(MOVED))
    motion = Finds(shift(0), shift(0))

    best_path(way, *frames, motion, slack=2.0)

    (out, back), (frame, origin) = motion.began, frames
    assert out[0] is frame
    assert out[1] is origin
    assert out[2] is way.flow
    assert back[0] is origin
    assert back[1] is frame
    assert back[2] is way.way_back


def test_not_every_motion_can_begin_from_a_flow(drive: Any) -> None:
    """What has no `improve` is told apart."""
    assert isinstance(Finds(shift(0), shift(0)), Improves)
    assert not isinstance(drive.motion(), Improves)
