"""Mirror images of the inputs of refiners, for test-time flip averaging."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import Logits, size_of
from warprefine.ops.averaging import mean_logits
from warprefine.ops.resize import stride_of
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement.interface import Side, TwoSidedInput, TwoSidedRefiner
from warprefine.segmentation.mirrored import Mirrored


def mirrored_refiner(refiner: Refiner) -> Refiner:
    """Average a refiner's class probabilities over its input and the mirror image of that."""
    return Mirrored[RefinerInput, Logits](refiner, flip=lambda inputs, _: mirror(inputs), average=_average)


def mirrored_two_sided(refiner: TwoSidedRefiner) -> TwoSidedRefiner:
    """Average a two-sided refiner's class probabilities over its input and the mirror image of that."""
    return Mirrored[TwoSidedInput, Logits](
        refiner, flip=lambda inputs, _: mirror_sides(inputs), average=_average
    )


def mirror(inputs: RefinerInput) -> RefinerInput:
    """Flip the input of a refiner left to right."""
    flipped = flip_beside(inputs.segmentation, size_of(inputs.frame))
    return RefinerInput(
        frame=flipped(inputs.frame),
        warped_frame=flipped(inputs.warped_frame),
        labels=flipped(inputs.labels),
        segmentation=_flip_segmentation(inputs.segmentation, flipped),
    )


def mirror_sides(inputs: TwoSidedInput) -> TwoSidedInput:
    """Flip the input of a two-sided refiner left to right."""
    flipped = flip_beside(inputs.segmentation, size_of(inputs.frame))

    def flip_side(side: Side) -> Side:
        return Side(
            soft=SoftLabels(labels=flipped(side.soft.labels), shares=flipped(side.soft.shares)),
            trust=flipped(side.trust),
            warped_frame=flipped(side.warped_frame),
            distance=side.distance,
        )

    return TwoSidedInput(
        frame=flipped(inputs.frame),
        sides=(flip_side(inputs.sides[0]), flip_side(inputs.sides[1])),
        segmentation=_flip_segmentation(inputs.segmentation, flipped),
    )


def flip_beside(segmentation: Segmentation, size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """Return a function that flips values (..., h / s, w / s) of frames of `size` = (h, w), left to right.

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


def _flip_segmentation(segmentation: Segmentation, flipped: Callable[[Tensor], Tensor]) -> Segmentation:
    return Segmentation(logits=flipped(segmentation.logits), features=flipped(segmentation.features))


def _average(logits: Logits, of_mirror_image: Float[Tensor, "b c h _"]) -> Logits:
    return mean_logits(logits, of_mirror_image.flip(-1)[..., : logits.shape[-1]])
