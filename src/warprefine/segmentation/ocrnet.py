"""OCRNet: OCR head on a dilated trunk (Yuan et al., ECCV 2020), at a single scale.

Smaller than `multiscale.py`, with 40 million weights instead of 72; the head is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import size_of
from warprefine.io.published import load_renamed
from warprefine.segmentation.deeplab import stretched
from warprefine.segmentation.ocr import FEATURE_CHANNELS, OCRHead, published_head_name
from warprefine.segmentation.resnext import RESNETS, STRIDE, DilatedResNet, ResNetSize


class OCRNet(nn.Module):
    """OCRNet: dilated trunk and OCR head (object-contextual representations), both at stride 8.

    Args:
        class_count: Number of classes; VOID is not one of them.
        trunk: Width and depth of the trunk.
        align_corners: Whether logits are resized with corner cells aligned to corner pixels.
    """

    feature_channels = FEATURE_CHANNELS
    feature_stride = STRIDE

    def __init__(
        self, class_count: int, *, trunk: ResNetSize = RESNETS["seresnext50"], align_corners: bool = False
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.trunk = DilatedResNet(trunk)
        self.head = OCRHead(self.trunk.channels, class_count)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Segmentation:
        """Score normalised images: logits at their size, features at stride 8.

        In training the auxiliary logits are returned as `first_guess`, at the images' size too.
        """
        scores = self.head(self.trunk(images).deep)
        size = size_of(images)
        first_guess = None
        if self.training:
            first_guess = stretched(scores.auxiliary, size, align_corners=self.align_corners)
        return Segmentation(
            logits=stretched(scores.logits, size, align_corners=self.align_corners),
            features=scores.features,
            first_guess=first_guess,
        )

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under the names of the code of Tao et al., with or without the prefix `module.`.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        bare = {name.removeprefix("module."): values for name, values in published.items()}
        load_renamed(self, bare, self.published_name, name="OCRNet")

    def published_name(self, own: str) -> str:
        """Translate `head.classifier.bias` to `ocr.cls_head.bias`."""
        part, rest = own.split(".", 1)
        if part == "trunk":
            return f"backbone.{self.trunk.published_name(rest)}"
        return f"ocr.{published_head_name(rest)}"
