"""RAFT's layers with weights: feature and context encoder, and the update operator (ECCV 2020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from warprefine.motion.raft_ops import CELL_PX

Norm = Callable[[int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Widths and kernels of the large and the small network; widths are numbers of channels.

    `kernels` are those of a residual block, whose last convolution has the width of its stage and
    whose earlier ones have that width divided by `squeeze`. `gru_kernels` are (h, w), one recurrent
    unit each. `mask` is the width of the upsampling's hidden layer, 0 for bilinear upsampling.
    """

    stem: int
    stages: tuple[int, ...]
    kernels: tuple[int, ...]
    squeeze: int
    features: int
    context_norm: Norm
    hidden: int
    context: int
    radius: int
    cost: tuple[tuple[int, int], ...]
    flow: tuple[tuple[int, int], ...]
    motion: int
    gru_kernels: tuple[tuple[int, int], ...]
    head: int
    mask: int


LARGE = Layout(
    stem=64,
    stages=(64, 96, 128),
    kernels=(3, 3),
    squeeze=1,
    features=256,
    context_norm=nn.BatchNorm2d,
    hidden=128,
    context=128,
    radius=4,
    cost=((256, 1), (192, 3)),
    flow=((128, 7), (64, 3)),
    motion=126,
    gru_kernels=((1, 5), (5, 1)),
    head=256,
    mask=256,
)
SMALL = Layout(
    stem=32,
    stages=(32, 64, 96),
    kernels=(1, 3, 1),
    squeeze=4,
    features=128,
    context_norm=nn.Identity,
    hidden=96,
    context=64,
    radius=3,
    cost=((96, 1),),
    flow=((64, 7), (32, 3)),
    motion=80,
    gru_kernels=((3, 3),),
    head=128,
    mask=0,
)
LEVELS = 4
"""Of the correlation pyramid, in both networks."""
_PUBLISHED = {"feature_encoder": "fnet", "context_encoder": "cnet", "update": "update_block"}
_PUBLISHED_GATES = {"update": "z", "reset": "r", "candidate": "q"}


def _conv(channels_in: int, channels: int, kernel: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2)


