"""Hierarchical multi-scale attention on HRNetV2 with OCR (Tao et al. 2020, arXiv 2005.10821).

Large objects are recognised at coarse scales, thin structures at fine ones. Each pass predicts for
every pixel its weight against the finer passes; the weights of the network are shared by all scales, so
scales may be added after training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, Logits, size_of
from warprefine.io.published import load_renamed
from warprefine.segmentation.hrnet import HRNETS, HRNet, HRNetSize, convolution, published_trunk_name, resized
from warprefine.segmentation.imagenet import ImageNetColours
from warprefine.segmentation.ocr import FEATURE_CHANNELS, OCRHead, published_head_name

_ATTENTION_CHANNELS = 256
_LOW_SCALE = 0.5
SCALES = (0.5, 1.0, 2.0)
"""Inference scales of Tao et al. (2020); for their best result they add 0.25 and mirroring."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ScaleScores:
    """Scores of one pass, at the size of its input images."""

    logits: Logits
    auxiliary: Logits
    attention: Float[Tensor, "b 1 h w"]
    """Weight of the logits against those of finer passes, between 0 and 1; the same for all classes."""
    features: Float[Tensor, "b f _ _"]
    """The features behind the logits, at stride 4."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class BlendedScores:
    """Blended scores of several passes, at the size of the images, and those of each pass."""

    logits: Logits
    auxiliary: Logits
    passes: Mapping[float, ScaleScores]

    @property
    def features(self) -> Tensor:
        """Return the features (b, f, h / 4, w / 4) of the pass at the images' own size."""
        return self.passes[1.0].features

    def in_training(self) -> Segmentation:
        """Return the scores that the training loss uses, at the size of the images."""
        size = size_of(self.logits)
        return Segmentation(
            logits=self.logits,
            features=self.features,
            first_guess=self.auxiliary,
            by_scale=tuple(resized(scores.logits, size) for scores in self.passes.values()),
        )


class MultiScaleOCR(nn.Module):
    """HRNetV2 trunk, OCR head (object-contextual representations) and attention over scales.

    Args:
        class_count: Number of classes; VOID is not one of them.
        size: Width and depth of the trunk.
        feature_channels: Channels of the input features of classifier and attention.
        key_channels: Channels in which pixels and regions are compared.
        attention_channels: Hidden channels of the attention over scales.
    """

    def __init__(
        self,
        class_count: int,
        *,
        size: HRNetSize = HRNETS["w48"],
        feature_channels: int = FEATURE_CHANNELS,
        key_channels: int = 256,
        attention_channels: int = _ATTENTION_CHANNELS,
    ) -> None:
        super().__init__()
        self.trunk = HRNet(size)
        self.head = OCRHead(
            self.trunk.channels, class_count, channels=feature_channels, key_channels=key_channels
        )
        self.scale_attention = nn.Sequential(
            convolution(feature_channels, attention_channels, 3),
            convolution(attention_channels, attention_channels, 3),
            nn.Conv2d(attention_channels, 1, 1, bias=False),
        )

    def single(self, images: Float[Tensor, "b 3 h w"]) -> ScaleScores:
        """Score normalised images in one pass."""
        size = size_of(images)
        scores = self.head(self.trunk(images))
        attention = torch.sigmoid(self.scale_attention(scores.features))
        return ScaleScores(
            logits=resized(scores.logits, size),
            auxiliary=resized(scores.auxiliary, size),
            attention=resized(attention, size),
            features=scores.features,
        )

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> BlendedScores:
        """Score normalised images at half and at full size, as in training."""
        return self.at_scales(images, (_LOW_SCALE, 1.0))

    def at_scales(
        self, images: Float[Tensor, "b 3 h w"], scales: tuple[float, ...] = SCALES
    ) -> BlendedScores:
        """Score normalised images at several scales; h and w of a pass are rounded down.

        Raises:
            RecipeError: The images' own size, 1.0, is not among the scales, or a scale occurs twice.
        """
        _check(scales)
        h, w = size_of(images)
        return blend(
            {scale: self.single(resized(images, (floor(h * scale), floor(w * scale)))) for scale in scales}
        )

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under the names of the code of Tao et al., with or without the prefix `module.`.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        bare = {name.removeprefix("module."): values for name, values in published.items()}
        load_renamed(self, bare, published_name, name="HRNet with OCR and attention")


def blend(passes: Mapping[float, ScaleScores]) -> BlendedScores:
    """Blend the passes by their attention, from the finest to the coarsest (Tao et al. 2020, figure 2).

    With p and a the logits and the attention of a pass, and up() the resizing to the size of the images
    or, at scales of 1 and more, of that pass, the result so far becomes

        up(a · p) + (1 − up(a)) · up(result).

    The attention of the finest pass is not used. The auxiliary logits are blended likewise.
    """
    _check(tuple(passes))
    first, *others = sorted(passes, reverse=True)
    logits, auxiliary = passes[first].logits, passes[first].auxiliary
    for scale in others:
        scores = passes[scale]
        size = size_of(scores.logits if scale >= 1 else logits)
        logits = _blended(scores.logits, scores.attention, logits, size)
        auxiliary = _blended(scores.auxiliary, scores.attention, auxiliary, size)
    return BlendedScores(logits=logits, auxiliary=auxiliary, passes=passes)


def _blended(scores: Tensor, attention: Tensor, finer: Tensor, size: tuple[int, int]) -> Tensor:
    rest = 1 - resized(attention, size)
    return resized(attention * scores, size) + rest * resized(finer, size)


def _check(scales: tuple[float, ...]) -> None:
    if 1.0 not in scales or len(set(scales)) < len(scales) or min(scales) <= 0:
        raise RecipeError(
            f"the scales are {', '.join(map(str, scales)) or 'none'}; "
            "expected different positive numbers with 1.0 among them"
        )


def published_name(own: str) -> str:
    """Translate a weight's name to that in the code of Tao et al. (2020)."""
    part, rest = own.split(".", 1)
    if part == "trunk":
        return f"backbone.{published_trunk_name(rest)}"
    if part == "head":
        return f"ocr.{published_head_name(rest)}"
    layers = {"0.0.": "conv0.", "0.1.": "bn0.", "1.0.": "conv1.", "1.1.": "bn1.", "2.": "conv2."}
    ours = next(prefix for prefix in layers if rest.startswith(prefix))
    return f"scale_attn.{layers[ours]}{rest.removeprefix(ours)}"


class MultiScaleSegmenter(nn.Module):
    """HRNetV2 with OCR and attention over scales; logits at the frame's size, features at stride 4.

    Training uses half and full size, as Tao et al. (2020) do.

    Args:
        class_count: Number of classes; VOID is not one of them.
        size: Width and depth of the trunk.
        scales: Scales of inference; 1.0 must be among them.
    """

    name = "hrnet"

    def __init__(
        self, class_count: int, *, size: HRNetSize = HRNETS["w48"], scales: tuple[float, ...] = SCALES
    ) -> None:
        super().__init__()
        _check(scales)
        self.class_count = class_count
        self.feature_channels = FEATURE_CHANNELS
        self.scales = scales
        self.network = MultiScaleOCR(class_count, size=size)
        self.colours = ImageNetColours()

    @property
    def trunk(self) -> HRNet:
        """The part that can be initialised with ImageNet weights."""
        return self.network.trunk

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size that leaves at least one pixel at the smallest scale."""
        images = self.colours(frames)
        if self.training:
            scores: BlendedScores = self.network(images)
            return scores.in_training()
        scores = self.network.at_scales(images, self.scales)
        return Segmentation(logits=scores.logits, features=scores.features)
