"""Refine labels that came from key frames on both sides, with a small U-Net that weighs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from warprefine.core.tensors import Frames, Logits
from warprefine.ops.averaging import mean_logits
from warprefine.ops.resize import to_size
from warprefine.refinement.joined_unet import JoinedUNet
from warprefine.refinement.sides import (
    FADE,
    PREFERENCE,
    SEMANTIC_WEIGHT,
    VOID_WEIGHT,
    Side,
    SideRefiner,
    SidesInput,
    mirror_sides,
    weigh_sides,
)

_DISTANCE_UNIT = 10.0
"""Frames; distances in this unit are near 1, as what else the network sees."""
_LEAST_VOTE = 1e-3
"""What nobody votes for can still win."""
_COLOUR_UNIT = 64.0
"""Levels of 255; so are differences of colour in this one."""


class TwoSidedRefiner(JoinedUNet):
    """An encoder over both sides and the picture, the segmenter's features at stride 4, a decoder.

    Of each side it sees the labels' shares times their trust (C + 1), the trust, the distance, and how the
    side's picture differs from the frame (3), which shows where the motion is wrong; beside these the
    segmenter's class probabilities, what the sides and the segmenter vote for, and the frame. The decoder's
    scores are added to the logarithm of that vote (`SideVotes`). They are zero at first, so that training
    begins at the vote and learns what is wrong with it. Not in the paper, whose refiner sees one side, of
    which it knows neither trust nor distance.

    Args:
        class_count: Number of classes C; VOID is one more.
        feature_channels: Channels of the segmenter's features; 0 leaves them out.
        widths: Channels at strides 1, 2, 4 and 8.
    """

    name = "two-sided"

    def __init__(
        self, class_count: int, feature_channels: int, *, widths: tuple[int, ...] = (24, 48, 96, 128)
    ) -> None:
        side_planes = (class_count + 1) + 1 + 1 + 3
        planes = 2 * side_planes + class_count + (class_count + 1) + 3
        super().__init__(planes, class_count + 1, feature_channels, widths=widths)
        self.class_count = class_count
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(cast(Tensor, self.classifier.bias))
        self.votes = SideVotes()

    def forward(self, seen: SidesInput) -> Logits:
        """Return scores (b, C + 1, h, w) for frames of any size; the last channel is VOID."""
        size = (seen.frame.shape[-2], seen.frame.shape[-1])
        labels = [side.soft.dense(self.class_count) for side in seen.sides]
        probabilities = to_size(seen.segmentation.logits.float(), size).softmax(dim=1)
        votes = torch.as_tensor(self.votes(seen.sides, labels, probabilities))
        shown = [_shown(side, planes, seen.frame) for side, planes in zip(seen.sides, labels, strict=True)]
        whole = torch.cat((*shown, probabilities, votes, seen.frame.float() / 127.5 - 1), dim=1)
        repaired = self.repaired(whole, seen.segmentation.features)
        return repaired + votes.clamp(min=_LEAST_VOTE).log()


class SideVotes(nn.Module):
    """Learned weights of the vote of both sides and the segmenter (`sides.weigh_sides`)."""

    def __init__(self) -> None:
        super().__init__()
        self.fade = nn.Parameter(torch.tensor(FADE))
        self.preference = nn.Parameter(torch.tensor(PREFERENCE))
        self.semantic_weight = nn.Parameter(torch.tensor(SEMANTIC_WEIGHT))
        self.void_weight = nn.Parameter(torch.tensor(VOID_WEIGHT))

    def forward(
        self, sides: tuple[Side, Side], labels: Sequence[Tensor], probabilities: Float[Tensor, "b _ h w"]
    ) -> Logits:
        """Return the vote as probabilities (b, C + 1, h, w); of VOID the segmenter says nothing.

        Args:
            labels: For each side its labels' shares, (b, C + 1, h, w).
            probabilities: The segmenter's, (b, C, h, w).
        """
        # Farther sides must not count more. Unlike a clamp, this keeps a gradient below 0.
        weights = weigh_sides(sides, fade=self.fade.abs(), preference=self.preference.abs())
        near, far = (weight[:, None] * planes for weight, planes in zip(weights, labels, strict=True))
        votes = functional.pad(self.semantic_weight.abs() * probabilities, (0, 0, 0, 0, 0, 1)) + near + far
        votes = torch.cat((votes[:, :-1], self.void_weight.abs() * votes[:, -1:]), dim=1)
        shares: Tensor = votes / votes.sum(dim=1, keepdim=True).clamp(min=1e-6)
        return shares


class MirroredTwoSided(nn.Module):
    """A refiner of sides whose class probabilities are the mean over a frame and its mirror image.

    It takes twice the time.

    Args:
        refiner: The refiner that is asked; a network.
    """

    def __init__(self, refiner: SideRefiner) -> None:
        super().__init__()
        self.refiner = cast(nn.Module, refiner)
        self.name = f"{refiner.name}-mirrored"
        self.class_count = refiner.class_count

    def forward(self, seen: SidesInput) -> Logits:
        """Return scores (b, C + 1, h, w), logarithms of probabilities; the last channel is VOID."""
        mirrored = self.refiner(mirror_sides(seen)).flip(-1)[..., : seen.frame.shape[-1]]
        return mean_logits(self.refiner(seen), mirrored)


def _shown(side: Side, labels: Logits, frame: Frames) -> Float32[Tensor, "b planes h w"]:
    """Lay out one side: labels times trust (C + 1), trust, distance, difference of the pictures (3)."""
    h, w = frame.shape[-2:]
    distance = (side.distance / _DISTANCE_UNIT)[:, None, None, None].expand(-1, 1, h, w)
    difference = (side.warped_frame.float() - frame.float()) / _COLOUR_UNIT
    difference = difference.masked_fill(side.is_missing[:, None, None, None], 0)
    trust = side.trust[:, None]
    return torch.cat((labels * trust, trust, distance, difference), dim=1)
