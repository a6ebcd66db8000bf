"""U-Nets with the segmenter's features joined in: the bases of the small refiners."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.layout import in_fast_layout
from warprefine.core.tensors import size_of
from warprefine.ops.resize import pad_to_multiple, to_size
from warprefine.recipe.two_sided_refiner import REFINER_WIDTHS
from warprefine.segmentation.compact import ResidualBlock, UpBlock

STRIDE = 8


class JoinedUNet(nn.Module):
    """Encoder, the segmenter's features joined at stride 4, decoder: the base of the small refiners.

    Args:
        planes: Channels of the inputs.
        scores: Channels of the scores.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8.
    """

    def __init__(
        self, planes: int, scores: int, feature_channels: int, *, widths: tuple[int, ...] = REFINER_WIDTHS
    ) -> None:
        super().__init__()
        full, half, quarter, eighth = widths
        self.stem = nn.Sequential(
            nn.Conv2d(planes, full, 3, 1, 1, bias=False), nn.BatchNorm2d(full), nn.ReLU()
        )
        self.down1 = ResidualBlock(full, half, stride=2)
        self.down2 = ResidualBlock(half, quarter, stride=2)
        self.join = nn.Conv2d(feature_channels, quarter, 1) if feature_channels else None
        self.down3 = nn.Sequential(ResidualBlock(quarter, eighth, stride=2), ResidualBlock(eighth, eighth))
        self.up3 = UpBlock(eighth, quarter, quarter)
        self.up2 = UpBlock(quarter, half, half)
        self.up1 = UpBlock(half, full, full)
        self.classifier = nn.Conv2d(full, scores, 1)

    def repaired(self, inputs: Tensor, features: Tensor) -> Tensor:
        """Return scores at the size of the inputs.

        Args:
            inputs: (b, planes, h, w), of any size.
            features: The segmenter's, (b, feature_channels, h / s, w / s).
        """
        size = size_of(inputs)
        x1 = self.stem(in_fast_layout(pad_to_multiple(inputs, STRIDE)))
        x2 = self.down1(x1)
        x4 = self.down2(x2)
        x = self.up1(self.up2(self._inner(x4, features, size), x2), x1)
        scores: Tensor = self.classifier(x)[..., : size[0], : size[1]]
        return scores

    def _inner(self, x4: Tensor, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Join the segmenter's features at stride 4, go down to stride 8, and come back to stride 4."""
        if self.join is not None:
            quarter = (-(-size[0] // 4), -(-size[1] // 4))
            joined = to_size(self.join(features), quarter)
            x4 = functional.relu(x4 + pad_to_multiple(joined, STRIDE // 4))
        return torch.as_tensor(self.up3(self.down3(x4), x4))


class HalvedUNet(JoinedUNet):
    """The same without convolutions at stride 1, where two thirds of the time go.

    It begins with a convolution of stride 2, whose squares of 4 x 4 pixels overlap (squares of 2 x 2 are
    0.25 mIoU worse on CamVid), and scores each pixel from the features of its cell by pixel
    shuffle (Shi et al., CVPR 2016).

    Args:
        planes: Channels of the inputs.
        scores: Channels of the scores.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8; the first is not used.
    """

    def __init__(
        self,
        planes: int,
        scores: int,
        feature_channels: int,
        *,
        widths: tuple[int, ...] = REFINER_WIDTHS,
    ) -> None:
        super().__init__(planes, scores, feature_channels, widths=widths)
        half = widths[1]
        del self.down1, self.up1
        self.stem = nn.Sequential(
            nn.Conv2d(planes, half, 4, 2, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()
        )
        self.classifier = nn.Conv2d(half, 4 * scores, 1)

    def repaired(self, inputs: Tensor, features: Tensor) -> Tensor:
        """Return scores at the size of the inputs; see `JoinedUNet.repaired`."""
        return self.classified(self.decoded(inputs, features), self.classifier, size_of(inputs))

    def decoded(self, inputs: Tensor, features: Tensor) -> Tensor:
        """Return what the classifier sees, (b, widths[1], h / 2, w / 2); see `JoinedUNet.repaired`."""
        x2 = self.stem(in_fast_layout(pad_to_multiple(inputs, STRIDE)))
        decoded: Tensor = self.up2(self._inner(self.down2(x2), features, size_of(inputs)), x2)
        return decoded

    @staticmethod
    def classified(decoded: Tensor, classifier: Callable[[Tensor], Tensor], size: tuple[int, int]) -> Tensor:
        """Return the scores of each pixel; a classifier has four for each of a cell's."""
        return functional.pixel_shuffle(classifier(decoded), 2)[..., : size[0], : size[1]]
