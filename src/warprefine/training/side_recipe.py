"""Name the hyper-parameters of the refiner of sides: what it is, and what it is taught on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from warprefine.training.network_recipe import Channels, Gridded
from warprefine.training.optimisation import Optimisation, Settings


class SideRefinerRecipe(Settings):
    """How the refiner that weighs the key frames on both sides is built and trained."""

    network: str = "two-sided"
    """Which network: a name in `refinement.SIDE_REFINERS`."""
    widths: tuple[Channels, ...] = Field((24, 48, 96, 128), min_length=4, max_length=4)
    """Channels at strides 1, 2, 4 and 8."""
    features: bool = True
    """Join the segmenter's features."""
    segmenters: Literal["unseen", "seen", "both"] = "both"
    """Train beside segmenters that have not seen the key frame, beside the one that labels, or both."""
    loss: str = "cross-entropy"
    """Which loss: a name in `training.losses.LOSSES`."""
    key_frames: int = Field(100, ge=1)
    """Key frames that it learns from at most, evenly spread over all."""
    longest_cycle: int = Field(10, ge=1)
    """Cycles t -> t + l -> t are made for l = 1 to this, both ways."""
    real_share: float = Field(0.6, ge=0, le=1)
    """Share of the samples with labels from another key frame on a side, where there is one; else cycles."""
    one_sided: float = Field(0.35, ge=0, le=1)
    """Share of the samples with labels on both sides of which one side is dropped."""
    synthetic_share: float = Field(0.0, ge=0, le=1)
    """Share of the samples that are made out of single labelled pictures; more was not better."""
    void_weight: float = Field(0.2, gt=0, le=1)
    """Weight of VOID in the loss, times what its rarity would give it; a label is better than none."""
    optimisation: Optimisation = Optimisation(
        steps=200, batch=4, learning_rate=1e-3, average_decay=0.98, class_balance=0.2
    )
    """Its training."""
    crop: tuple[Gridded, Gridded] = (256, 320)
    """Height and width of a training crop, in pixels, multiples of 16."""
    jitter: float = Field(0.2, ge=0, lt=1)
    """Largest relative change of brightness and colours, the same for all pictures of a sample."""
    mirrored: bool = True
    """Average what it says of a frame and of its mirror image; better, and twice the time."""
