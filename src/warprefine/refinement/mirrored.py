"""Ask a refiner twice: about what it sees and about its mirror image, and average what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import Logits
from warprefine.ops.averaging import mean_logits
from warprefine.ops.resize import stride_of


class MirroredRefiner(nn.Module):
    """A refiner whose class probabilities are the mean over a frame and its mirror image.

    It takes twice the time.

    Args:
        refiner: The refiner that is asked; a network.
    """

    def __init__(self, refiner: Refiner) -> None:
        super().__init__()
        self.refiner = cast(nn.Module, refiner)
        self.name = f"{refiner.name}-mirrored"
        self.class_count = refiner.class_count

    def forward(self, seen: RefinerInput) -> Logits:
        """Return scores (b, C + 1, h, w), logarithms of probabilities; the last channel is VOID."""
        mirrored = self.refiner(mirror(seen)).flip(-1)[..., : seen.frame.shape[-1]]
        return mean_logits(self.refiner(seen), mirrored)


def mirror(seen: RefinerInput) -> RefinerInput:
    """Flip all that a refiner sees, left to right."""
    flipped = flip_beside(seen.segmentation, (seen.frame.shape[-2], seen.frame.shape[-1]))
    return RefinerInput(
        frame=flipped(seen.frame),
        warped_frame=flipped(seen.warped_frame),
        labels=flipped(seen.labels),
        segmentation=flip_segmentation(seen.segmentation, flipped),
    )


def flip_beside(segmentation: Segmentation, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """Return what flips values (..., h / s, w / s) of frames of `size` = (h, w), left to right.

    Where the segmenter's coarsest cells do not fill the frame, its last column is repeated until they
    do: otherwise cells of the mirrored frame would cover other pixels.
    """
    coarsest = max(stride_of(segmentation.logits, size), stride_of(segmentation.features, size))
    width = size[1] + -size[1] % coarsest

    def flipped(values: Tensor) -> Tensor:
        missing = -(-width // stride_of(values, size)) - values.shape[-1]
        last = values[..., -1:].expand(*values.shape[:-1], missing)
        return torch.cat((values, last), dim=-1).flip(-1)

    return flipped


def flip_segmentation(segmentation: Segmentation, flipped: Callable[[Tensor], Tensor]) -> Segmentation:
    """Flip what a segmenter says."""
    return Segmentation(logits=flipped(segmentation.logits), features=flipped(segmentation.features))
