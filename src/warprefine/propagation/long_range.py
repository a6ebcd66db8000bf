"""Look for a shorter way: flow straight from a frame to its key frame, where it beats the composed one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import Flow, Frames
from warprefine.ops.trajectories import agreement, forward_backward_error
from warprefine.ops.warp import backward_warp
from warprefine.propagation.trajectories import Trajectory

COLOURS_PER_PIXEL = 10.0
"""A mean difference of so many grey levels around a pixel counts as much as a pixel of disagreement."""
AROUND = 5
"""Side of the square over which colours are compared, in pixels."""


@runtime_checkable
class Improves(Protocol):
    """A motion estimator that can begin from a flow instead of from nothing."""

    def improve(self, frame_b: Frames, frame_a: Frames, flow_ba: Flow) -> Flow:
        """Return a better `flow_ba`."""
        ...


def best_path(
    trajectory: Trajectory, frame: Frames, origin: Frames, motion: Improves, *, slack: float
) -> Trajectory:
    """Choose, pixel by pixel, between a composed trajectory and flow estimated directly from it.

    A way is the better one whose disagreement with the way back (pixels) and difference of colours is less.

    Args:
        frame: The frame that the trajectory lives on.
        origin: The frame that it points into.
        slack: As in `ops.trajectories.agreement`, for the trust in direct flow.
    """
    assert trajectory.way_back is not None, "made by Trajectories with both_ways"
    direct = motion.improve(frame, origin, trajectory.flow)
    way_back = motion.improve(origin, frame, trajectory.way_back)
    composed_cost = _cost(trajectory.flow, trajectory.way_back, frame, origin)
    better = _cost(direct, way_back, frame, origin) < composed_cost
    return Trajectory(
        flow=torch.where(better[:, None], direct, trajectory.flow),
        trust=torch.where(better, agreement(direct, way_back, slack=slack), trajectory.trust),
    )


def _cost(flow: Flow, way_back: Flow, frame: Frames, origin: Frames) -> Tensor:
    colours = (backward_warp(origin.float(), flow) - frame.float()).abs().mean(dim=1, keepdim=True)
    around = functional.avg_pool2d(colours, AROUND, stride=1, padding=AROUND // 2)[:, 0]
    return forward_backward_error(flow, way_back) + around / COLOURS_PER_PIXEL
