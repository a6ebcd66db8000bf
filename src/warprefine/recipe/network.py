"""Hyper-parameters of every segmentation network: architecture, initial weights, loss, augmentation."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from warprefine.recipe.optimisation import Settings


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the smaller comes first")
    return limits


SEGMENTER_WIDTHS = (24, 64, 128, 192, 256)
"""Channels at strides 2, 4, 8, 16 and 32 of the small segmenters and of decoders on small trunks."""
Channels = Annotated[int, Field(ge=4, le=2048)]
"""At least 4: pyramid pooling reduces its features to a quarter of the channels."""
LARGEST_CROP = 8192
"""Sides of crops, in pixels, are at most those of 8K frames."""
CropSide = Annotated[int, Field(ge=1, le=LARGEST_CROP)]
Zoom = Annotated[float, Field(ge=0.05, le=20)]
"""Of an image: a zoom of 0.05 makes crops of windows that are 20 times as high and wide."""
ZoomRange = Annotated[tuple[Zoom, Zoom], AfterValidator(_ascending)]
"""Smallest and largest zoom."""
Gridded = Annotated[int, Field(ge=16, le=LARGEST_CROP, multiple_of=16)]
"""Crops that end on multiples of 16 pixels cut through no cell of features at stride 16 or less."""


class Augmentation(Settings):
    """Augmentation of training images: the paper's scale, flip, blur and colour jitter."""

    crop: tuple[CropSide, CropSide] = (288, 352)
    """Height and width of a training crop, in pixels."""
    scale: ZoomRange = (0.5, 2.0)
    """Smallest and largest zoom."""
    zooms: Literal["log", "linear"] = "log"
    """Draw zooms uniformly in their logarithm, or uniformly as the paper's code does."""
    flip: float = Field(0.5, ge=0, le=1)
    """Share of the samples that is mirrored."""
    jitter: float = Field(0.25, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Largest shift of the hues, 0.5 being half the colour circle (the paper's code: 0.25)."""
    blur: float = Field(0.25, ge=0, le=1)
    """Share of the samples that is blurred, sigma 0.15 to 1.3 pixels."""
    class_uniform: float = Field(0.5, ge=0, le=1)
    """Share of the crops that is placed on a class drawn uniformly."""


MOST_PIXELS = 1 << 30
"""Pixels of all crops of a batch. Their images alone take 3 GiB then, and what networks compute far more."""

_STRIDE = 32
"""Of the coarsest features of every segmenter."""


def check_crop(crop: tuple[int, int], fields: Any) -> tuple[int, int]:
    """Check that the batches of a recipe's trainings can be held in memory; a validator.

    Args:
        fields: pydantic's `ValidationInfo` (no type that can be checked at run time), with the trainings.
    """
    for name in ("optimisation", "adaptation"):
        training = fields.data.get(name)
        if training is not None and training.batch * crop[0] * crop[1] > MOST_PIXELS:
            raise ValueError(
                f"a batch of {training.batch} crops of {crop[0]} x {crop[1]} pixels has more than "
                f"{MOST_PIXELS} pixels; lower batch or crop"
            )
    return crop


def _check_augmentation(augmentation: Augmentation, fields: Any) -> Augmentation:
    h, w = check_crop(augmentation.crop, fields)
    for name in ("optimisation", "adaptation"):
        training = fields.data.get(name)
        if training is not None and training.batch * math.ceil(h / _STRIDE) * math.ceil(w / _STRIDE) < 2:
            raise ValueError(
                f"a batch of 1 crop of {h} x {w} pixels leaves a network one value per channel, which cannot "
                f"be normalised; use a batch of 2, or crops larger than {_STRIDE} pixels"
            )
    return augmentation


GriddedCrop = Annotated[tuple[Gridded, Gridded], AfterValidator(check_crop)]
BatchAugmentation = Annotated[Augmentation, AfterValidator(_check_augmentation)]


class NetworkRecipe(Settings):
    """The network, its initial weights and its loss."""

    network: str = "compact"
    """Which network: a name in `segmentation.SEGMENTERS`."""
    pretrained: bool = True
    """Start from weights trained on ImageNet: the network's own, or for hrnet-ocr and the like `weights`."""
    weights: str = ""
    """Checkpoint to start from, written by `warprefine weights import`: of this network, or of its trunk."""
    source: str = ""
    """For the network huggingface: a folder, or a name on its hub; for timm: the name of a trunk."""
    widths: tuple[Channels, ...] = Field(SEGMENTER_WIDTHS, min_length=5, max_length=5)
    """Channels at strides 2, 4, 8, 16 and 32 (compact, lite0, lite0-ocr and timm)."""
    scales: tuple[Zoom, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    """Scales at which hrnet-ocr segments a frame once it is trained; it is trained at 0.5 and 1."""
    loss: str = "cross-entropy"
    """Which loss: a name in `training.losses.LOSSES`."""
    strict_classes: tuple[str, ...] = ()
    """Of the loss relaxed: classes too small for relaxation, whose pixels keep their own label only."""
    relaxed_until: float = Field(1.0, ge=0, le=1)
    """Of the loss relaxed: share of the training after which labels are plain and borders count double."""
    relaxed_scale: float = Field(1.0, gt=0, le=1000)
    """Of the loss relaxed: its factor (Zhu et al.: 4, of a slip in their code for two images per GPU)."""
    first_guess_weight: float = Field(0.4, ge=0, le=1000)
    """Weight of the loss of auxiliary scores, where the network has them (the paper's OCR: 0.4)."""
    scale_weight: float = Field(0.05, ge=0, le=1000)
    """Weight of the loss of each scale's own scores, where the network has several (the paper: 0.05)."""
