"""Mirror images of the inputs of refiners, for test-time flip averaging."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import Logits, size_of
from warprefine.ops.averaging import mean_logits
from warprefine.ops.compiled import has_loops
from warprefine.ops.resize import stride_of
from warprefine.refinement.interface import InputT, TwoSidedInput, TwoSidedRefiner
from warprefine.segmentation.mirrored import Mirrored


def mirrored_refiner(refiner: Refiner) -> Refiner:
    """Average a refiner's class probabilities over its input and the mirror image of that."""
    return Mirrored[RefinerInput, Logits](
        refiner, flip=_flip, join=_with_mirror_image, split=_split, average=_average
    )


def mirrored_two_sided(refiner: TwoSidedRefiner) -> TwoSidedRefiner:
    """Average a two-sided refiner's class probabilities over its input and the mirror image of that."""
    return Mirrored[TwoSidedInput, Logits](
        refiner, flip=_flip, join=_with_mirror_image, split=_split, average=_average
    )


def _flip(inputs: InputT, _: Logits) -> InputT:
    return mirror(inputs)


def mirror(inputs: InputT) -> InputT:
    """Flip the input of either refiner left to right."""
    return inputs.mapped(flip_beside(inputs.segmentation, size_of(inputs.frame)))


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


def _with_mirror_image(inputs: InputT) -> InputT | None:
    """Return inputs and their mirror images where both are of one size."""
    if has_loops(inputs.frame):
        return None
    mirrored = mirror(inputs)
    same = size_of(mirrored.frame) == size_of(inputs.frame)
    return type(inputs).stacked([inputs, mirrored]) if same else None


def _split(both: Float[Tensor, "_ c h w"]) -> tuple[Logits, Logits]:
    first, second = both.chunk(2)
    return first, second


def _average(logits: Logits, of_mirror_image: Float[Tensor, "b c h _"]) -> Logits:
    return mean_logits(logits, of_mirror_image.flip(-1)[..., : logits.shape[-1]])
