"""Refine labels with a small U-Net that trains in minutes on two CPU cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.protocols import RefinerInput
from warprefine.core.tensors import VOID, LabelMaps, Logits
from warprefine.ops.resize import pad_to_multiple, to_size
from warprefine.segmentation.compact import ResidualBlock, UpBlock

STRIDE = 8


class CompactRefiner(nn.Module):
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
        super().__init__()
        self.class_count = class_count
        full, half, quarter, eighth = widths
        self.stem = nn.Sequential(
            nn.Conv2d((class_count + 1) + class_count + 6, full, 3, 1, 1, bias=False),
            nn.BatchNorm2d(full),
            nn.ReLU(),
        )
        self.down1 = ResidualBlock(full, half, stride=2)
        self.down2 = ResidualBlock(half, quarter, stride=2)
        self.join = nn.Conv2d(feature_channels, quarter, 1) if feature_channels else None
        self.down3 = nn.Sequential(ResidualBlock(quarter, eighth, stride=2), ResidualBlock(eighth, eighth))
        self.up3 = UpBlock(eighth, quarter, quarter)
        self.up2 = UpBlock(quarter, half, half)
        self.up1 = UpBlock(half, full, full)
        self.classifier = nn.Conv2d(full, class_count + 1, 1)
        self.label_weight = nn.Parameter(torch.tensor(3.0))
        self.segmenter_weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, seen: RefinerInput) -> Logits:
        """Return scores (b, C + 1, h, w); the last channel is VOID."""
        size = (seen.frame.shape[-2], seen.frame.shape[-1])
        labels = one_hot_with_void(seen.labels, self.class_count)
        probabilities = to_size(seen.segmentation.logits.float(), size).softmax(dim=1)
        images = torch.cat((seen.warped_frame, seen.frame), dim=1).float() / 127.5 - 1
        x = pad_to_multiple(torch.cat((labels, probabilities, images), dim=1), STRIDE)
        x1 = self.stem(x.contiguous(memory_format=torch.channels_last))
        x2 = self.down1(x1)
        x4 = self.down2(x2)
        if self.join is not None:
            quarter = (-(-size[0] // 4), -(-size[1] // 4))
            joined = to_size(self.join(seen.segmentation.features), quarter)
            x4 = functional.relu(x4 + pad_to_multiple(joined, STRIDE // 4))
        x = self.up1(self.up2(self.up3(self.down3(x4), x4), x2), x1)
        repaired: Tensor = self.classifier(x)[..., : size[0], : size[1]]
        votes = self.label_weight * labels
        votes[:, :-1] += self.segmenter_weight * probabilities.clamp(min=1e-4).log()
        return repaired + votes


def one_hot_with_void(labels: LabelMaps, class_count: int) -> Tensor:
    """Turn label maps into (b, C + 1, h, w) planes of 0 and 1; the last plane is VOID."""
    positions = labels.long().masked_fill(labels == VOID, class_count)
    return functional.one_hot(positions, class_count + 1).permute(0, 3, 1, 2).float()
