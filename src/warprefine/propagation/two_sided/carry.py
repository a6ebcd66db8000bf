"""Carry labels to a frame from the key frames on both sides, along trajectories.

This is the first part of warp-refine-plus, which extends the paper: labels are warped once along composed
flow instead of at every step, they stay soft, and each side has a trust per pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Confidence, LabelMaps
from warprefine.ops.soft_labels import SoftLabels, mix_soft, warp_soft
from warprefine.ops.warp import backward_warp
from warprefine.propagation.two_sided.direct_flow import RefinesFlow, best_path
from warprefine.propagation.two_sided.trajectories import Footage, StepTrust, Trajectories, Trajectory
from warprefine.recipe.plus import CarrySettings
from warprefine.refinement.interface import Side

LABELS_PER_PIXEL = 4
"""Slots of soft labels: as many as pixels are read in one bilinear warp."""
_TINY_TRUST = 1e-6
"""Weight of the nearest key frame where no key frame is trusted; negligible beside any trust."""
KeyLabels: TypeAlias = Callable[[int], LabelMaps]
"""Returns the labels of a key frame by its number."""


class LabelCarrier:
    """Carries key-frame labels to the frames of one video.

    Args:
        footage: Frames and flow between neighbours.
        settings: How labels are carried.
        key_labels: Returns the labels of each frame that is used as an origin.
        motion: The motion estimator of `footage`; with `long_range` it also estimates direct flow.
        steps: The trust in steps, where others share it.
        folder: Where trajectories lie beyond those that were used last; None keeps all in memory.
    """

    def __init__(
        self,
        footage: Footage,
        settings: CarrySettings,
        key_labels: KeyLabels,
        *,
        motion: MotionEstimator,
        steps: StepTrust | None = None,
        folder: Path | None = None,
    ) -> None:
        self._footage, self._settings, self._key_labels = footage, settings, key_labels
        self._direct = motion if settings.long_range and isinstance(motion, RefinesFlow) else None
        self._trajectories = Trajectories(
            footage, settings, steps=steps, reverse=self._direct is not None, folder=folder
        )

    def side(self, frame: int, origins: Sequence[int]) -> Side:
        """Return the labels of key frames on one side, nearest first, carried to a frame.

        Where the nearest is not trusted, the labels of the next one are used, and so on.
        """
        if not origins:
            return Side.missing(self._footage.frame(frame))
        trajectories = [self._trajectory(frame, origin) for origin in origins]
        parts = [
            self._carry(SoftLabels.of_labels(self._key_labels(origin)), frame, origin, trajectory)
            for origin, trajectory in zip(origins, trajectories, strict=True)
        ]
        soft, trust = _layer(parts, [trajectory.trust for trajectory in trajectories])
        warped_frame = backward_warp(self._footage.frame(origins[0]).float(), trajectories[0].flow)
        return _side(soft, trust, warped_frame, abs(frame - origins[0]))

    def cycle(self, frame: int, via: int) -> Side:
        """Carry a key frame's labels to `via` and back to the key frame.

        The paper's cycle (equations 9 to 12), along trajectories: the labels that return have the
        errors that a refiner has to correct, on a frame whose labels are known.
        """
        # The way out to the next `via` extends this one; the way back from there shares no part with this.
        out, back = self._trajectory(via, frame), self._trajectory(frame, via, hold=False)
        soft = self._carry(SoftLabels.of_labels(self._key_labels(frame)), via, frame, out)
        soft = self._carry(soft, frame, via, back)
        trust = back.trust * backward_warp(out.trust[:, None], back.flow)[:, 0]
        frame_on_via = backward_warp(self._footage.frame(frame).float(), out.flow)
        return _side(soft, trust, backward_warp(frame_on_via, back.flow), abs(frame - via))

    def keep(self, frames: Collection[int]) -> None:
        """Drop the trajectories that live on other frames than these."""
        self._trajectories.keep(frames)

    def _trajectory(self, frame: int, origin: int, *, hold: bool = True) -> Trajectory:
        trajectory = self._trajectories.between(frame, origin, hold=hold)
        if self._direct is None or abs(frame - origin) == 1:
            return trajectory
        frames = self._footage.frame(frame), self._footage.frame(origin)
        return best_path(trajectory, *frames, self._direct, slack=self._settings.slack)

    def _carry(self, soft: SoftLabels, frame: int, origin: int, trajectory: Trajectory) -> SoftLabels:
        if self._settings.mode == "trajectory":
            return self._hardened(warp_soft(soft, trajectory.flow, most=LABELS_PER_PIXEL))
        step = 1 if frame > origin else -1
        for k in range(origin + step, frame + step, step):
            flow = self._footage.flow(k, k - step)
            soft = self._hardened(warp_soft(soft, flow, most=LABELS_PER_PIXEL))
        return soft

    def _hardened(self, soft: SoftLabels) -> SoftLabels:
        if self._settings.soft:
            return soft
        labels, share = soft.harden()
        return SoftLabels(labels=labels[:, None], shares=(share > 0)[:, None].float())


def _layer(parts: Sequence[SoftLabels], trusts: Sequence[Confidence]) -> tuple[SoftLabels, Confidence]:
    """Blend the labels of several key frames like layers, the nearest on top, with trust as opacity.

    Where none is trusted, the labels of the nearest are taken, as where it is the only one.
    """
    if len(parts) == 1:
        return parts[0], trusts[0]
    uncovered, weights = torch.ones_like(trusts[0]), []
    for trust in trusts:
        weights.append(uncovered * trust)
        uncovered = uncovered * (1 - trust)
    weights[0] = weights[0] + _TINY_TRUST
    scale = 1 / sum(weights, torch.zeros_like(uncovered))
    layers = [part.scaled(weight * scale) for part, weight in zip(parts, weights, strict=True)]
    return mix_soft(layers, most=LABELS_PER_PIXEL), 1 - uncovered


def _side(soft: SoftLabels, trust: Confidence, warped_frame: Tensor, distance: int) -> Side:
    return Side(
        soft=soft,
        trust=trust,
        warped_frame=warped_frame.round().clamp(0, 255).to(torch.uint8),
        distance=torch.tensor([float(distance)], device=trust.device),
    )
