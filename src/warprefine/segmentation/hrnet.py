"""HRNetV2 trunk: four branches at strides 4 to 32 (Wang et al., TPAMI 2020).

The branches run in parallel and exchange features repeatedly, so that thin structures such as poles
survive. It is the trunk of the paper's teacher (section 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.recompute import Recomputed
from warprefine.core.tensors import size_of
from warprefine.io.published import load_renamed
from warprefine.segmentation.compact import ResidualBlock

_STEM_CHANNELS = 64
_FIRST_STAGE_CHANNELS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class HRNetSize:
    """Width and depth of an HRNet trunk.

    Attributes:
        width: Channels at stride 4; each halving of the grid doubles them.
        bottlenecks: Blocks of the first stage, which has one branch.
        units: Number of exchanges between the branches in the second, third and fourth stage.
        blocks: Residual blocks of a branch between two exchanges.
    """

    width: int
    bottlenecks: int = 4
    units: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4


HRNETS: dict[str, HRNetSize] = {
    "w18-small": HRNetSize(width=18, bottlenecks=2, units=(1, 3, 2), blocks=2),
    "w18": HRNetSize(width=18),
    "w32": HRNetSize(width=32),
    "w48": HRNetSize(width=48),
}
"""Sizes with published weights; "w18-small" is the second of the two small ones."""


def convolution(
    channels_in: int, channels: int, kernel: int, *, stride: int = 1, bias: bool = False, relu: bool = True
) -> nn.Sequential:
    """Return a convolution with "same" padding, batch normalisation and, by default, a ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=bias),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def resized(values: Float[Tensor, "b c _ _"], size: tuple[int, int]) -> Float[Tensor, "b c _ _"]:
    """Resize values bilinearly to `size` = (h, w): edge onto edge, for any ratio.

    Unlike `ops.resize.to_size`, which crops what lies beyond the frame: published weights were trained
    with the surplus squeezed in.

    Example:
        >>> resized(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
        tensor([[[[0., 1., 3., 4.]]]])
    """
    if size_of(values) == size:
        return values
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)


class Bottleneck(Recomputed):
    """Residual bottleneck block: 1 x 1, 3 x 3, 1 x 1 and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.conv1 = nn.Conv2d(channels_in, narrow, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels:
            self.shortcut = convolution(channels_in, channels, 1, relu=False)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Transform (b, channels_in, h, w) to (b, channels, h, w)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        return functional.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


class ExchangeUnit(Recomputed):
    """Exchange unit: residual blocks on each branch, then the sum of all branches on every grid.

    Args:
        widths: Channels of the branches, finest first; each branch has half the grid of the one before.
        blocks: Residual blocks of each branch.
    """

    def __init__(self, widths: list[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width, width) for _ in range(blocks))) for width in widths
        )
        self.fusions = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, grids: list[Tensor]) -> list[Tensor]:
        """Return as many grids (b, c, h, w) as come in, of the same shapes."""
        grids = [branch(grid) for branch, grid in zip(self.branches, grids, strict=True)]
        fused = []
        for target, paths in zip(grids, self.fusions, strict=True):
            total = torch.zeros_like(target)
            for path, source in zip(paths.children(), grids, strict=True):
                total = total + resized(path(source), size_of(target))
            fused.append(functional.relu(total))
        return fused


def _path(widths: list[int], source: int, target: int) -> nn.Module:
    """Return layers from one branch to the channels and grid of another; upsampling is left to `resized`."""
    if source == target:
        return nn.Identity()
    if source > target:
        return convolution(widths[source], widths[target], 1, relu=False)
    halvings = [convolution(widths[source], widths[source], 3, stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, convolution(widths[source], widths[target], 3, stride=2, relu=False))


class Stage(nn.Module):
    """HRNet stage: add a branch at half the resolution of the coarsest, then exchange units."""

    def __init__(self, widths: list[int], *, channels_in: list[int], units: int, blocks: int) -> None:
        super().__init__()
        self.begin = nn.ModuleList(
            nn.Identity() if before == width else convolution(before, width, 3)
            for before, width in zip(channels_in, widths[:-1], strict=True)
        )
        self.begin.append(convolution(channels_in[-1], widths[-1], 3, stride=2))
        self.units = nn.Sequential(*(ExchangeUnit(widths, blocks) for _ in range(units)))

    def forward(self, grids: list[Tensor]) -> list[Tensor]:
        """Return the grids and one more, the new branch's, last."""
        begun = [begin(grid) for begin, grid in zip(self.begin, [*grids, grids[-1]], strict=True)]
        return list(self.units(begun))


