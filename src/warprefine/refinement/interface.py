"""Input and interface of two-sided refiners: labels carried to a frame from the key frames on both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional

from warprefine.core.protocols import RefinerInput, Segmentation
from warprefine.core.tensors import VOID, Confidence, Frames, Logits
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.plus import FARTHEST

FADE, PREFERENCE, SEMANTIC_WEIGHT, VOID_WEIGHT = 0.01, 0.1, 0.6, 0.6
"""Weights of the vote of both sides and the segmenter, chosen on the first 25 frames of the CamVid clip."""
CAUTION = 0.6
"""How much of what the default networks add to the vote counts in labelling: they have learned from few key
frames, and are too sure of themselves. 0.4 to 0.8 do as well; labels far from key frames gain most."""
_NEVER = -1e4
"""Logit of what is no label."""


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

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Side:
        """Return the same with all maps and images changed alike: cropped, flipped or moved."""
        return replace(
            self,
            soft=self.soft.mapped(change),
            trust=change(self.trust),
            warped_frame=change(self.warped_frame),
        )

    def of_frame(self, index: int) -> Side:
        """Return the side of one of the frames (b = 1)."""
        return Side(
            soft=self.soft.mapped(lambda values: values[index, None]),
            trust=self.trust[index, None],
            warped_frame=self.warped_frame[index, None],
            distance=self.distance[index, None],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoSidedInput:
    """Input of a two-sided refiner for frames b; the nearer side comes first."""

    frame: Frames
    sides: tuple[Side, Side]
    segmentation: Segmentation

    def mapped(self, change: Callable[[Tensor], Tensor]) -> TwoSidedInput:
        """Return the same with all maps and images changed alike: cropped, flipped or moved."""
        near, far = self.sides
        return TwoSidedInput(
            frame=change(self.frame),
            sides=(near.mapped(change), far.mapped(change)),
            segmentation=self.segmentation.mapped(change),
        )

    def of_frame(self, index: int) -> TwoSidedInput:
        """Return the input of one of the frames (b = 1)."""
        near, far = self.sides
        return TwoSidedInput(
            frame=self.frame[index, None],
            sides=(near.of_frame(index), far.of_frame(index)),
            segmentation=self.segmentation.mapped(lambda values: values[index, None]),
        )

    def to(self, device: torch.device) -> TwoSidedInput:
        """Return the same on another device."""
        ahead = device.type == "cuda"  # from pinned memory; what comes back is waited for
        moved = self.mapped(lambda values: values.to(device, non_blocking=ahead))
        near, far = (replace(side, distance=side.distance.to(device)) for side in moved.sides)
        return replace(moved, sides=(near, far))

    @property
    def images(self) -> tuple[Frames, Frames, Frames]:
        """The frame and the warped frames of both sides."""
        near, far = self.sides
        return self.frame, near.warped_frame, far.warped_frame

    def with_images(self, frame: Frames, near_frame: Frames, far_frame: Frames) -> TwoSidedInput:
        """Return the same with other images."""
        near, far = self.sides
        sides = (replace(near, warped_frame=near_frame), replace(far, warped_frame=far_frame))
        return replace(self, frame=frame, sides=sides)

    @classmethod
    def stacked(cls, inputs: Sequence[TwoSidedInput]) -> TwoSidedInput:
        """Concatenate inputs of frames of one size into a batch, in order.

        Sides may hold different numbers of labels per pixel: those with fewer get empty slots.
        """
        near, far = (_stack_sides([one.sides[place] for one in inputs]) for place in (0, 1))
        return cls(
            frame=torch.cat([one.frame for one in inputs]),
            sides=(near, far),
            segmentation=Segmentation.stacked([one.segmentation for one in inputs]),
        )


InputT = TypeVar("InputT", RefinerInput, TwoSidedInput)


@runtime_checkable
class TwoSidedRefiner(Protocol):
    """Network that labels frames from the labels of both sides, the segmenter and the image."""

    name: str
    class_count: int

    def __call__(self, inputs: TwoSidedInput) -> Logits:
        """Return logits (b, C + 1, h, w) at the frame's size; the last channel is VOID."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class CandidateScores:
    """Logits of a few labels per pixel, in descending order of their votes.

    Attributes:
        labels: Classes; C stands for VOID.
        logits: One for each.
        is_empty: Which slots hold no label.
    """

    labels: UInt8[Tensor, "b k h w"]
    logits: Float[Tensor, "b k h w"]
    is_empty: Bool[Tensor, "b k h w"]

    def log_probabilities(self) -> Float32[Tensor, "b k h w"]:
        """Return the logarithm of the probability of each label; of empty slots it is very small."""
        return self.logits.float().masked_fill(self.is_empty, _NEVER).log_softmax(dim=1)


@runtime_checkable
class ScoresCandidates(Protocol):
    """A two-sided refiner that can score the candidates of each pixel alone."""

    class_count: int

    def scored(self, inputs: TwoSidedInput) -> CandidateScores:
        """Return the candidates of each pixel with a logit each."""
        ...


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
