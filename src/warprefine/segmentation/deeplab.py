"""DeepLabV3 and DeepLabV3+ (Chen et al. 2017, 2018): ASPP on a dilated trunk.

Published weights have the names of the code of Tao et al. (2020) or, shorter ones and trained with
`align_corners`, of that of Zhu et al. (CVPR 2019), who propagated their training labels along videos.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.protocols import Segmentation
from warprefine.core.recompute import Recomputed
from warprefine.core.tensors import size_of
from warprefine.io.published import load_renamed
from warprefine.segmentation.hrnet import convolution
from warprefine.segmentation.resnext import RESNETS, STRIDE, DilatedResNet, ResNetSize

CHANNELS = 256
"""Channels of each ASPP branch, and of the classifier's input features."""
_SKIP_CHANNELS = 48
_RATES = (12, 24, 36)
_PUBLISHED = {
    "aspp.whole.": "aspp.img_conv.",
    "aspp.views.": "aspp.features.",
    "narrow.": "bot_aspp.",
    "skip.": "bot_fine.",
    "head.0.0.": "final.0.",
    "head.0.1.": "final.1.",
    "head.1.0.": "final.3.",
    "head.1.1.": "final.4.",
    "classifier.": "final.6.",
}


def stretched(
    values: Float[Tensor, "b c _ _"], size: tuple[int, int], *, align_corners: bool
) -> Float[Tensor, "b c _ _"]:
    """Resize values bilinearly to `size` = (h, w): edges onto edges, or centres of corner cells onto corners.

    Example:
        >>> values = torch.tensor([[[[0.0, 3.0]]]])
        >>> stretched(values, (1, 4), align_corners=True)
        tensor([[[[0., 1., 2., 3.]]]])
    """
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=align_corners)


class ASPP(Recomputed):
    """ASPP with five branches at stride 8 (DeepLabV3, Chen et al. 2017, arXiv 1706.05587, figure 5).

    Atrous spatial pyramid pooling: image pooling, a 1 x 1 convolution, and 3 x 3 convolutions with
    dilation rates 12, 24 and 36.

    Attributes:
        channels: Channels of all five branches together.

    Example:
        >>> ASPP(8).eval()(torch.zeros(1, 8, 4, 6)).shape
        torch.Size([1, 1280, 4, 6])
    """

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.whole = convolution(channels_in, CHANNELS, 1)
        self.views = nn.ModuleList([convolution(channels_in, CHANNELS, 1)])
        for rate in _RATES:
            dilated = nn.Conv2d(channels_in, CHANNELS, 3, 1, rate, dilation=rate, bias=False)
            self.views.append(nn.Sequential(dilated, nn.BatchNorm2d(CHANNELS), nn.ReLU()))
        self.channels = CHANNELS * (1 + len(self.views))

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Return the branches of (b, channels_in, h, w), image pooling first.

        Raises:
            RecipeError: A training batch holds only one image.
        """
        if self.training and len(x) == 1:
            raise RecipeError(
                "DeepLab was given 1 frame to train on, expected at least 2, because its image pooling "
                "is normalised over the batch; set batch = 2 or more"
            )
        whole: Tensor = self.whole(x.mean(dim=(2, 3), keepdim=True))
        return torch.cat([whole.expand(-1, -1, *x.shape[-2:]), *(view(x) for view in self.views)], dim=1)


class _DeepLab(nn.Module):
    """Dilated trunk and ASPP, which both versions of DeepLab share."""

    feature_channels = CHANNELS
    published_as: str
    """Name in error messages."""

    def __init__(self, trunk: ResNetSize, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.trunk = DilatedResNet(trunk)
        self.aspp = ASPP(self.trunk.channels)

    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Load weights under the names of Tao et al. or of Zhu et al., with or without the prefix `module.`.

        Raises:
            CheckpointError: A weight is missing, left over or of another shape, or the weights are
                of Zhu et al. and the network does not align corners.
        """
        bare = {key.removeprefix("module."): values for key, values in published.items()}
        flat = any(key.startswith("layer0.") for key in bare)
        if flat and not self.align_corners:
            raise CheckpointError(
                "these weights have names without `backbone.`, as those of Zhu et al. (2019), which were "
                f"trained with aligned corners; expected {self.published_as} to be built with "
                "align_corners=True"
            )

        def published_name(own: str) -> str:
            if own.startswith("trunk."):
                return ("" if flat else "backbone.") + self.trunk.published_name(own.removeprefix("trunk."))
            ours = next(prefix for prefix in _PUBLISHED if own.startswith(prefix))
            return _PUBLISHED[ours] + own.removeprefix(ours)

        load_renamed(self, bare, published_name, name=self.published_as)


class DeepLabV3(_DeepLab):
    """DeepLabV3: dilated trunk, ASPP and classifier, all at stride 8.

    Args:
        class_count: Number of classes; VOID is not one of them.
        trunk: Width and depth of the trunk.
        align_corners: Whether logits are resized with corner cells aligned to corner pixels.
    """

    feature_stride = STRIDE
    published_as = "DeepLabV3"

    def __init__(
        self, class_count: int, *, trunk: ResNetSize = RESNETS["seresnext50"], align_corners: bool = False
    ) -> None:
        super().__init__(trunk, align_corners=align_corners)
        self.head = nn.Sequential(
            convolution(self.aspp.channels, CHANNELS, 3), convolution(CHANNELS, CHANNELS, 3)
        )
        self.classifier = nn.Conv2d(CHANNELS, class_count, 1, bias=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Segmentation:
        """Score normalised images: logits at their size, features at stride 8."""
        features = self.head(self.aspp(self.trunk(images).deep))
        logits = stretched(self.classifier(features), size_of(images), align_corners=self.align_corners)
        return Segmentation(logits=logits, features=features)


class DeepLabV3Plus(_DeepLab):
    """DeepLabV3+: ASPP on a dilated trunk at stride 8, and a decoder with trunk features of stride 4.

    Args:
        class_count: Number of classes; VOID is not one of them.
        trunk: Width and depth of the trunk.
        align_corners: Whether values are resized with corner cells aligned to corner pixels (or cells), as
            weights from Zhu et al. (2019) require.
    """

    feature_stride = 4
    published_as = "DeepLabV3+"

    def __init__(
        self, class_count: int, *, trunk: ResNetSize = RESNETS["seresnext50"], align_corners: bool = False
    ) -> None:
        super().__init__(trunk, align_corners=align_corners)
        self.narrow = nn.Conv2d(self.aspp.channels, CHANNELS, 1, bias=False)
        self.skip = nn.Conv2d(self.trunk.fine_channels, _SKIP_CHANNELS, 1, bias=False)
        self.head = nn.Sequential(
            convolution(_SKIP_CHANNELS + CHANNELS, CHANNELS, 3), convolution(CHANNELS, CHANNELS, 3)
        )
        self.classifier = nn.Conv2d(CHANNELS, class_count, 1, bias=False)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Segmentation:
        """Score normalised images: logits at their size, features at stride 4."""
        trunk_features = self.trunk(images)
        fine: Tensor = self.skip(trunk_features.fine)
        context: Tensor = self.narrow(self.aspp(trunk_features.deep))
        raised = stretched(context, size_of(fine), align_corners=self.align_corners)
        features = self.head(torch.cat([fine, raised], dim=1))
        logits = stretched(self.classifier(features), size_of(images), align_corners=self.align_corners)
        return Segmentation(logits=logits, features=features)