class HRNet(nn.Module):
    """HRNetV2 trunk: four parallel branches, concatenated at stride 4.

    Attributes:
        channels: Channels of the features, 15 times the width: 720 for W48.

    Example:
        >>> size = HRNetSize(width=4, bottlenecks=1, units=(1, 1, 1), blocks=1)
        >>> HRNet(size).eval()(torch.zeros(1, 3, 64, 96)).shape
        torch.Size([1, 60, 16, 24])
    """

    def __init__(self, size: HRNetSize = HRNETS["w48"]) -> None:
        super().__init__()
        widths = [size.width * 2**branch for branch in range(len(size.units) + 1)]
        self.channels = sum(widths)
        self.stem = nn.Sequential(
            convolution(3, _STEM_CHANNELS, 3, stride=2),
            convolution(_STEM_CHANNELS, _STEM_CHANNELS, 3, stride=2),
        )
        self.bottlenecks = nn.Sequential(
            Bottleneck(_STEM_CHANNELS, _FIRST_STAGE_CHANNELS),
            *(Bottleneck(_FIRST_STAGE_CHANNELS, _FIRST_STAGE_CHANNELS) for _ in range(size.bottlenecks - 1)),
        )
        self.stages = nn.ModuleList()
        before = [_FIRST_STAGE_CHANNELS]
        for position, units in enumerate(size.units):
            after = widths[: position + 2]
            self.stages.append(Stage(after, channels_in=before, units=units, blocks=size.blocks))
            before = after

    def forward(self, images: Float[Tensor, "b 3 _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Return features (b, channels, h / 4, w / 4) of normalised images; sizes are rounded up."""
        grids: list[Tensor] = [self.bottlenecks(self.stem(images))]
        for stage in self.stages:
            grids = stage(grids)
        finest = size_of(grids[0])
        return torch.cat([resized(grid, finest) for grid in grids], dim=1)

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under their published names, such as `stage2.0.branches.1.0.conv1.weight`.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        load_renamed(self, published, published_trunk_name, name="HRNet")


def published_trunk_name(own: str) -> str:
    """Translate the name of one of the trunk's weights to its published name.

    Example:
        >>> published_trunk_name("stages.0.units.0.branches.1.0.norm1.bias")
        'stage2.0.branches.1.0.bn1.bias'
    """
    name = re.sub(r"^stem\.(\d)\.0\.", lambda match: f"conv{int(match[1]) + 1}.", own)
    name = re.sub(r"^stem\.(\d)\.1\.", lambda match: f"bn{int(match[1]) + 1}.", name)
    name = re.sub(r"^stages\.(\d)\.units\.", lambda match: f"stage{int(match[1]) + 2}.", name)
    name = re.sub(r"^stages\.0\.begin\.0\.", "transition1.0.", name)
    name = re.sub(
        r"^stages\.(\d)\.begin\.(\d)\.", lambda match: f"transition{int(match[1]) + 1}.{match[2]}.0.", name
    )
    parts = {"bottlenecks": "layer1", "shortcut": "downsample", "fusions": "fuse_layers"}
    for ours, theirs in parts.items():
        name = re.sub(rf"\b{ours}\.", f"{theirs}.", name)
    return re.sub(r"\bnorm(\d)\.", r"bn\1.", name)
