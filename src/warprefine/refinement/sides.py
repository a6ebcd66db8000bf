"""Hold what the key frames on either side of a frame say of it, for a refiner that weighs them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Confidence, Frames, Logits
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement.mirrored import flip_beside, flip_segmentation

FARTHEST = 40.0
"""The distance in frames of a side where there is no key frame; one as far away counts for little."""
FADE, PREFERENCE, SEMANTIC_WEIGHT, VOID_WEIGHT = 0.01, 0.1, 0.6, 0.6
"""The weights of a vote of sides and segmenter, chosen on the first 25 frames of the CamVid clip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """What the key frames on one side of frames b say: labels and picture, brought along trajectories.

    `trust` (0 to 1) says how far the way can be trusted; `warped_frame` is the nearest key frame's picture
    warped onto b, `distance` how many frames away that is.
    """

    soft: SoftLabels
    trust: Confidence
    warped_frame: Frames
    distance: Float32[Tensor, " b"]

    @classmethod
    def missing(cls, frame: Frames) -> Side:
        """Return the side on which there is no key frame: it has no labels, and no trust."""
        b, _, h, w = frame.shape
        return cls(
            soft=SoftLabels(
                labels=torch.full((b, 1, h, w), VOID, dtype=torch.uint8, device=frame.device),
                shares=torch.zeros(b, 1, h, w, device=frame.device),
            ),
            trust=torch.zeros(b, h, w, device=frame.device),
            warped_frame=torch.zeros_like(frame),
            distance=torch.full((b,), FARTHEST, device=frame.device),
        )

    @property
    def is_missing(self) -> Bool[Tensor, " b"]:
        """Say which frames have no key frame on this side, or none that is worth comparing pictures with."""
        return self.distance >= FARTHEST

    def to(self, device: torch.device) -> Side:
        """Return the same on another device."""
        return Side(
            soft=SoftLabels(labels=self.soft.labels.to(device), shares=self.soft.shares.to(device)),
            trust=self.trust.to(device),
            warped_frame=self.warped_frame.to(device),
            distance=self.distance.to(device),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SidesInput:
    """What a refiner of sides sees of frames b; the nearer side comes first."""

    frame: Frames
    sides: tuple[Side, Side]
    segmentation: Segmentation

    def to(self, device: torch.device) -> SidesInput:
        """Return the same on another device."""
        return SidesInput(
            frame=self.frame.to(device),
            sides=(self.sides[0].to(device), self.sides[1].to(device)),
            segmentation=self.segmentation.to(device),
        )


@runtime_checkable
class SideRefiner(Protocol):
    """Weigh both sides, the segmenter and the picture, and say what the labels are."""

    name: str
    class_count: int

    def __call__(self, seen: SidesInput) -> Logits:
        """Return scores (b, C + 1, h, w) at the frame's size; the last channel is VOID."""
        ...


def mirror_sides(seen: SidesInput) -> SidesInput:
    """Flip all that a refiner of sides sees, left to right.

    Where the segmenter's coarsest cells do not fill the frame it grows to the right before it is flipped,
    as in `mirrored.mirror`.
    """
    flipped = flip_beside(seen.segmentation, (seen.frame.shape[-2], seen.frame.shape[-1]))

    def flip_side(side: Side) -> Side:
        return Side(
            soft=SoftLabels(labels=flipped(side.soft.labels), shares=flipped(side.soft.shares)),
            trust=flipped(side.trust),
            warped_frame=flipped(side.warped_frame),
            distance=side.distance,
        )

    return SidesInput(
        frame=flipped(seen.frame),
        sides=(flip_side(seen.sides[0]), flip_side(seen.sides[1])),
        segmentation=flip_segmentation(seen.segmentation, flipped),
    )


def stack(seen: Sequence[SidesInput]) -> SidesInput:
    """Put what is seen of frames of one size into one batch, in order.

    Sides may hold different numbers of labels per pixel: those with fewer get empty slots.
    """
    return SidesInput(
        frame=torch.cat([one.frame for one in seen]),
        sides=(_stack_sides([one.sides[0] for one in seen]), _stack_sides([one.sides[1] for one in seen])),
        segmentation=Segmentation(
            logits=torch.cat([one.segmentation.logits for one in seen]),
            features=torch.cat([one.segmentation.features for one in seen]),
        ),
    )


def _stack_sides(sides: Sequence[Side]) -> Side:
    most = max(side.soft.labels.shape[1] for side in sides)

    def filled(slots: Tensor, empty: int) -> Tensor:
        return functional.pad(slots, (0, 0, 0, 0, 0, most - slots.shape[1]), value=empty)

    return Side(
        soft=SoftLabels(
            labels=torch.cat([filled(side.soft.labels, VOID) for side in sides]),
            shares=torch.cat([filled(side.soft.shares, 0) for side in sides]),
        ),
        trust=torch.cat([side.trust for side in sides]),
        warped_frame=torch.cat([side.warped_frame for side in sides]),
        distance=torch.cat([side.distance for side in sides]),
    )


def weigh_sides(
    sides: tuple[Side, Side], *, fade: Tensor | float, preference: Tensor | float
) -> tuple[Confidence, Confidence]:
    """Return what the shares of each side count at each pixel in a vote with the segmenter.

    Between the sides, trust decides, and the nearer one is preferred: each frame that the other is further
    away costs it exp(-preference). Both together count as far as either can be trusted, times
    exp(-fade * distance) of the nearer one.
    """
    near, far = sides
    further = (far.distance - near.distance)[:, None, None]
    relative = far.trust * torch.exp(-preference * further)
    covered = 1 - (1 - near.trust) * (1 - far.trust)
    scale = (
        covered * torch.exp(-fade * near.distance)[:, None, None] / (near.trust + relative).clamp(min=1e-6)
    )
    return near.trust * scale, relative * scale
