"""Keep the grid of a trunk at stride 8: ResNet-50, ResNeXt-50 and SE-ResNeXt-50 with spaced filters.

Trained on ImageNet they end at stride 32, too coarse for poles. Here the last two stages keep the grid
that they get and space out their filters instead (Chen et al., TPAMI 2018), so the same weights fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.io.published import load_renamed
from warprefine.segmentation.hrnet import convolution

STRIDE = 8
"""Pixels along a side of a cell of the deep features."""
_STRIDES = (1, 2, 1, 1)
_DILATIONS = (1, 1, 2, 4)
_EXPANSION = 4
_SQUEEZE = 16
_CLASSIFIERS = ("fc.", "last_linear.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNetSize:
    """How wide and how deep a trunk is.

    Attributes:
        width: Channels of the stem; the stages have 4, 8, 16 and 32 times as many.
        blocks: Blocks of the four stages.
        groups: Groups that the 3 x 3 filters of a block are split into ("cardinality").
        narrowing: By how much those filters see fewer channels than the block has.
        squeezed: Whether blocks weigh their channels. Such trunks, as published, also pool after the
            stem without padding, which makes 35 columns of 141 pixels where the others make 36.
    """

    width: int = 64
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    groups: int = 1
    narrowing: int = 4
    squeezed: bool = False


RESNETS: dict[str, ResNetSize] = {
    "resnet50": ResNetSize(),
    "resnext50": ResNetSize(groups=32, narrowing=2),
    "seresnext50": ResNetSize(groups=32, narrowing=2, squeezed=True),
}
"""The sizes that weights have been published for; both ResNeXt are of the kind 32 x 4d."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class TrunkFeatures:
    """What a trunk sees, near and far."""

    fine: Float[Tensor, "b _ _ _"]
    """The first stage, at stride 4."""
    deep: Float[Tensor, "b _ _ _"]
    """The last stage, at stride 8."""


class ChannelWeights(nn.Module):
    """Let the whole picture say how much each channel counts (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // _SQUEEZE, 1)
        self.excite = nn.Conv2d(channels // _SQUEEZE, channels, 1)

    def forward(self, x: Float[Tensor, "b f h w"]) -> Float[Tensor, "b f h w"]:
        """Return a tensor of the same shape, each channel times a weight between 0 and 1."""
        squeezed = functional.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))
        weights: Tensor = self.excite(squeezed).sigmoid()
        return x * weights


class DilatedBottleneck(nn.Module):
    """Narrow, filter in groups, widen around a shortcut (He et al., CVPR 2016; Xie et al., CVPR 2017).

    Args:
        channels_in: Channels that come in.
        channels: Channels that go out.
        size: Of the trunk that the block belongs to.
        stride: By how much the grid becomes coarser.
        dilation: Cells from one tap of the 3 x 3 filters to the next.
    """

    def __init__(
        self, channels_in: int, channels: int, *, size: ResNetSize, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        narrow = channels // size.narrowing
        self.conv1 = nn.Conv2d(channels_in, narrow, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(
            narrow, narrow, 3, stride, dilation, dilation=dilation, groups=size.groups, bias=False
        )
        self.norm2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels)
        self.weigh: nn.Module = ChannelWeights(channels) if size.squeezed else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = convolution(channels_in, channels, 1, stride=stride, relu=False)

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        return functional.relu(self.weigh(self.norm3(self.conv3(y))) + self.shortcut(x))


class DilatedResNet(nn.Module):
    """A residual trunk whose third and fourth stage stay at stride 8, with dilations 2 and 4.

    All blocks of a stage have its dilation, the first one too, as in the code of Tao et al. (2020);
    torchvision's own option leaves the first one at the dilation of the stage before.

    Attributes:
        squeezed: Whether blocks weigh their channels.
        fine_channels: Channels of the fine features: 256 at a width of 64.
        channels: Channels of the deep features: 2048 at a width of 64.
    """

    def __init__(self, size: ResNetSize) -> None:
        super().__init__()
        self.squeezed = size.squeezed
        self.stem = nn.Sequential(
            convolution(3, size.width, 7, stride=2),
            nn.MaxPool2d(3, 2, padding=0 if size.squeezed else 1, ceil_mode=size.squeezed),
        )
        self.stages = nn.ModuleList()
        before = size.width
        for position, (count, stride, dilation) in enumerate(
            zip(size.blocks, _STRIDES, _DILATIONS, strict=True)
        ):
            after = size.width * _EXPANSION * 2**position
            first = DilatedBottleneck(before, after, size=size, stride=stride, dilation=dilation)
            others = (DilatedBottleneck(after, after, size=size, dilation=dilation) for _ in range(count - 1))
            self.stages.append(nn.Sequential(first, *others))
            before = after
        self.fine_channels = size.width * _EXPANSION
        self.channels = before

    def forward(self, images: Float[Tensor, "b 3 _ _"]) -> TrunkFeatures:
        """Return the features of normalised images; sizes are rounded up."""
        fine: Tensor = self.stages[0](self.stem(images))
        deep = fine
        for stage in list(self.stages)[1:]:
            deep = stage(deep)
        return TrunkFeatures(fine=fine, deep=deep)

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Take weights trained on ImageNet; their classifier is left out.

        The names are torchvision's, such as `layer1.0.conv1.weight` and `conv1.weight`, or, for a
        squeezed trunk, those of Cadene's `se_resnext50_32x4d`, such as `layer0.conv1.weight`.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape.
        """
        used = {name: values for name, values in published.items() if not name.startswith(_CLASSIFIERS)}
        load_renamed(self, used, self._imagenet_name, name="the ImageNet trunk")

    def published_name(self, own: str) -> str:
        """Translate `stages.0.1.norm2.bias` to `layer1.1.bn2.bias`, as within segmentation networks."""
        conv, norm = ("conv1", "bn1") if self.squeezed else ("0", "1")
        name = own.replace("stem.0.0.", f"layer0.{conv}.").replace("stem.0.1.", f"layer0.{norm}.")
        name = re.sub(r"^stages\.(\d)\.", lambda found: f"layer{int(found[1]) + 1}.", name)
        name = name.replace(".weigh.squeeze.", ".se_module.fc1.").replace(".weigh.excite.", ".se_module.fc2.")
        return re.sub(r"\bnorm(\d)\.", r"bn\1.", name.replace(".shortcut.", ".downsample."))

    def _imagenet_name(self, own: str) -> str:
        # torchvision keeps its stem at the top; Cadene's is called as within segmentation networks.
        return self.published_name(own).replace("layer0.0.", "conv1.").replace("layer0.1.", "bn1.")
