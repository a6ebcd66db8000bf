"""Mixing mask and inpainting: where warped labels are trusted, and labels for the rest (equations 5, 6)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from warprefine.core.tensors import Flow, Frames, LabelMaps, Masks
from warprefine.ops.warp import lands_inside


def colour_distance(frame_b: Frames, warped_frame: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
    """Return the Euclidean RGB distance per pixel, both images scaled to 0..1: from 0 to sqrt(3).

    Args:
        warped_frame: Frame a warped onto b, 0..255, not rounded.

    Example:
        >>> black = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
        >>> colour_distance(black, torch.tensor([255.0, 0, 0]).view(1, 3, 1, 1))
        tensor([[[1.]]])
    """
    difference = frame_b.float() - warped_frame
    return difference.square().sum(dim=1).sqrt() / 255  # `vector_norm` over planes takes 30 times as long


def mixing_mask(
    frame_b: Frames, warped_frame: Float[Tensor, "b 3 h w"], flow_ba: Flow, *, tau: float
) -> Masks:
    """Mark the pixels of b whose warped label is trusted: the paper's M, equation (6).

    A pixel is trusted when its colour differs from the warped frame's by less than `tau` and its
    source lies inside a. (The paper prints phi(I_t); phi(I_{k-1}) is what its recursion needs.)

    Args:
        tau: Largest colour distance, in the unit of `colour_distance`.

    Example:
        >>> frame_b = torch.zeros(1, 3, 1, 3, dtype=torch.uint8)
        >>> warped_frame = torch.tensor([0.0, 90, 0]).expand(1, 3, 1, 3)
        >>> flow_ba = torch.tensor([0.0, 0, 1]).expand(1, 2, 1, 3)  # the last pixel comes from outside
        >>> mixing_mask(frame_b, warped_frame, flow_ba, tau=0.1).tolist()
        [[[True, False, False]]]
    """
    return mismatch(frame_b, warped_frame, flow_ba) < tau


def mismatch(
    frame_b: Frames, warped_frame: Float[Tensor, "b 3 h w"], flow_ba: Flow
) -> Float[Tensor, "b h w"]:
    """Return what `mixing_mask` compares with tau: the colour distance, infinite where the source is outside.

    Example:
        >>> frame_b = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
        >>> flow_ba = torch.tensor([0.0, 1]).expand(1, 2, 1, 2)  # the last pixel comes from outside
        >>> mismatch(frame_b, torch.zeros(1, 3, 1, 2), flow_ba).tolist()
        [[[0.0, inf]]]
    """
    return colour_distance(frame_b, warped_frame).masked_fill(~lands_inside(flow_ba), torch.inf)


def inpaint(warped_labels: LabelMaps, semantic_labels: LabelMaps, trusted: Masks) -> LabelMaps:
    """Keep warped labels where they are trusted, take the segmenter's elsewhere: equation (5).

    Example:
        >>> warped, semantic = torch.tensor([[[1, 1]], [[2, 2]]], dtype=torch.uint8).split(1)
        >>> inpaint(warped, semantic, torch.tensor([[[True, False]]])).tolist()
        [[[1, 2]]]
    """
    return torch.where(trusted, warped_labels, semantic_labels)
