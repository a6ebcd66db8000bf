"""Flow estimated directly from a frame to a key frame, used where it is better than composed flow."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import Flow, Frames
from warprefine.ops.trajectories import agreement, forward_backward_error
from warprefine.ops.warp import backward_warp
from warprefine.propagation.two_sided.trajectories import Trajectory

COLOURS_PER_PIXEL = 10.0
"""A mean colour difference of so many grey levels around a pixel costs as much as an error of one pixel."""
WINDOW = 5
"""Side of the square over which colours are compared, in pixels."""


@runtime_checkable
class RefinesFlow(Protocol):
    """A motion estimator that can be initialised with a flow."""

    def refine_flow(self, frame_b: Frames, frame_a: Frames, flow_ba: Flow) -> Flow:
        """Return a better `flow_ba`."""
        ...


def best_path(
    trajectory: Trajectory, frame: Frames, origin: Frames, motion: RefinesFlow, *, slack: float
) -> Trajectory:
    """Choose, per pixel, between a composed trajectory and flow estimated directly, initialised with it.

    The better flow has the smaller sum of forward-backward error (pixels) and colour difference.

    Args:
        trajectory: Composed flow, with its reverse flow.
        frame: The frame that the trajectory lives on.
        origin: The frame that it points into.
        motion: Estimates the direct flow.
        slack: As in `ops.trajectories.agreement`, for the trust in direct flow.
    """
    assert trajectory.reverse_flow is not None, "computed by Trajectories(reverse=True)"
    direct = motion.refine_flow(frame, origin, trajectory.flow)
    reverse = motion.refine_flow(origin, frame, trajectory.reverse_flow)
    composed_cost = _cost(trajectory.flow, trajectory.reverse_flow, frame, origin)
    better = _cost(direct, reverse, frame, origin) < composed_cost
    return Trajectory(
        flow=torch.where(better[:, None], direct, trajectory.flow),
        trust=torch.where(better, agreement(direct, reverse, slack=slack), trajectory.trust),
    )


def _cost(flow: Flow, reverse_flow: Flow, frame: Frames, origin: Frames) -> Tensor:
    colours = (backward_warp(origin.float(), flow) - frame.float()).abs().mean(dim=1, keepdim=True)
    around = functional.avg_pool2d(colours, WINDOW, stride=1, padding=WINDOW // 2)[:, 0]
    return forward_backward_error(flow, reverse_flow) + around / COLOURS_PER_PIXEL
