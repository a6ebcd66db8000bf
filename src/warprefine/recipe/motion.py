"""Hyper-parameters of SDC-Net, a motion estimator that is trained without labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from warprefine.recipe.network import LARGEST_CROP, check_crop
from warprefine.recipe.optimisation import Optimisation, Settings


def _with_a_middle(taps: int) -> int:
    if taps and taps % 2 == 0:
        raise ValueError("an odd number has a middle; 0 is for no kernels")
    return taps


CropSide = Annotated[int, Field(ge=64, le=LARGEST_CROP, multiple_of=64)]
"""The network halves a crop six times."""


class MotionRecipe(Settings):
    """How an SDC-Net is built and trained to reconstruct frames of the user's own videos."""

    frames: Literal[2, 3] = 2
    """Input frames of the network: 2 to carry labels, or 3 as published, to compare."""
    width: float = Field(0.25, gt=0, le=8)
    """Channels of the network, as a multiple of the published one's."""
    kernel_taps: Annotated[int, Field(ge=0, le=101), AfterValidator(_with_a_middle)] = 0
    """Length of the kernels that filter each displaced pixel, such as 11 or 51; 0 for flow alone."""
    starts_from_flow: bool = True
    """Correct the input flow, instead of predicting a flow from scratch as published."""
    input_motion: str = "dis-medium"
    """Motion estimator of the input flow: a name in `motion.MOTIONS`, or a checkpoint."""
    ignore_outside: bool = True
    """Leave pixels out of the loss whose source lies outside the crop; published losses count them."""
    kernel_weight: float = Field(0.01, ge=0, le=1000)
    """Weight of the loss that keeps kernels near the identity: one in the middle, zero elsewhere."""
    optimisation: Optimisation = Optimisation(
        steps=1000,
        batch=4,
        weight_decay=0,
        average_decay=0.98,
        mixed_precision=False,
    )
    """The training; half precision would round the flow of fast objects to whole pixels."""
    crop: Annotated[tuple[CropSide, CropSide], AfterValidator(check_crop)] = (256, 320)
    """Height and width of a training crop, in pixels, multiples of 64; smaller frames are mirror-padded."""
    flip: float = Field(0.5, ge=0, le=1)
    """Share of the samples that is mirrored."""
    reverse: float = Field(0.5, ge=0, le=1)
    """Share of the samples that is reversed in time."""
    holdout_every: int = Field(8, ge=2)
    """One excerpt in so many is held out to measure the error and to choose the checkpoint."""
