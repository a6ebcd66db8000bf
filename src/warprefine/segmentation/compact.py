"""Residual U-Net that trains from scratch on two CPU cores.

Dense 3 x 3 convolutions rather than depthwise ones: at equal accuracy they need more arithmetic but
far less memory traffic, which is the bottleneck of a CPU (and of bfloat16 arithmetic on it).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.layout import in_fast_layout
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, size_of
from warprefine.ops.resize import pad_to_multiple
from warprefine.recipe.network import SEGMENTER_WIDTHS
from warprefine.segmentation.imagenet import ImageNetColours

STRIDE = 32


class StridedPointwise(nn.Conv2d):
    """1 x 1 convolution of every `step`-th pixel each way, without a bias.

    The pixels are taken before the convolution: with a stride of its own and fewer than 16 channels, the
    backward pass of oneDNN's AVX512 kernels writes beyond its memory (torch 2.13).
    """

    def __init__(self, channels_in: int, channels: int, *, step: int) -> None:
        super().__init__(channels_in, channels, 1, bias=False)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, h / step, w / step)."""
        return super().forward(x[..., :: self.step, :: self.step])


class ResidualBlock(nn.Module):
    """Residual basic block: two 3 x 3 convolutions and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels_in: int, channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                StridedPointwise(channels_in, channels, step=stride), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class PyramidPooling(nn.Module):
    """Pyramid pooling: add context as averages over coarse grids (PSPNet, Zhao et al., CVPR 2017)."""

    def __init__(self, channels: int, *, grids: tuple[int, ...] = (1, 2, 4)) -> None:
        super().__init__()
        self.grids = grids
        self.reduce = nn.ModuleList(nn.Conv2d(channels, channels // 4, 1) for _ in grids)
        merged = channels + len(grids) * (channels // 4)
        self.merge = nn.Sequential(
            nn.Conv2d(merged, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        size = x.shape[-2:]
        branches = [x]
        for grid, reduce in zip(self.grids, self.reduce, strict=True):
            pooled = functional.relu(reduce(functional.adaptive_avg_pool2d(x, grid)))
            branches.append(functional.interpolate(pooled, size=size, mode="bilinear", align_corners=False))
        return torch.as_tensor(self.merge(torch.cat(branches, dim=1)))


class UpBlock(nn.Module):
    """Decoder block: upsample by 2 and add the encoder's features of that resolution."""

    def __init__(self, channels_below: int, channels_skip: int, channels: int) -> None:
        super().__init__()
        self.below = nn.Conv2d(channels_below, channels, 1)
        self.skip = nn.Conv2d(channels_skip, channels, 1)
        self.block = ResidualBlock(channels, channels)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Combine `below` (b, c, h, w) and `skip` (b, c', 2h, 2w)."""
        raised = functional.interpolate(
            self.below(below), size=skip.shape[-2:], mode="bilinear", align_corners=False
        )
        return torch.as_tensor(self.block(raised + self.skip(skip)))


class ShuffleBlock(nn.Module):
    """Decoder block with pixel shuffle, cheaper than `UpBlock`: upsample by 2 (Shi et al., CVPR 2016)."""

    def __init__(self, channels_below: int, channels_skip: int, channels: int) -> None:
        super().__init__()
        self.below = nn.Conv2d(channels_below, 4 * channels, 1)
        self.skip = nn.Conv2d(channels_skip, channels, 1)
        self.mix = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Combine `below` (b, c, h, w) and `skip` (b, c', 2h, 2w)."""
        joined = functional.pixel_shuffle(self.below(below), 2) + self.skip(skip)
        return functional.relu(self.mix(functional.relu(joined)))


def without_padding(scores: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Crop the cells that lie beyond a frame of `size` = (h, w).

    Example:
        >>> without_padding(torch.zeros(1, 3, 32, 32), (45, 60), stride=2).shape
        torch.Size([1, 3, 23, 30])
    """
    return scores[..., : -(-size[0] // stride), : -(-size[1] // stride)]


class CompactSegmenter(nn.Module):
    """Residual U-Net: encoder to stride 32, pyramid pooling, decoder to stride 2; logits at stride 2.

    Args:
        class_count: Number of classes; VOID is not one of them.
        widths: Channels at strides 2, 4, 8, 16 and 32.
        dropout: Share of the channels before the classifier that is dropped in training.

    Example:
        >>> segmenter = CompactSegmenter(19, widths=(4, 8, 8, 8, 8)).eval()
        >>> segmenter(torch.zeros(1, 3, 45, 60, dtype=torch.uint8)).logits.shape
        torch.Size([1, 19, 23, 30])
    """

    name = "compact"

    def __init__(
        self, class_count: int, *, widths: tuple[int, ...] = SEGMENTER_WIDTHS, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.class_count = class_count
        self.feature_channels = widths[1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.down = nn.ModuleList(
            nn.Sequential(ResidualBlock(a, b, stride=2), ResidualBlock(b, b)) for a, b in pairwise(widths)
        )
        self.context = PyramidPooling(widths[-1])
        self.up = nn.ModuleList(
            UpBlock(below, skip, skip) for below, skip in zip(widths[:1:-1], widths[-2:0:-1], strict=True)
        )
        self.last_up = ShuffleBlock(widths[1], widths[0], widths[0])
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(widths[0], class_count, 1)
        self.colours = ImageNetColours()

    def forward(self, frames: Frames) -> Segmentation:
        """Segment frames of any size: logits at stride 2, features (widths[1] channels) at stride 4."""
        size = size_of(frames)
        normalised = self.colours(frames)
        x = in_fast_layout(pad_to_multiple(normalised, STRIDE))
        x = self.stem(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.context(x)
        for up in self.up:
            x = up(x, skips.pop())
        logits = self.classifier(self.dropout(self.last_up(x, skips.pop())))
        return Segmentation(logits=without_padding(logits, size, 2), features=without_padding(x, size, 4))
