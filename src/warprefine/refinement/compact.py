"""Compact refiner: a small U-Net that trains in minutes on two CPU cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.protocols import RefinerInput
from warprefine.core.tensors import VOID, LabelMaps, Logits, size_of
from warprefine.ops.resize import to_size
from warprefine.recipe.two_sided_refiner import REFINER_WIDTHS
from warprefine.refinement.joined_unet import JoinedUNet


class CompactRefiner(JoinedUNet):
    """U-Net over labels and images, with the segmenter's features joined at stride 4.

    The input is that of the paper's supplement, equation (A): one-hot warp-inpainted labels (C + 1),
    the warped image, the target image, and the segmenter's output for the target frame (features at
    stride 4, class probabilities at full size). The decoder's scores are added to learned multiples of
    the labels and of the segmenter's log-probabilities, so that training starts at the identity: labels
    are left as they are.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8.
    """

    name = "compact"

    def __init__(
        self, class_count: int, feature_channels: int, *, widths: tuple[int, ...] = REFINER_WIDTHS
    ) -> None:
        planes = (class_count + 1) + class_count + 6
        super().__init__(planes, class_count + 1, feature_channels, widths=widths)
        self.class_count = class_count
        self.label_weight = nn.Parameter(torch.tensor(3.0))
        self.segmenter_weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, inputs: RefinerInput) -> Logits:
        """Return logits (b, C + 1, h, w); the last channel is VOID."""
        size = size_of(inputs.frame)
        labels = one_hot_with_void(inputs.labels, self.class_count)
        probabilities = to_size(inputs.segmentation.logits.float(), size).softmax(dim=1)
        images = torch.cat((inputs.warped_frame, inputs.frame), dim=1).float() / 127.5 - 1
        repaired = self.repaired(
            torch.cat((labels, probabilities, images), dim=1), inputs.segmentation.features
        )
        votes = self.label_weight * labels
        votes[:, :-1] += self.segmenter_weight * probabilities.clamp(min=1e-4).log()
        return repaired + votes


def one_hot_with_void(labels: LabelMaps, class_count: int) -> Tensor:
    """Return one-hot planes (b, C + 1, h, w) of label maps; the last plane is VOID.

    Example:
        >>> one_hot_with_void(torch.tensor([[[1, VOID]]], dtype=torch.uint8), 2)[0, :, 0].T.tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    positions = labels.long().masked_fill(labels == VOID, class_count)
    return functional.one_hot(positions, class_count + 1).permute(0, 3, 1, 2).float()
