"""Weighted vote of both sides and the segmenter: labels without a trained refiner."""

from __future__ import annotations

import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Frames, size_of
from warprefine.ops.resize import to_size
from warprefine.ops.soft_labels import SoftLabels, mix_soft
from warprefine.propagation.two_sided.carry import LABELS_PER_PIXEL
from warprefine.refinement.interface import (
    FADE,
    PREFERENCE,
    SEMANTIC_WEIGHT,
    VOID_WEIGHT,
    TwoSidedInput,
    weigh_sides,
)


def vote(
    inputs: TwoSidedInput,
    *,
    fade: float = FADE,
    preference: float = PREFERENCE,
    semantic_weight: float = SEMANTIC_WEIGHT,
    void_weight: float = VOID_WEIGHT,
) -> SoftLabels:
    """Return the weighted vote of both sides and the segmenter; nothing is learned.

    Args:
        inputs: Both sides and the segmenter's output.
        fade: See `weigh_sides`, as `preference`.
        preference: See `weigh_sides`.
        semantic_weight: Weight of the segmenter's probabilities.
        void_weight: Weight of votes for VOID, which is seldom right where votes differ.
    """
    weights = weigh_sides(inputs.sides, fade=fade, preference=preference)
    probabilities = semantic_probabilities(inputs.segmentation, inputs.frame)
    semantic = SoftLabels.of_probabilities(probabilities, most=LABELS_PER_PIXEL)
    parts = [semantic.scaled(torch.full_like(weights[0], semantic_weight))]
    for side, weight in zip(inputs.sides, weights, strict=True):
        part = side.soft.scaled(weight)
        shares = torch.where(part.labels == VOID, void_weight * part.shares, part.shares)
        parts.append(SoftLabels(labels=part.labels, shares=shares))
    votes = mix_soft(parts, most=LABELS_PER_PIXEL)
    return votes.scaled(1 / votes.shares.sum(dim=1).clamp(min=1e-6))


def semantic_probabilities(segmentation: Segmentation, frame: Frames) -> Tensor:
    """Return the segmenter's class probabilities at the frame's size."""
    return to_size(segmentation.logits.float(), size_of(frame)).softmax(dim=1)
