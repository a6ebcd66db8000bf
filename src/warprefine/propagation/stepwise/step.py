"""One propagation step, from frame a to the neighbouring frame b: the paper's Psi.

Equations are those of Ganeshan et al., "Warp-Refine Propagation", ICCV 2021. Everything here is for
one frame (b = 1), pure, and independent of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from warprefine.core.precision import computing
from warprefine.core.protocols import Refiner, RefinerInput, Segmentation, device_of
from warprefine.core.tensors import VOID, Confidence, Flow, Frames, LabelMaps, size_of
from warprefine.ops.label_vote import Outside, carry_labels
from warprefine.ops.mixing import inpaint, mismatch
from warprefine.ops.resize import to_size
from warprefine.ops.tiles import Tile, in_tiles
from warprefine.ops.warp import backward_warp


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelling:
    """A label map and, per pixel, the estimated probability (0..1) that it is right."""

    labels: LabelMaps
    confidence: Confidence


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two neighbouring frames: b is to be labelled, a is labelled already.

    What is derived from them is computed at its first use, once for all methods, cycles and values of tau.

    Attributes:
        frame_a: Frame a.
        frame_b: Frame b.
        flow_ba: The flow that lives on b and points into a.
        segmentation_b: The segmenter's output for b; None where no method uses it.
        known_semantic: What `semantic` is, if another pair has computed it.
    """

    frame_a: Frames
    frame_b: Frames
    flow_ba: Flow
    segmentation_b: Segmentation | None
    known_semantic: Labelling | None = None

    @classmethod
    def of(cls, frame_a: Frames, frame_b: Frames, flow_ba: Flow, segmentation_b: Segmentation | None) -> Pair:
        """Return the pair of two frames."""
        return cls(frame_a=frame_a, frame_b=frame_b, flow_ba=flow_ba, segmentation_b=segmentation_b)

    @classmethod
    def still(cls, frame_b: Frames, segmentation_b: Segmentation | None) -> Pair:
        """Return the pair of a frame with itself."""
        b, (h, w) = len(frame_b), size_of(frame_b)
        return cls.of(frame_b, frame_b, torch.zeros(b, 2, h, w, device=frame_b.device), segmentation_b)

    @cached_property
    def warped_frame(self) -> Tensor:
        """Frame a warped onto b, float32, 0 to 255: equation (6) needs it, and so does the refiner."""
        return backward_warp(self.frame_a.float(), self.flow_ba)

    @cached_property
    def mismatch(self) -> Tensor:
        """How much the colours of b and of its sources differ, see `ops.mixing.mismatch`; (b, h, w)."""
        return mismatch(self.frame_b, self.warped_frame, self.flow_ba)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return size_of(self.frame_b)

    @property
    def semantics(self) -> Segmentation:
        """The segmenter's output for frame b."""
        if self.segmentation_b is None:
            raise ValueError("this step needs a segmenter, but the pair was made without one")
        return self.segmentation_b

    @cached_property
    def semantic(self) -> Labelling:
        """Frame b labelled by the segmenter alone; computed once for all methods."""
        return self.known_semantic or segment(self.semantics, self.size)


def from_hand_labels(labels: LabelMaps) -> Labelling:
    """Return the labels of a key frame, where a walk starts, with confidence 1: equation (2)."""
    return Labelling(labels=labels, confidence=torch.ones(labels.shape, device=labels.device))


def warp(labelling_a: Labelling, flow_ba: Flow, *, outside: Outside = "void") -> Labelling:
    """Warp labels along the flow, equation (3); confidence shrinks where votes are split."""
    labels, confidence = carry_labels(labelling_a.labels, labelling_a.confidence, flow_ba, outside=outside)
    return Labelling(labels=labels, confidence=confidence)


def segment(segmentation_b: Segmentation, size: tuple[int, int]) -> Labelling:
    """Label a frame by the segmenter alone, equation (4); confidence is the largest probability."""

    def labelled(tile: Tile) -> tuple[Tensor, Tensor]:
        (top, bottom), (left, right) = tile.around
        scores = to_size(tile.crop(segmentation_b.logits), (bottom - top, right - left))
        confidence, labels = scores.softmax(dim=1).max(dim=1)
        return labels.to(torch.uint8), confidence

    labels, confidence = in_tiles(size, labelled, planes=segmentation_b.logits.shape[1])
    return Labelling(labels=labels, confidence=confidence)


def abstain(labelling: Labelling, threshold: float) -> Labelling:
    """Set labels to VOID whose confidence does not exceed `threshold`; keep the confidence."""
    unsure = labelling.confidence <= threshold
    return Labelling(labels=labelling.labels.masked_fill(unsure, VOID), confidence=labelling.confidence)


def warp_inpaint(labelling_a: Labelling, pair: Pair, *, tau: float) -> Labelling:
    """Do one step of Psi^W, equations (3) to (7): warp, and inpaint where motion is not trusted."""
    warped = warp(labelling_a, pair.flow_ba)
    trusted = pair.mismatch < tau
    return Labelling(
        labels=inpaint(warped.labels, pair.semantic.labels, trusted),
        confidence=torch.where(trusted, warped.confidence, pair.semantic.confidence),
    )


def refine(inpainted: Labelling, pair: Pair, refiner: Refiner) -> Labelling:
    """Correct the labels of a step with Omega, equation (8) and supplement, equation (A)."""
    device = device_of(refiner)
    inputs = refiner_input(inpainted.labels, pair)

    def refined(tile: Tile) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(), computing(refiner):
            logits = refiner(inputs.mapped(tile.crop).to(device))
        confidence, labels = logits.float().softmax(dim=1).max(dim=1)
        return class_to_void(labels, refiner.class_count), confidence

    labels, confidence = in_tiles(pair.size, refined, planes=refiner.class_count + 1)
    back = inpainted.labels.device
    return Labelling(labels=labels.to(back), confidence=confidence.to(back))


def refiner_input(inpainted_labels: LabelMaps, pair: Pair) -> RefinerInput:
    """Return the refiner's input for a step: equation (A) of the supplement."""
    warped_frame = pair.warped_frame.round().clamp(0, 255).to(torch.uint8)
    return RefinerInput(
        frame=pair.frame_b, warped_frame=warped_frame, labels=inpainted_labels, segmentation=pair.semantics
    )


def class_to_void(labels: Tensor, class_count: int) -> LabelMaps:
    """Write the refiner's last class, number `class_count`, as VOID."""
    return labels.masked_fill(labels == class_count, VOID).to(torch.uint8)
