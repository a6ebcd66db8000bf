"""Two-sided refiner: a small U-Net over labels carried from the key frames on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.layout import joined
from warprefine.core.tensors import Frames, Logits, size_of
from warprefine.ops.resize import to_size
from warprefine.recipe.two_sided_refiner import REFINER_WIDTHS
from warprefine.refinement.interface import (
    CAUTION,
    FADE,
    PREFERENCE,
    SEMANTIC_WEIGHT,
    VOID_WEIGHT,
    Side,
    TwoSidedInput,
    weigh_sides,
)
from warprefine.refinement.joined_unet import HalvedUNet, JoinedUNet

_DISTANCE_UNIT = 10.0
"""Frames; distances in this unit are near 1, as the other inputs are."""
LEAST_VOTE = 1e-3
"""Smallest vote: a class without any vote can still win."""
_COLOUR_UNIT = 64.0
"""Levels of 255; differences of colour in this unit are near 1 too."""


class _TwoSided(JoinedUNet):
    """What both two-sided networks share: their inputs, and the vote that they begin at.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8.
    """

    def __init__(
        self, class_count: int, feature_channels: int, *, widths: tuple[int, ...] = REFINER_WIDTHS
    ) -> None:
        side_planes = (class_count + 1) + 1 + 1 + 3
        planes = 2 * side_planes + class_count + (class_count + 1) + 3
        super().__init__(planes, class_count + 1, feature_channels, widths=widths)
        self.class_count = class_count
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(cast(Tensor, self.classifier.bias))
        self.votes = SideVotes()

    def forward(self, inputs: TwoSidedInput) -> Logits:
        """Return logits (b, C + 1, h, w) for frames of any size; the last channel is VOID."""
        votes, planes = self._shown_by_frame(inputs)
        return votes.add_(self.repaired(planes, inputs.segmentation.features))

    def _shown_by_frame(self, inputs: TwoSidedInput) -> tuple[Logits, Tensor]:
        """Return what `_shown` does, computed on the CPU for one frame after the other.

        The tensors that the planes are computed from take several times their memory, and are freed after
        each frame. A GPU is faster with all frames at once.
        """
        b = len(inputs.frame)
        if b == 1 or inputs.frame.device.type != "cpu":
            return self._shown(inputs)
        vote, shown = self._shown(inputs.of_frame(0))
        votes, planes = [vote], torch.cat([shown] * b)
        for i in range(1, b):
            vote, shown = self._shown(inputs.of_frame(i))
            votes.append(vote)
            planes[i] = shown[0]
        return torch.cat(votes), planes

    def _shown(self, inputs: TwoSidedInput) -> tuple[Logits, Tensor]:
        """Return the logarithm of the vote (b, C + 1, h, w), and the planes that the network sees."""
        size = size_of(inputs.frame)
        labels = [side.soft.dense(self.class_count) for side in inputs.sides]
        probabilities = to_size(inputs.segmentation.logits.float(), size).softmax(dim=1)
        votes = torch.as_tensor(self.votes(inputs.sides, labels, probabilities))
        channels = [
            _side_channels(side, planes, inputs.frame)
            for side, planes in zip(inputs.sides, labels, strict=True)
        ]
        # The vote learns from being added to the scores; as an input it would cost a gradient of all inputs.
        planes = (*channels, probabilities, votes.detach(), inputs.frame.float() / 127.5 - 1)
        return votes.clamp(min=LEAST_VOTE).log(), joined(planes)


class TwoSidedUNet(_TwoSided):
    """U-Net over both sides and the frame, with the segmenter's features joined at stride 4.

    Input channels of each side: the labels' shares times their trust (C + 1), the trust, the distance, and
    the difference between the side's warped frame and the frame (3), which shows where the motion is wrong.
    Further channels: the segmenter's class probabilities, the vote of sides and segmenter, and the frame.
    The decoder's scores are added to the logarithm of that vote (`SideVotes`); they are zero at first, so
    that training begins at the vote and learns its errors. Not in the paper, whose refiner has one side,
    without trust or distance.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8.
    """

    name = "two-sided"


class LightTwoSidedUNet(_TwoSided, HalvedUNet):
    """The same without convolutions at stride 1: labels as good, in half the time.

    The weights of its vote stay as they are, which spares the gradients of a dozen planes at stride 1. In
    labelling a part of its scores counts (`interface.CAUTION`).

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8; the first is not used.
    """

    name = "two-sided-light"

    def __init__(
        self, class_count: int, feature_channels: int, *, widths: tuple[int, ...] = REFINER_WIDTHS
    ) -> None:
        super().__init__(class_count, feature_channels, widths=widths)
        self.votes.requires_grad_(False)

    def repaired(self, inputs: Tensor, features: Tensor) -> Tensor:
        """Return what is added to the vote; see `JoinedUNet.repaired`."""
        scores = super().repaired(inputs, features)
        return scores if self.training else CAUTION * scores


class SideVotes(nn.Module):
    """Learned weights of the vote of both sides and the segmenter (`interface.weigh_sides`)."""

    def __init__(self) -> None:
        super().__init__()
        self.fade = nn.Parameter(torch.tensor(FADE))
        self.preference = nn.Parameter(torch.tensor(PREFERENCE))
        self.semantic_weight = nn.Parameter(torch.tensor(SEMANTIC_WEIGHT))
        self.void_weight = nn.Parameter(torch.tensor(VOID_WEIGHT))

    def forward(
        self, sides: tuple[Side, Side], labels: Sequence[Tensor], probabilities: Float[Tensor, "b _ h w"]
    ) -> Logits:
        """Return the vote as probabilities (b, C + 1, h, w); the segmenter does not vote for VOID.

        Args:
            labels: For each side its labels' shares, (b, C + 1, h, w).
            probabilities: The segmenter's, (b, C, h, w).
        """
        # Farther sides must not count more. Unlike a clamp, this keeps a gradient below 0.
        weights = weigh_sides(sides, fade=self.fade.abs(), preference=self.preference.abs())
        votes = functional.pad(self.semantic_weight.abs() * probabilities, (0, 0, 0, 0, 0, 1))
        for weight, planes in zip(weights, labels, strict=True):
            votes = torch.addcmul(votes, weight[:, None], planes)
        votes[:, -1] *= self.void_weight.abs()
        shares: Tensor = votes / votes.sum(dim=1, keepdim=True).clamp(min=1e-6)
        return shares


def _side_channels(side: Side, labels: Logits, frame: Frames) -> Float32[Tensor, "b planes h w"]:
    """Return the channels of one side: labels times trust (C + 1), trust, distance, image difference (3)."""
    return torch.cat((labels * side.trust[:, None], side_images(side, frame)), dim=1)


def side_images(side: Side, frame: Frames) -> Float32[Tensor, "b 5 h w"]:
    """Return what is known of a side besides its labels: trust, distance, image difference (3)."""
    h, w = frame.shape[-2:]
    distance = (side.distance / _DISTANCE_UNIT)[:, None, None, None].expand(-1, 1, h, w)
    difference = (side.warped_frame.float() - frame.float()) / _COLOUR_UNIT
    difference = difference.masked_fill(side.is_missing[:, None, None, None], 0)
    return torch.cat((side.trust[:, None], distance, difference), dim=1)