class Residual(nn.Module):
    """Residual block; its first 3 × 3 convolution may halve the size."""

    def __init__(self, channels_in: int, channels: int, layout: Layout, norm: Norm, *, stride: int) -> None:
        super().__init__()
        kernels = layout.kernels
        widths = (channels_in, *[channels // layout.squeeze] * (len(kernels) - 1), channels)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for place, kernel in enumerate(kernels):
            halving = stride if place == kernels.index(3) else 1
            self.convs.append(_conv(widths[place], widths[place + 1], kernel, stride=halving))
            self.norms.append(norm(widths[place + 1]))
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.extend((_conv(channels_in, channels, 1, stride=stride), norm(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = torch.relu(norm(conv(y)))
        return torch.relu(self.shortcut(x) + y)


class Encoder(nn.Module):
    """Feature or context encoder at stride 8, with `channels` per cell of 8 × 8 pixels."""

    def __init__(self, channels: int, layout: Layout, norm: Norm) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, layout.stem, 7, stride=2), norm(layout.stem), nn.ReLU())
        self.stages = nn.ModuleList()
        below = layout.stem
        for place, width in enumerate(layout.stages):
            first = Residual(below, width, layout, norm, stride=1 if place == 0 else 2)
            self.stages.append(nn.Sequential(first, Residual(width, width, layout, norm, stride=1)))
            below = width
        self.head = _conv(below, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (b, 3, h, w) to (b, channels, h / 8, w / 8)."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return torch.as_tensor(self.head(x))


def _rectified(channels_in: int, convs: Sequence[tuple[int, int]]) -> nn.Sequential:
    """Return convolutions of (channels, kernel), each with a ReLU."""
    layers = nn.Sequential()
    for channels, kernel in convs:
        layers.extend((_conv(channels_in, channels, kernel), nn.ReLU()))
        channels_in = channels
    return layers


class MotionEncoder(nn.Module):
    """Motion encoder: combine the correlations around a flow's end point and the flow itself."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.cost = _rectified(LEVELS * (2 * layout.radius + 1) ** 2, layout.cost)
        self.flow = _rectified(2, layout.flow)
        self.merge = _rectified(layout.cost[-1][0] + layout.flow[-1][0], ((layout.motion, 3),))

    def forward(self, cost: Tensor, flow: Tensor) -> Tensor:
        """Return (b, motion + 2, h, w) for looked-up correlations and the flow, in cells."""
        merged = self.merge(torch.cat((self.cost(cost), self.flow(flow)), dim=1))
        # The flow keeps float32 up to here; concatenated as such it would promote all that follows.
        return torch.cat((merged, flow.to(merged.dtype)), dim=1)


class ConvGRU(nn.Module):
    """Convolutional GRU, equations (3) to (6)."""

    def __init__(self, hidden: int, channels_in: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.update = nn.Conv2d(hidden + channels_in, hidden, kernel, padding=padding)
        self.reset = nn.Conv2d(hidden + channels_in, hidden, kernel, padding=padding)
        self.candidate = nn.Conv2d(hidden + channels_in, hidden, kernel, padding=padding)

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return the next hidden state, (b, hidden, h, w)."""
        both = torch.cat((hidden, x), dim=1)
        update, reset = torch.sigmoid(self.update(both)), torch.sigmoid(self.reset(both))
        candidate = torch.tanh(self.candidate(torch.cat((reset * hidden, x), dim=1)))
        return (1 - update) * hidden + update * candidate


class UpdateBlock(nn.Module):
    """Update operator: compute a flow increment from context, correlations and the current flow."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder(layout)
        channels_in = layout.context + layout.motion + 2
        self.grus = nn.ModuleList(
            ConvGRU(layout.hidden, channels_in, kernel) for kernel in layout.gru_kernels
        )
        self.flow_head = _two_convs(layout.hidden, layout.head, 2, last_kernel=3)
        self.mask = (
            _two_convs(layout.hidden, layout.mask, 9 * CELL_PX**2, last_kernel=1) if layout.mask else None
        )

    def forward(self, hidden: Tensor, context: Tensor, cost: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next hidden state and the flow increment, in cells."""
        x = torch.cat((context, self.motion_encoder(cost, flow)), dim=1)
        for gru in self.grus:
            hidden = gru(hidden, x)
        return hidden, torch.as_tensor(self.flow_head(hidden))


def _two_convs(channels_in: int, between: int, channels: int, *, last_kernel: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels_in, between, 3), nn.ReLU(), _conv(between, channels, last_kernel))


def published_name(own: str, *, gru_count: int) -> str:
    """Translate `feature_encoder.stages.1.0.convs.0.bias` to `fnet.layer2.0.conv1.bias`, and so on."""
    part, *path, kind = own.split(".")
    return f"{_PUBLISHED[part]}.{_published_path(path, gru_count=gru_count)}.{kind}"


def _published_path(path: Sequence[str], *, gru_count: int) -> str:
    match path:
        case ["head"]:
            name = "conv2"
        case ["stem", place]:
            name = "conv1" if place == "0" else "norm1"
        case ["stages", stage, block, "shortcut", place]:
            name = f"layer{int(stage) + 1}.{block}.downsample.{place}"
        case ["stages", stage, block, kind, place]:
            name = f"layer{int(stage) + 1}.{block}.{kind.removesuffix('s')}{int(place) + 1}"
        case ["motion_encoder", "merge", _]:
            name = "encoder.conv"
        case ["motion_encoder", branch, place]:
            name = f"encoder.conv{branch[0]}{int(place) // 2 + 1}"
        case ["grus", place, gate]:
            name = f"gru.conv{_PUBLISHED_GATES[gate]}{int(place) + 1 if gru_count > 1 else ''}"
        case ["flow_head", place]:
            name = f"flow_head.conv{int(place) // 2 + 1}"
        case _:
            name = ".".join(path)
    return name
