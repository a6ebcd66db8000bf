"""Dilated ResNet-50, ResNeXt-50 and SE-ResNeXt-50 trunks at output stride 8.

As trained on ImageNet they end at stride 32, too coarse for poles. Here the last two stages keep their
resolution and dilate their filters instead (Chen et al., TPAMI 2018), so the same weights fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.recompute import Recomputed
from warprefine.io.published import load_renamed
from warprefine.segmentation.hrnet import convolution

STRIDE = 8
"""Output stride: side of a cell of the deep features in pixels."""
_STRIDES = (1, 2, 1, 1)
_DILATIONS = (1, 1, 2, 4)
_EXPANSION = 4
_SQUEEZE = 16
_CLASSIFIERS = ("fc.", "last_linear.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNetSize:
    """Width and depth of a residual trunk.

    Attributes:
        width: Channels of the stem; the stages have 4, 8, 16 and 32 times as many.
        blocks: Blocks of the four stages.
        groups: Groups that the 3 x 3 filters of a block are split into ("cardinality").
        narrowing: Ratio of the channels of the block to those of its 3 x 3 filters.
        squeezed: Whether blocks have squeeze-and-excitation. Such trunks, as published, also pool after the
            stem without padding, which gives 35 columns for 141 pixels where the others give 36.
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
"""Sizes with published weights; both ResNeXt are 32 x 4d."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class TrunkFeatures:
    """Fine and deep features of a trunk."""

    fine: Float[Tensor, "b _ _ _"]
    """Output of the first stage, at stride 4."""
    deep: Float[Tensor, "b _ _ _"]
    """Output of the last stage, at stride 8."""


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: weight each channel by globally pooled features (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // _SQUEEZE, 1)
        self.excite = nn.Conv2d(channels // _SQUEEZE, channels, 1)

    def forward(self, x: Float[Tensor, "b f h w"]) -> Float[Tensor, "b f h w"]:
        """Return a tensor of the same shape, each channel times a weight between 0 and 1."""
        squeezed = functional.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))
        weights: Tensor = self.excite(squeezed).sigmoid()
        return x * weights


class DilatedBottleneck(Recomputed):
    """Dilated bottleneck block with grouped filters (He et al., CVPR 2016; Xie et al., CVPR 2017).

    Args:
        channels_in: Input channels.
        channels: Output channels.
        size: Size of the trunk that the block belongs to.
        stride: Stride of the 3 x 3 filters.
        dilation: Dilation of the 3 x 3 filters, in cells.
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
        self.weigh: nn.Module = SqueezeExcitation(channels) if size.squeezed else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = convolution(channels_in, channels, 1, stride=stride, relu=False)

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Transform (b, channels_in, h, w) to (b, channels, h / stride, w / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = functional.relu(self.norm2(self.conv2(y)))
        return functional.relu(self.weigh(self.norm3(self.conv3(y))) + self.shortcut(x))


class DilatedResNet(nn.Module):
    """Dilated residual trunk: the third and fourth stage stay at stride 8, with dilations 2 and 4.

    All blocks of a stage have its dilation, the first one too, as in the code of Tao et al. (2020);
    torchvision's own option leaves the first one at the dilation of the stage before.

    Attributes:
        squeezed: Whether blocks have squeeze-and-excitation.
        fine_channels: Channels of the fine features: 256 at a width of 64.
        channels: Channels of the deep features: 2048 at a width of 64.

    Example:
        >>> import torch
        >>> trunk = DilatedResNet(ResNetSize(width=4)).eval()
        >>> trunk(torch.zeros(1, 3, 64, 96)).deep.shape
        torch.Size([1, 128, 8, 12])
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
        """Load ImageNet weights; their classifier is left out.

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
        name = re.sub(r"^stages\.(\d)\.", lambda match: f"layer{int(match[1]) + 1}.", name)
        name = name.replace(".weigh.squeeze.", ".se_module.fc1.").replace(".weigh.excite.", ".se_module.fc2.")
        return re.sub(r"\bnorm(\d)\.", r"bn\1.", name.replace(".shortcut.", ".downsample."))

    def _imagenet_name(self, own: str) -> str:
        # torchvision has its stem at the top level; Cadene's is named as within segmentation networks.
        return self.published_name(own).replace("layer0.0.", "conv1.").replace("layer0.1.", "bn1.")
