"""A light head on the frozen trunk of EfficientNet-Lite0: a segmenter that trains in a minute on a CPU.

The trunk, trained on ImageNet, stays as it is, so its features of a picture are computed once and the head
alone is trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from warprefine.core.layout import in_fast_layout
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, Logits, size_of
from warprefine.ops.resize import pad_to_multiple
from warprefine.segmentation.compact import PyramidPooling, UpBlock, without_padding
from warprefine.segmentation.lite0 import STRIDE, TRUNK_CHANNELS, Lite0Trunk, published_weights

HEAD_WIDTHS = (32, 64, 96, 128)
"""Channels of the head at strides 4, 8 and 16, and of the pooled context."""


class FrozenLite0Segmenter(nn.Module):
    """EfficientNet-Lite0 as it is, with pyramid pooling and a decoder; logits and features at stride 4.

    Args:
        class_count: Number of classes; VOID is not one of them.
        dropout: Share of the channels before the classifier that is dropped in training.

    Example:
        >>> import torch
        >>> segmenter = FrozenLite0Segmenter(19).eval()
        >>> features = segmenter.trunk_features(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
        >>> [tuple(at_stride.shape[1:]) for at_stride in features]
        [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
        >>> segmenter.head(features).logits.shape
        torch.Size([1, 19, 16, 24])
    """

    name = "lite0-frozen"
    feature_channels = HEAD_WIDTHS[0]

    def __init__(self, class_count: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.class_count = class_count
        self.trunk = Lite0Trunk().requires_grad_(False).eval()
        self.context = nn.Sequential(
            nn.Conv2d(TRUNK_CHANNELS[-1], HEAD_WIDTHS[-1], 1), PyramidPooling(HEAD_WIDTHS[-1])
        )
        self.up = nn.ModuleList(
            UpBlock(below, skip, channels)
            for below, skip, channels in zip(
                HEAD_WIDTHS[:0:-1], TRUNK_CHANNELS[-2:0:-1], HEAD_WIDTHS[-2::-1], strict=True
            )
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(HEAD_WIDTHS[0], class_count, 1)

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size."""
        size, output = size_of(frames), self.head(self.trunk_features(frames))
        return output.mapped(lambda values: without_padding(values, size, 4))

    def trunk_features(self, frames: Frames) -> list[Tensor]:
        """Return what the trunk computes of frames, at strides 4, 8, 16 and 32; nothing of it is trained."""
        x = pad_to_multiple((frames.float() - 127) / 128, STRIDE)
        features: list[Tensor] = self.trunk(in_fast_layout(x))
        return features[1:]

    def head(self, features: Sequence[Tensor]) -> Segmentation:
        """Return logits and features at stride 4 from the trunk's features."""
        *skips, x = features
        x = self.context(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(x, skip)
        logits: Logits = self.classifier(self.dropout(x))
        return Segmentation(logits=logits, features=x)

    def load_pretrained(self) -> None:
        """Load the trunk's ImageNet weights.

        Raises:
            RecipeError: The package that holds them is not installed.
        """
        self.trunk.load_published(published_weights())

    def train(self, mode: bool = True) -> FrozenLite0Segmenter:  # noqa: FBT001, FBT002  (torch's own signature)
        """Set training or evaluation mode; the trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self
