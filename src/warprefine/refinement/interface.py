"""Input and interface of two-sided refiners: labels carried to a frame from the key frames on both sides."""

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
from warprefine.recipe.plus import FARTHEST

FADE, PREFERENCE, SEMANTIC_WEIGHT, VOID_WEIGHT = 0.01, 0.1, 0.6, 0.6
"""Weights of the vote of both sides and the segmenter, chosen on the first 25 frames of the CamVid clip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Labels and image of the key frames on one side of frames b, carried to b along trajectories.

    Attributes:
        soft: Soft labels on b.
        trust: Trust in the trajectories, 0 to 1.
        warped_frame: The nearest key frame warped onto b.
        distance: Frames between b and that key frame.
    """

    soft: SoftLabels
    trust: Confidence
    warped_frame: Frames
    distance: Float32[Tensor, " b"]

    @classmethod
    def missing(cls, frame: Frames) -> Side:
        """Return a side without key frames: no labels, and trust 0."""
        b, _, h, w = frame.shape
        return cls(
            soft=SoftLabels(
                labels=torch.full((b, 1, h, w), VOID, dtype=torch.uint8, device=frame.device),
                shares=torch.zeros(b, 1, h, w, device=frame.device),
            ),
            trust=torch.zeros(b, h, w, device=frame.device),
            warped_frame=torch.zeros_like(frame),
            distance=torch.full((b,), float(FARTHEST), device=frame.device),
        )

    @property
    def is_missing(self) -> Bool[Tensor, " b"]:
        """Whether each frame has no key frame on this side, or one too far away to compare images with."""
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
class TwoSidedInput:
    """Input of a two-sided refiner for frames b; the nearer side comes first."""

    frame: Frames
    sides: tuple[Side, Side]
    segmentation: Segmentation

    def to(self, device: torch.device) -> TwoSidedInput:
        """Return the same on another device."""
        return TwoSidedInput(
            frame=self.frame.to(device),
            sides=(self.sides[0].to(device), self.sides[1].to(device)),
            segmentation=self.segmentation.to(device),
        )


@runtime_checkable
class TwoSidedRefiner(Protocol):
    """Network that labels frames from the labels of both sides, the segmenter and the image."""

    name: str
    class_count: int

    def __call__(self, inputs: TwoSidedInput) -> Logits:
        """Return logits (b, C + 1, h, w) at the frame's size; the last channel is VOID."""
        ...


def stack(inputs: Sequence[TwoSidedInput]) -> TwoSidedInput:
    """Concatenate inputs of frames of one size into a batch, in order.

    Sides may hold different numbers of labels per pixel: those with fewer get empty slots.
    """
    return TwoSidedInput(
        frame=torch.cat([one.frame for one in inputs]),
        sides=(
            _stack_sides([one.sides[0] for one in inputs]),
            _stack_sides([one.sides[1] for one in inputs]),
        ),
        segmentation=Segmentation(
            logits=torch.cat([one.segmentation.logits for one in inputs]),
            features=torch.cat([one.segmentation.features for one in inputs]),
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
    """Return the weight of each side, per pixel, in a vote with the segmenter.

    The sides share a total weight in proportion to their trust; each frame that the farther side is
    further away multiplies its share by exp(-preference). The total is the trust in either side, times
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
