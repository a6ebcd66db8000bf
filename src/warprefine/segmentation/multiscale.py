"""Look at a frame at several sizes, and learn where to trust which (Tao et al. 2020, arXiv 2005.10821).

Large things are recognised when the frame is small, thin things when it is large. Each pass says for
every pixel how much it should count against what the finer passes have found; the same weights serve
all sizes, so sizes may be added after training.
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
from warprefine.core.tensors import Frames, Logits
from warprefine.io.published import load_renamed
from warprefine.segmentation.hrnet import (
    HRNETS,
    HRNet,
    HRNetSize,
    convolution,
    published_trunk_name,
    resized,
    size_of,
)
from warprefine.segmentation.imagenet import ImageNetColours
from warprefine.segmentation.ocr import FEATURE_CHANNELS, OCRHead, published_head_name

_ATTENTION_CHANNELS = 256
_LOW_SCALE = 0.5
SCALES = (0.5, 1.0, 2.0)
"""Those of the inference of Tao et al. (2020); for their best result they add 0.25 and mirroring."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ScaleScores:
    """What one pass says, at the size of the images that it was given."""

    logits: Logits
    auxiliary: Logits
    attention: Float[Tensor, "b 1 h w"]
    """How much the logits count against those of finer passes, between 0 and 1; alike for all classes."""
    features: Float[Tensor, "b f _ _"]
    """The features behind the logits, at stride 4."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class BlendedScores:
    """What several passes say together, at the size of the images, and what each said by itself."""

    logits: Logits
    auxiliary: Logits
    passes: Mapping[float, ScaleScores]

    @property
    def features(self) -> Tensor:
        """Return the features (b, f, h / 4, w / 4) of the pass at the images' own size."""
        return self.passes[1.0].features

    def in_training(self) -> Segmentation:
        """Return all that the loss looks at, at the size of the images."""
        size = size_of(self.logits)
        return Segmentation(
            logits=self.logits,
            features=self.features,
            first_guess=self.auxiliary,
            by_scale=tuple(resized(scores.logits, size) for scores in self.passes.values()),
        )


class MultiScaleOCR(nn.Module):
    """HRNetV2, object-contextual representations and attention over scales.

    Args:
        class_count: Number of classes; VOID is not one of them.
        size: Width and depth of the trunk.
        feature_channels: Channels of the features that classifier and attention see.
        key_channels: Channels in which pixels and regions are compared.
        attention_channels: Channels inside of the attention over scales.
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
        found = self.head(self.trunk(images))
        attention = torch.sigmoid(self.scale_attention(found.features))
        return ScaleScores(
            logits=resized(found.logits, size),
            auxiliary=resized(found.auxiliary, size),
            attention=resized(attention, size),
            features=found.features,
        )

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> BlendedScores:
        """Score normalised images at half and at full size, which is how the network is trained."""
        return self.at_scales(images, (_LOW_SCALE, 1.0))

    def at_scales(
        self, images: Float[Tensor, "b 3 h w"], scales: tuple[float, ...] = SCALES
    ) -> BlendedScores:
        """Score normalised images at several scales; h and w of a pass are rounded down.

        Raises:
            RecipeError: The images' own size, 1.0, is not among the scales, or a scale is there twice.
        """
        _check(scales)
        h, w = size_of(images)
        return blend(
            {scale: self.single(resized(images, (floor(h * scale), floor(w * scale)))) for scale in scales}
        )

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Take weights under the names of the code of Tao et al., with or without `module.` before them.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        bare = {name.removeprefix("module."): values for name, values in published.items()}
        load_renamed(self, bare, published_name, name="HRNet with OCR and attention")


def blend(passes: Mapping[float, ScaleScores]) -> BlendedScores:
    """Join passes, from the finest to the coarsest (Tao et al. 2020, figure 2).

    With p and a the logits and the attention of a pass, and up() to the size of the images or, at
    scales of 1 and more, of that pass, what has been joined so far becomes

        up(a · p) + (1 − up(a)) · up(joined).

    The attention of the finest pass is not used. The auxiliary logits are joined alike.
    """
    _check(tuple(passes))
    first, *others = sorted(passes, reverse=True)
    logits, auxiliary = passes[first].logits, passes[first].auxiliary
    for scale in others:
        found = passes[scale]
        size = size_of(found.logits if scale >= 1 else logits)
        logits = _joined(found.logits, found.attention, logits, size)
        auxiliary = _joined(found.auxiliary, found.attention, auxiliary, size)
    return BlendedScores(logits=logits, auxiliary=auxiliary, passes=passes)


def _joined(scores: Tensor, attention: Tensor, before: Tensor, size: tuple[int, int]) -> Tensor:
    rest = 1 - resized(attention, size)
    return resized(attention * scores, size) + rest * resized(before, size)


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
    """Segment frames at several scales; logits at the frame's size, features at stride 4.

    In training it looks at half and at full size, as Tao et al. (2020) do.

    Args:
        class_count: Number of classes; VOID is not one of them.
        size: Width and depth of the trunk.
        scales: Where it looks once it is trained; 1.0 must be among them.
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
        """The part that may begin from weights trained on ImageNet."""
        return self.network.trunk

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size whose smallest scale leaves a pixel."""
        images = self.colours(frames)
        if self.training:
            said: BlendedScores = self.network(images)
            return said.in_training()
        found = self.network.at_scales(images, self.scales)
        return Segmentation(logits=found.logits, features=found.features)
