"""Refine labels with a small U-Net that trains in minutes on two CPU cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.protocols import RefinerInput
from warprefine.core.tensors import VOID, LabelMaps, Logits
from warprefine.ops.resize import to_size
from warprefine.refinement.joined_unet import JoinedUNet


class CompactRefiner(JoinedUNet):
    """An encoder over labels and images, the segmenter's features joined at stride 4, a decoder.

    The input is that of the paper's supplement, equation (A): one-hot warp-inpainted labels (C + 1),
    the warped image, the target image. What the segmenter says of the target frame (features at
    stride 4, class probabilities at full size) is joined. The decoder's scores are added to learned
    multiples of the labels and of the segmenter's log-probabilities, so that training begins from
    "leave the labels as they are" rather than from nothing.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8.
    """

    name = "compact"

    def __init__(
        self, class_count: int, feature_channels: int, *, widths: tuple[int, ...] = (24, 48, 96, 128)
    ) -> None:
        planes = (class_count + 1) + class_count + 6
        super().__init__(planes, class_count + 1, feature_channels, widths=widths)
        self.class_count = class_count
        self.label_weight = nn.Parameter(torch.tensor(3.0))
        self.segmenter_weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, seen: RefinerInput) -> Logits:
        """Return scores (b, C + 1, h, w); the last channel is VOID."""
        size = (seen.frame.shape[-2], seen.frame.shape[-1])
        labels = one_hot_with_void(seen.labels, self.class_count)
        probabilities = to_size(seen.segmentation.logits.float(), size).softmax(dim=1)
        images = torch.cat((seen.warped_frame, seen.frame), dim=1).float() / 127.5 - 1
        repaired = self.repaired(
            torch.cat((labels, probabilities, images), dim=1), seen.segmentation.features
        )
        votes = self.label_weight * labels
        votes[:, :-1] += self.segmenter_weight * probabilities.clamp(min=1e-4).log()
        return repaired + votes


def one_hot_with_void(labels: LabelMaps, class_count: int) -> Tensor:
    """Turn label maps into (b, C + 1, h, w) planes of 0 and 1; the last plane is VOID."""
    positions = labels.long().masked_fill(labels == VOID, class_count)
    return functional.one_hot(positions, class_count + 1).permute(0, 3, 1, 2).float()
