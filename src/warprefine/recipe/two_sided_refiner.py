"""Hyper-parameters of the two-sided refiner: the network, its training, its use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from warprefine.recipe.network import Channels, GriddedCrop
from warprefine.recipe.optimisation import Optimisation, Settings
from warprefine.recipe.synthetic import SyntheticMotion

REFINER_WIDTHS = (24, 48, 96, 128)
"""Channels at strides 1, 2, 4 and 8 of the small refiners."""


class SyntheticClips(Settings):
    """Clips rendered from single labelled images, as further training samples."""

    share: float = Field(0.0, ge=0, le=1)
    """Share of the samples that come from such clips; more was not better."""
    stills: int = Field(32, ge=0, le=1_000_000)
    """Most images that clips are rendered from."""
    variants: int = Field(4, ge=2, le=1000)
    """Clips rendered from each image."""
    motion: SyntheticMotion = SyntheticMotion()
    """How things and the camera move in them."""


class TwoSidedNetwork(Settings):
    """The shape of the network."""

    network: str = "auto"
    """Which network: a name in `refinement.TWO_SIDED_REFINERS`."""
    widths: tuple[Channels, ...] = Field(REFINER_WIDTHS, min_length=4, max_length=4)
    """Channels at strides 1, 2, 4 and 8; two-sided alone uses the first."""
    features: bool = True
    """Join the segmenter's features."""
    members: int = Field(1, ge=1, le=100)
    """Networks, each trained from a seed of its own, whose output is averaged."""


class TwoSidedTraining(TwoSidedNetwork):
    """All that the weights depend on, besides how labels are carried."""

    segmenters: Literal["unseen", "seen", "both"] = "both"
    """Segmenters used in the samples: held out from the key frame, trained on it, or both."""
    loss: str = "cross-entropy"
    """Which loss: a name in `training.losses.LOSSES`."""
    key_frames: int = Field(100, ge=1)
    """Key frames used as targets at most, evenly spread over all."""
    longest_cycle: int = Field(10, ge=1, le=1000)
    """Cycles t -> t + l -> t are run for l = 1 to this, in both directions."""
    real_share: float = Field(0.6, ge=0, le=1)
    """Share of the samples with labels of another key frame on one side, where there is one; else cycles."""
    one_sided: float = Field(0.35, ge=0, le=1)
    """Share of the samples with labels on both sides of which one side is dropped."""
    left_out: float = Field(0.0, ge=0, le=1)
    """Share of the samples whose sides lack some things of the frame, as if they had just come into view."""
    synthetic: SyntheticClips = SyntheticClips()
    """Further samples, rendered from single images."""
    void_weight: float = Field(0.05, gt=0, le=1)
    """Weight of VOID in the loss, times what its rarity would give it; a label is better than none."""
    optimisation: Optimisation = Optimisation(
        steps=300, batch=4, learning_rate=2e-3, average_decay=0.98, class_balance=0.2
    )
    """Its training."""
    crop: GriddedCrop = (256, 320)
    """Height and width of a training crop, in pixels, multiples of 16."""
    jitter: float = Field(0.2, ge=0, lt=1)
    """Largest relative change of brightness and colours, the same for all images of a sample."""


class TwoSidedRefinerRecipe(TwoSidedTraining):
    """How the two-sided refiner is built, trained and used."""

    enabled: bool = True
    """Use a refiner; without one, both sides and the segmenter vote."""
    mirrored: bool = True
    """Average the output over a frame and its mirror image: 0.1 better, in twice the time of the refiner."""
