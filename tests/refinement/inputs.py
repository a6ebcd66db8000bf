"""Random inputs of refiners, of frames of any size."""

from __future__ import annotations

import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement.interface import Side, TwoSidedInput

CLASSES, FEATURES = 3, 5


def blocks(h: int, w: int, cell: int = 8) -> Tensor:
    """Return labels in blocks of one class or VOID, (1, h, w)."""
    drawn = torch.randint(0, CLASSES + 1, (-(-h // cell), -(-w // cell)))
    drawn = drawn.masked_fill(drawn == CLASSES, VOID).to(torch.uint8)
    return drawn.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[None, :h, :w].contiguous()


def random_side(h: int, w: int, *, slots: int = 2, distance: float = 1.0) -> Side:
    """Return a side of one frame, with soft labels."""
    shares = torch.rand(1, slots, h, w).sort(dim=1, descending=True).values / slots
    return Side(
        soft=SoftLabels(labels=torch.randint(0, CLASSES, (1, slots, h, w), dtype=torch.uint8), shares=shares),
        trust=torch.rand(1, h, w),
        warped_frame=torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def side_of(labels: Tensor, *, trust: float = 1.0, distance: float = 2.0) -> Side:
    """Return a side that is certain of its labels (1, h, w)."""
    return Side(
        soft=SoftLabels.of_labels(labels),
        trust=torch.full(labels.shape, trust),
        warped_frame=torch.randint(0, 256, (1, 3, *labels.shape[-2:]), dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def inputs_at(h: int, w: int, *sides: Side) -> TwoSidedInput:
    """Return the input for a frame (h, w) with up to two sides; logits at stride 2 and features at 4."""
    frame = torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8)
    near, far = (*sides, Side.missing(frame), Side.missing(frame))[:2]
    return TwoSidedInput(
        frame=frame,
        sides=(near, far),
        segmentation=Segmentation(
            logits=torch.randn(1, CLASSES, -(-h // 2), -(-w // 2)) * 3,
            features=torch.randn(1, FEATURES, -(-h // 4), -(-w // 4)),
        ),
    )


def tensors_of(inputs: TwoSidedInput) -> dict[str, Tensor]:
    """Return all tensors of an input, by name."""
    found = {
        "frame": inputs.frame,
        "logits": inputs.segmentation.logits,
        "features": inputs.segmentation.features,
    }
    for i, one in enumerate(inputs.sides):
        found |= {f"labels{i}": one.soft.labels, f"shares{i}": one.soft.shares, f"trust{i}": one.trust}
        found |= {f"warped_frame{i}": one.warped_frame, f"distance{i}": one.distance}
    return found
