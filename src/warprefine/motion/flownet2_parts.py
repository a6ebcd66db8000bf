"""Building blocks of FlowNet2 and SDC-Net: convolutions by level, and the names of their published weights.

Level n of a network has stride 2^n. The modules of a level are stored under its number, as in the
names of the published weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

COARSEST = 6
STRIDE = 2**COARSEST
"""Height and width must be multiples of this."""
_NEGATIVE_SLOPE = 0.1


class Conv(NamedTuple):
    """Settings of one convolution."""

    channels: int
    kernel: int = 3
    stride: int = 1


class LeakyConv(nn.Conv2d):
    """Convolution with "same" padding and a leaky ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int = 3, *, stride: int = 1) -> None:
        super().__init__(channels_in, channels, kernel, stride, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        return functional.leaky_relu(super().forward(x), _NEGATIVE_SLOPE)


class Deconv(nn.ConvTranspose2d):
    """Transposed convolution that doubles height and width, without an activation."""

    def __init__(self, channels_in: int, channels: int, *, bias: bool = True) -> None:
        super().__init__(channels_in, channels, 4, 2, 1, bias=bias)


class LeakyDeconv(Deconv):
    """Transposed convolution that doubles height and width, and a leaky ReLU."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, 2h, 2w)."""
        return functional.leaky_relu(super().forward(x, output_size), _NEGATIVE_SLOPE)


class Encoder(nn.Module):
    """Encoder: convolutions level by level, finest first.

    Args:
        channels_in: Channels of the input.
        levels: The convolutions of each level.
    """

    def __init__(self, channels_in: int, levels: Mapping[int, Sequence[Conv]]) -> None:
        super().__init__()
        self.levels = nn.ModuleDict()
        for level, convs in levels.items():
            layers = []
            for conv in convs:
                layers.append(LeakyConv(channels_in, conv.channels, conv.kernel, stride=conv.stride))
                channels_in = conv.channels
            self.levels[str(level)] = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Return the features of each level for (b, channels_in, h, w)."""
        features = {}
        for level, layers in self.levels.items():
            x = layers(x)
            features[int(level)] = x
        return features


class FlowDecoder(nn.Module):
    """Coarse-to-fine flow decoder: estimate at the coarsest level, refine level by level (FlowNet, 2015).

    After Dosovitskiy et al., ICCV 2015. Inputs of each level are, in this order, the encoder's features,
    the upsampled features of the next coarser level and its upsampled flow.

    Args:
        skips: Channels of the encoder's features, by level; the coarsest level is included.
        ups: Channels of the upsampled features, by level; without the coarsest level.
        smoothed: Whether a convolution without activation precedes each estimate but the first.
        bias: Whether the upsampling of the flow has a bias.
    """

    def __init__(
        self, skips: Mapping[int, int], ups: Mapping[int, int], *, smoothed: bool, bias: bool
    ) -> None:
        super().__init__()
        coarsest = max(skips)
        below = skips[coarsest]
        self.up, self.upsample, self.smooth = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.predict = nn.ModuleDict({str(coarsest): nn.Conv2d(below, 2, 3, padding=1)})
        for level in sorted(ups, reverse=True):
            key, channels = str(level), ups[level]
            self.up[key] = LeakyDeconv(below, channels)
            self.upsample[key] = Deconv(2, 2, bias=bias)
            below = skips[level] + channels + 2
            if smoothed:
                self.smooth[key] = nn.Conv2d(below, channels, 3, padding=1)
            self.predict[key] = nn.Conv2d(channels if smoothed else below, 2, 3, padding=1)

    def forward(self, features: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Return the flow of each level, coarsest first: (b, 2, h, w) of the level's own size."""
        coarsest = max(features)
        x = features[coarsest]
        flow: Tensor = self.predict[str(coarsest)](x)
        flows = {coarsest: flow}
        for key, up in self.up.items():
            x = torch.cat((features[int(key)], up(x), self.upsample[key](flow)), dim=1)
            flow = self.predict[key](self.smooth[key](x) if key in self.smooth else x)
            flows[int(key)] = flow
        return flows


def published_name(own: str) -> str:
    """Translate `encoder.levels.3.1.weight` to `conv3_1.0.weight`, and so on."""
    match own.split("."):
        case [_, "levels", level, place, kind]:
            return f"conv{level}{'_1' if place == '1' else ''}.0.{kind}"
        case [*_, "up", level, kind]:
            return f"deconv{level}.0.{kind}"
        case [*_, "upsample", level, kind]:
            return f"upsampled_flow{int(level) + 1}_to_{level}.{kind}"
        case [*_, "smooth", level, kind]:
            return f"inter_conv{level}.0.{kind}"
        case [*_, "predict", level, kind]:
            return f"predict_flow{level}.{kind}"
    return own
