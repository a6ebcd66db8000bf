"""OCR head: object-contextual representations (Yuan et al., ECCV 2020).

Auxiliary logits group the pixels softly into one region per class; each pixel then attends to all
regions by similarity, and gets their weighted mean as context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.recompute import Recomputed
from warprefine.core.tensors import Logits
from warprefine.segmentation.hrnet import convolution

FEATURE_CHANNELS = 512
"""Channels of the classifier's input features (Tao et al. 2020), which a refiner may use too."""
_KEY_CHANNELS = 256
_DROPOUT = 0.05


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ContextScores:
    """Scores of the OCR head, on the grid of its input features."""

    logits: Logits
    auxiliary: Logits
    """Auxiliary logits, which define the regions and are trained beside the logits."""
    features: Float[Tensor, "b f h w"]


def gather_regions(
    features: Float[Tensor, "b f h w"], scores: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b f c 1"]:
    """Average the features of the pixels of each class (Yuan et al. 2020, equation 8).

    The weight of a pixel is the softmax of the class's scores over all pixels of the image.

    Example:
        >>> features = torch.tensor([[[[1.0, 3.0]]]])  # one channel, two pixels
        >>> scores = torch.tensor([[[[99.0, 0.0]], [[0.0, 99.0]]]])  # the first is class 0
        >>> gather_regions(features, scores).flatten()
        tensor([1., 3.])
    """
    weights = scores.flatten(2).softmax(dim=2)
    return (features.flatten(2) @ weights.mT).unsqueeze(3)


class ObjectAttention(nn.Module):
    """Attention of pixels over regions (Yuan et al. 2020, equations 3 and 4).

    Args:
        channels: Channels of pixels and regions.
        key_channels: Channels in which the two are compared.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.query = nn.Sequential(
            convolution(channels, key_channels, 1), convolution(key_channels, key_channels, 1)
        )
        self.key = nn.Sequential(
            convolution(channels, key_channels, 1), convolution(key_channels, key_channels, 1)
        )
        self.value = convolution(channels, key_channels, 1)
        self.widen = convolution(key_channels, channels, 1)

    def forward(
        self, pixels: Float[Tensor, "b f h w"], regions: Float[Tensor, "b f c 1"]
    ) -> Float[Tensor, "b f h w"]:
        """Return the context of each pixel; its attention over the regions sums to 1."""
        query: Tensor = self.query(pixels).flatten(2)  # (b, k, hw)
        key: Tensor = self.key(regions).flatten(2)  # (b, k, c)
        value: Tensor = self.value(regions).flatten(2)  # (b, k, c)
        attention = (query.mT @ key * key.shape[1] ** -0.5).softmax(dim=2)  # (b, hw, c)
        context = (value @ attention.mT).unflatten(2, pixels.shape[-2:])
        return torch.as_tensor(self.widen(context))


class OCRHead(Recomputed):
    """OCR head: score the classes from a trunk's features and their object context.

    Args:
        channels_in: Channels of the trunk's features.
        class_count: Number of classes; VOID is not one of them.
        channels: Channels of the classifier's input features.
        key_channels: Channels in which pixels and regions are compared.
        dropout: Share of the channels before the classifier that is dropped in training.

    Example:
        >>> head = OCRHead(8, 19, channels=4, key_channels=2).eval()
        >>> head(torch.zeros(1, 8, 4, 6)).logits.shape
        torch.Size([1, 19, 4, 6])
    """

    def __init__(
        self,
        channels_in: int,
        class_count: int,
        *,
        channels: int = FEATURE_CHANNELS,
        key_channels: int = _KEY_CHANNELS,
        dropout: float = _DROPOUT,
    ) -> None:
        super().__init__()
        self.pixels = convolution(channels_in, channels, 3, bias=True)
        self.first_guess = nn.Sequential(
            convolution(channels_in, channels_in, 1, bias=True), nn.Conv2d(channels_in, class_count, 1)
        )
        self.attention = ObjectAttention(channels, key_channels)
        self.merge = convolution(2 * channels, channels, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, class_count, 1)

    def forward(self, features: Float[Tensor, "b _ h w"]) -> ContextScores:
        """Score features (b, channels_in, h, w)."""
        pixels: Tensor = self.pixels(features)
        auxiliary: Tensor = self.first_guess(features)
        context = self.attention(pixels, gather_regions(pixels, auxiliary))
        merged = self.dropout(self.merge(torch.cat([context, pixels], dim=1)))
        return ContextScores(logits=self.classifier(merged), auxiliary=auxiliary, features=merged)


_PUBLISHED = {
    "pixels.0.": "conv3x3_ocr.0.",
    "pixels.1.": "conv3x3_ocr.1.0.",
    "first_guess.0.0.": "aux_head.0.",
    "first_guess.0.1.": "aux_head.1.0.",
    "first_guess.1.": "aux_head.2.",
    "attention.query.0.0.": "ocr_distri_head.object_context_block.f_pixel.0.",
    "attention.query.0.1.": "ocr_distri_head.object_context_block.f_pixel.1.0.",
    "attention.query.1.0.": "ocr_distri_head.object_context_block.f_pixel.2.",
    "attention.query.1.1.": "ocr_distri_head.object_context_block.f_pixel.3.0.",
    "attention.key.0.0.": "ocr_distri_head.object_context_block.f_object.0.",
    "attention.key.0.1.": "ocr_distri_head.object_context_block.f_object.1.0.",
    "attention.key.1.0.": "ocr_distri_head.object_context_block.f_object.2.",
    "attention.key.1.1.": "ocr_distri_head.object_context_block.f_object.3.0.",
    "attention.value.0.": "ocr_distri_head.object_context_block.f_down.0.",
    "attention.value.1.": "ocr_distri_head.object_context_block.f_down.1.0.",
    "attention.widen.0.": "ocr_distri_head.object_context_block.f_up.0.",
    "attention.widen.1.": "ocr_distri_head.object_context_block.f_up.1.0.",
    "merge.0.": "ocr_distri_head.conv_bn_dropout.0.",
    "merge.1.": "ocr_distri_head.conv_bn_dropout.1.0.",
    "classifier.": "cls_head.",
}


def published_head_name(own: str) -> str:
    """Translate the name of one of the head's weights to its published name.

    Example:
        >>> published_head_name("merge.0.weight")
        'ocr_distri_head.conv_bn_dropout.0.weight'
    """
    ours = next(prefix for prefix in _PUBLISHED if own.startswith(prefix))
    return _PUBLISHED[ours] + own.removeprefix(ours)
