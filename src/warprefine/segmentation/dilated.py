"""OCRNet, DeepLabV3 and DeepLabV3+ on a dilated trunk as segmenters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from warprefine.core.names import look_up
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, size_of
from warprefine.ops.resize import pad_to_multiple
from warprefine.segmentation.compact import without_padding
from warprefine.segmentation.deeplab import DeepLabV3, DeepLabV3Plus
from warprefine.segmentation.imagenet import ImageNetColours
from warprefine.segmentation.ocrnet import OCRNet
from warprefine.segmentation.resnext import RESNETS, STRIDE, DilatedResNet, ResNetSize

DILATED: dict[str, Callable[..., OCRNet | DeepLabV3 | DeepLabV3Plus]] = {
    "ocrnet": OCRNet,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
}
"""Networks by name; each is called with the class count, its `trunk` and whether to `align_corners`."""


class DilatedSegmenter(nn.Module):
    """Segmenter on a dilated trunk: logits at the frame's size; features at stride 8, or 4 for DeepLabV3+.

    Load published weights with `segmenter.network.load_published`, or those of a trunk alone with
    `segmenter.network.trunk.load_published`.

    Args:
        class_count: Number of classes; VOID is not one of them.
        network: One of `DILATED`.
        trunk: Width and depth of the trunk.
        align_corners: Whether logits are resized with corner cells aligned to corner pixels.

    Raises:
        RecipeError: `network` is not the name of one.
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
        """Return the settings that a recipe lacks: those that its initial weights require."""
        return {"align_corners": self.network.align_corners}

    @property
    def trunk(self) -> DilatedResNet:
        """The part that can be initialised with ImageNet weights."""
        return self.network.trunk

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size; in training OCRNet also returns its auxiliary logits."""
        size = size_of(frames)
        # Padded to whole cells, all trunks have the same grid, with cells of one size.
        images = pad_to_multiple(self.colours(frames), STRIDE)
        output: Segmentation = self.network(images)
        auxiliary = output.first_guess
        return Segmentation(
            logits=without_padding(output.logits, size, 1),
            features=without_padding(output.features, size, self.network.feature_stride),
            first_guess=None if auxiliary is None else without_padding(auxiliary, size, 1),
        )
