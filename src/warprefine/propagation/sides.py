"""Bring labels to a frame from the key frames on both sides, and let them vote.

Equations of the paper end here: this is where warp-refine-plus leaves it. Labels are warped once along a
trajectory instead of at every step, they stay soft, and each way has a trust of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Confidence, Frames, LabelMaps
from warprefine.ops.resize import to_size
from warprefine.ops.soft_labels import SoftLabels, mix_soft, warp_soft
from warprefine.ops.warp import backward_warp
from warprefine.propagation.long_range import Improves, best_path
from warprefine.propagation.schedule import sides_of
from warprefine.propagation.trajectories import Footage, Trajectories, Trajectory, TrustRule
from warprefine.refinement.sides import (
    FADE,
    PREFERENCE,
    SEMANTIC_WEIGHT,
    VOID_WEIGHT,
    Side,
    SidesInput,
    weigh_sides,
)

KEPT = 4
"""Labels kept per pixel: as many as pixels are asked in one warp."""
_HARDLY_ANY = 1e-6
"""Trust that counts for nothing beside any other, and for all where there is none."""
LabelsOf = Callable[[int], LabelMaps]
"""Gives the labels of a key frame."""


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How labels are brought to a frame: the parts of warp-refine-plus that can be left out.

    `reach` is how many frames a key frame may be away, `sides` whether one or both are asked; `soft` keeps
    shares of labels where there would be one label; `carry` is "trajectory", or "steps" to warp at every step
    as the paper does; `long_range` estimates flow straight to the key frame too, for motion that can.
    """

    trust: TrustRule = field(default_factory=TrustRule)
    reach: int = 20
    sides: Literal[1, 2] = 2
    soft: bool = True
    carry: Literal["trajectory", "steps"] = "trajectory"
    long_range: Improves | None = None


class SideMaker:
    """Make the sides of the frames of one video, or of any other footage.

    Args:
        labels_of: Gives the labels of each frame that is asked for as an origin.
    """

    def __init__(self, footage: Footage, ways: Ways, labels_of: LabelsOf) -> None:
        self._footage, self._ways, self._labels_of = footage, ways, labels_of
        self._trajectories = Trajectories(footage, ways.trust, both_ways=ways.long_range is not None)

    def around(self, frame: int, key_frames: Sequence[int]) -> tuple[Side, Side]:
        """Return what the key frames on both sides say of a frame, the nearer side first."""
        nearer, farther = sides_of(frame, key_frames, reach=self._ways.reach)
        first = self.side(frame, nearer)
        return first, self.side(frame, farther if self._ways.sides == 2 else ())

    def side(self, frame: int, origins: Sequence[int]) -> Side:
        """Return what key frames on one side, nearest first, say of a frame.

        Where the nearest cannot be trusted, the next is asked, and so on.
        """
        picture = self._footage.frame(frame)
        if not origins:
            return Side.missing(picture)
        ways = [self._way(frame, origin) for origin in origins]
        parts = [
            self._carried(SoftLabels.of_labels(self._labels_of(origin)), frame, origin, way)
            for origin, way in zip(origins, ways, strict=True)
        ]
        soft, trust = _layered(parts, [way.trust for way in ways])
        warped_frame = backward_warp(self._footage.frame(origins[0]).float(), ways[0].flow)
        return _side(soft, trust, warped_frame, abs(frame - origins[0]))

    def cycle(self, frame: int, via: int) -> Side:
        """Send a key frame's labels on a journey to `via` and home; return what arrives.

        The paper's cycle (equations 9 to 12), along trajectories: damage of the kind to be repaired, at a
        frame whose labels are known.
        """
        out, home = self._way(via, frame), self._way(frame, via)
        soft = self._carried(SoftLabels.of_labels(self._labels_of(frame)), via, frame, out)
        soft = self._carried(soft, frame, via, home)
        trust = home.trust * backward_warp(out.trust[:, None], home.flow)[:, 0]
        there = backward_warp(self._footage.frame(frame).float(), out.flow)
        return _side(soft, trust, backward_warp(there, home.flow), abs(frame - via))

    def keep(self, frames: Collection[int]) -> None:
        """Drop what is known of the ways to all frames but these."""
        self._trajectories.keep(frames)

    def _way(self, frame: int, origin: int) -> Trajectory:
        way = self._trajectories.between(frame, origin)
        if self._ways.long_range is None or abs(frame - origin) == 1:
            return way
        frames = self._footage.frame(frame), self._footage.frame(origin)
        return best_path(way, *frames, self._ways.long_range, slack=self._ways.trust.slack)

    def _carried(self, soft: SoftLabels, frame: int, origin: int, way: Trajectory) -> SoftLabels:
        if self._ways.carry == "trajectory":
            return self._settled(warp_soft(soft, way.flow, most=KEPT))
        step = 1 if frame > origin else -1
        for k in range(origin + step, frame + step, step):
            soft = self._settled(warp_soft(soft, self._footage.flow(k, k - step), most=KEPT))
        return soft

    def _settled(self, soft: SoftLabels) -> SoftLabels:
        if self._ways.soft:
            return soft
        labels, share = soft.harden()
        return SoftLabels(labels=labels[:, None], shares=(share > 0)[:, None].float())


