"""Segment frames with a network on a dilated trunk: OCRNet, DeepLabV3 or DeepLabV3+."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from warprefine.core.names import look_up
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames
from warprefine.ops.resize import pad_to_multiple
from warprefine.segmentation.compact import without_padding
from warprefine.segmentation.deeplab import DeepLabV3, DeepLabV3Plus
from warprefine.segmentation.hrnet import size_of
from warprefine.segmentation.imagenet import ImageNetColours
from warprefine.segmentation.ocrnet import OCRNet
from warprefine.segmentation.resnext import RESNETS, STRIDE, DilatedResNet, ResNetSize

DILATED: dict[str, Callable[..., OCRNet | DeepLabV3 | DeepLabV3Plus]] = {
    "ocrnet": OCRNet,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
}
"""Each is called with the class count, its `trunk` and whether to `align_corners`."""


class DilatedSegmenter(nn.Module):
    """Segment frames: logits at the frame's size; features at stride 8, or 4 for DeepLabV3+.

    Published weights go to `segmenter.network.load_published`, or, where only the trunk has been
    trained, to `segmenter.network.trunk.load_published`.

    Args:
        class_count: Number of classes; VOID is not one of them.
        network: One of `DILATED`.
        trunk: Width and depth of the trunk.
        align_corners: Whether corner cells are laid onto corner pixels when logits are stretched.

    Raises:
        RecipeError: No network is called so.
    """

    def __init__(
        self,
        class_count: int,
        *,
        network: str = "ocrnet",
        trunk: ResNetSize = RESNETS["seresnext50"],
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        make = look_up(DILATED, network, what="network on a dilated trunk")
        self.name = network
        self.class_count = class_count
        self.network = make(class_count, trunk=trunk, align_corners=align_corners)
        self.feature_channels = self.network.feature_channels
        self.colours = ImageNetColours()

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a recipe does not say: how weights that it began from want to be used."""
        return {"align_corners": self.network.align_corners}

    @property
    def trunk(self) -> DilatedResNet:
        """The part that may begin from weights trained on ImageNet."""
        return self.network.trunk

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size; in training OCRNet's first guess comes along."""
        size = size_of(frames)
        # With whole cells only, all trunks have the same grid, and a cell the same size everywhere.
        images = pad_to_multiple(self.colours(frames), STRIDE)
        found: Segmentation = self.network(images)
        guess = found.first_guess
        return Segmentation(
            logits=without_padding(found.logits, size, 1),
            features=without_padding(found.features, size, self.network.feature_stride),
            first_guess=None if guess is None else without_padding(guess, size, 1),
        )