def vote(
    seen: SidesInput,
    *,
    fade: float = FADE,
    preference: float = PREFERENCE,
    semantic_weight: float = SEMANTIC_WEIGHT,
    void_weight: float = VOID_WEIGHT,
) -> SoftLabels:
    """Let both sides and the segmenter vote; nothing is learned.

    Args:
        fade: See `weigh_sides`, as `preference`.
        semantic_weight: What the segmenter's probabilities count.
        void_weight: What votes for VOID count: where people disagree it is seldom right.
    """
    weights = weigh_sides(seen.sides, fade=fade, preference=preference)
    semantic = SoftLabels.of_probabilities(semantic_probabilities(seen.segmentation, seen.frame), most=KEPT)
    parts = [semantic.scaled(torch.full_like(weights[0], semantic_weight))]
    for side, weight in zip(seen.sides, weights, strict=True):
        part = side.soft.scaled(weight)
        shares = torch.where(part.labels == VOID, void_weight * part.shares, part.shares)
        parts.append(SoftLabels(labels=part.labels, shares=shares))
    votes = mix_soft(parts, most=KEPT)
    return votes.scaled(1 / votes.shares.sum(dim=1).clamp(min=1e-6))


def semantic_probabilities(segmentation: Segmentation, frame: Frames) -> Tensor:
    """Return the segmenter's class probabilities at the frame's size."""
    return to_size(segmentation.logits.float(), (frame.shape[-2], frame.shape[-1])).softmax(dim=1)


def _layered(parts: Sequence[SoftLabels], trusts: Sequence[Confidence]) -> tuple[SoftLabels, Confidence]:
    """Lay the votes of several key frames over one another, the nearest on top: trust is its opacity.

    Where none is trusted, the nearest has its say, as it has where it is the only one.
    """
    if len(parts) == 1:
        return parts[0], trusts[0]
    unexplained, weights = torch.ones_like(trusts[0]), []
    for trust in trusts:
        weights.append(unexplained * trust)
        unexplained = unexplained * (1 - trust)
    weights[0] = weights[0] + _HARDLY_ANY
    scale = 1 / sum(weights, torch.zeros_like(unexplained))
    layers = [part.scaled(weight * scale) for part, weight in zip(parts, weights, strict=True)]
    return mix_soft(layers, most=KEPT), 1 - unexplained


def _side(soft: SoftLabels, trust: Confidence, warped_frame: Tensor, distance: int) -> Side:
    return Side(
        soft=soft,
        trust=trust,
        warped_frame=warped_frame.round().clamp(0, 255).to(torch.uint8),
        distance=torch.tensor([float(distance)]),
    )
