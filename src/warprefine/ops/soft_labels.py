"""Warp and mix class probabilities in bounded memory, stored as the most probable labels of each pixel.

Few labels compete for a pixel, so four slots of a label and its share replace one plane per class.
Warping and mixing work on the slots themselves and equal the same on dense planes followed by `topk`.
Compiled loops do that on the CPU, `ops.soft_label_slots` with torch elsewhere, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from warprefine.core.tensors import VOID, Confidence, Flow, LabelMaps
from warprefine.ops.compiled import has_loops
from warprefine.ops.soft_label_loops import mix_loop, mix_warped_loop, warp_loop
from warprefine.ops.soft_label_slots import merge_slots, rank_planes, warp_slots

_STEPS = 255
"""Shares are packed in steps of 1 / 255."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftLabels:
    """The `k` most probable labels of each pixel, and the share of its probability that each has.

    VOID is a label like any. The labels of a pixel differ; their shares do not rise along k, are at
    least 0 and sum to at most 1, up to rounding. The rest to 1 is unassigned: it belonged to labels
    without a slot, or came from outside the image. An empty slot has label VOID and share 0.

    Example:
        >>> probabilities = torch.tensor([0.1, 0.6, 0.3]).view(1, 3, 1, 1)
        >>> soft = SoftLabels.of_probabilities(probabilities, most=2)
        >>> soft.labels.flatten().tolist(), soft.shares.flatten()
        ([1, 2], tensor([0.6000, 0.3000]))
    """

    labels: UInt8[Tensor, "b k h w"]
    shares: Float32[Tensor, "b k h w"]

    @classmethod
    def of_labels(cls, labels: LabelMaps) -> SoftLabels:
        """Convert label maps, taken as certain: k = 1, every share 1, that of VOID too."""
        ones = torch.ones(labels[:, None].shape, device=labels.device)
        return cls(labels=labels[:, None], shares=ones)

    @classmethod
    def of_probabilities(
        cls, probabilities: Float[Tensor, "b c h w"], *, most: int, void_is_last: bool = False
    ) -> SoftLabels:
        """Keep the `most` largest probabilities of each pixel, the smaller label first on a tie.

        Args:
            probabilities: At least 0, summing to at most 1 per pixel.
            most: Slots per pixel; those beyond the classes that have a probability stay empty.
            void_is_last: The last plane is that of VOID, not of class c - 1.
        """
        classes = torch.arange(probabilities.shape[1], dtype=torch.uint8, device=probabilities.device)
        if void_is_last:
            classes[-1] = VOID
        if not has_loops(probabilities):
            labels, shares = rank_planes(probabilities.float(), classes, most=most)
            return cls(labels=labels, shares=shares)
        return _most_probable(
            classes[:, None, None].expand(probabilities.shape), probabilities.float(), most=most
        )

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> SoftLabels:
        """Restore soft labels from the tensors that `packed` returned, in its steps of 1 / 255."""
        return cls(labels=tensors["labels"], shares=tensors["shares"].float() / _STEPS)

    def packed(self) -> dict[str, Tensor]:
        """Return "labels" and "shares", both (b, k, h, w) uint8, for a cache.

        Shares are rounded to steps of 1 / 255; a label whose share rounds to 0 is dropped.
        """
        # Four shares of a quarter would round to 4 * 64 = 256 steps. Clamping the running sum to 255
        # reduces the smallest shares only, so they stay sorted.
        reached = (self.shares * _STEPS).round().cumsum(dim=1).clamp(max=_STEPS)
        steps = torch.diff(reached, dim=1, prepend=torch.zeros_like(reached[:, :1])).to(torch.uint8)
        return {"labels": self.labels.masked_fill(steps == 0, VOID), "shares": steps}

    def harden(self) -> tuple[LabelMaps, Confidence]:
        """Return each pixel's most probable label and its share; VOID and 0 where all slots are empty."""
        return self.labels[:, 0], self.shares[:, 0]

    def dense(self, class_count: int) -> Float32[Tensor, "b planes h w"]:
        """Return one plane of shares per class and, last, one of VOID: (b, class_count + 1, h, w).

        Args:
            class_count: Above every label but VOID.
        """
        b, _, h, w = self.labels.shape
        plane = self.labels.long().masked_fill(self.labels == VOID, class_count)
        return torch.zeros(b, class_count + 1, h, w, device=self.labels.device).scatter_add(
            1, plane, self.shares
        )

    def mapped(self, change: Callable[[Tensor], Tensor]) -> SoftLabels:
        """Return labels and shares changed alike: cropped, flipped or moved to another device."""
        return SoftLabels(labels=change(self.labels), shares=change(self.shares))

    def scaled(self, weight: Confidence) -> SoftLabels:
        """Multiply all shares of a pixel by its weight, at least 0; weight 0 empties its slots."""
        shares = self.shares * weight[:, None]
        return SoftLabels(labels=self.labels.masked_fill(shares == 0, VOID), shares=shares)


def warp_soft(soft_a: SoftLabels, flow_ba: Flow, *, most: int = 4) -> SoftLabels:
    """Warp soft labels from a to b bilinearly.

    The shares of the four pixels of a around a pixel's source count by bilinear weight, those of equal
    labels add up, and the `most` largest are kept, the smaller label first on a tie. Where the source
    lies outside a, or the flow is NaN, all slots are empty. `SoftLabels.of_labels` warped with
    `most` = 4 hardens to what `vote_labels` returns.

    Example:
        >>> soft_a = SoftLabels.of_labels(torch.tensor([[[0, 7]]], dtype=torch.uint8))
        >>> flow_ba = torch.tensor([0.75, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
        >>> soft_b = warp_soft(soft_a, flow_ba, most=2)
        >>> soft_b.labels[0, :, 0, 0].tolist(), soft_b.shares[0, :, 0, 0].tolist()
        ([7, 0], [0.75, 0.25])
    """
    if not has_loops(flow_ba):
        labels, shares = warp_slots(soft_a.labels, soft_a.shares, flow_ba, most=most)
        return SoftLabels(labels=labels, shares=shares.clamp(max=1))
    b, _, h, w = soft_a.labels.shape
    labels_b = np.empty((b, most, h, w), np.uint8)
    shares_b = np.empty((b, most, h, w), np.float32)
    warp_loop(
        np.ascontiguousarray(soft_a.labels.flatten(2).numpy()),
        np.ascontiguousarray(soft_a.shares.flatten(2).numpy()),
        np.ascontiguousarray(flow_ba.numpy()),
        labels_b,
        shares_b,
    )
    # Rounding can lift the sum of all four weights above 1.
    return SoftLabels(labels=torch.from_numpy(labels_b), shares=torch.from_numpy(shares_b).clamp_(max=1))


def mix_soft(parts: Sequence[SoftLabels], *, most: int) -> SoftLabels:
    """Add up the shares of equal labels and keep the `most` largest, the smaller label first on a tie.

    Args:
        parts: One or more on the same frame, their k may differ. Weight them with
            `SoftLabels.scaled`: shares are added as they are, and sum to more than 1 if weights do.

    Example:
        >>> road, car = torch.tensor([[[0, 0]], [[0, 7]]], dtype=torch.uint8).split(1)
        >>> half = torch.full((1, 1, 2), 0.5)
        >>> parts = [SoftLabels.of_labels(labels).scaled(half) for labels in (road, car)]
        >>> mix_soft(parts, most=2).shares[0].tolist()  # they agree on the first pixel only
        [[[1.0, 0.5]], [[0.0, 0.5]]]
    """
    labels = torch.cat([part.labels for part in parts], dim=1)
    return _most_probable(labels, torch.cat([part.shares for part in parts], dim=1), most=most)


def mix_warped(
    soft_b: SoftLabels,
    others: Sequence[SoftLabels],
    *,
    flows: Sequence[Flow],
    weights: Sequence[Confidence],
    most: int,
) -> SoftLabels:
    """Warp soft labels of other frames to b, and add them, weighted, to those of b.

    It equals `mix_soft` of `soft_b` and of each `warp_soft(other, flow).scaled(weight)`, to the bit. On the
    CPU it takes three quarters of the time: what has no weight is not warped, and nothing is written in
    between.

    Args:
        soft_b: Soft labels on b.
        others: Soft labels on other frames, one or more.
        flows: Flow from b into each of them.
        weights: Weight of each, per pixel of b.
        most: Slots per pixel, of each that is warped and of the result.

    Example:
        >>> road, car = torch.tensor([[[0, 0]], [[7, 7]]], dtype=torch.uint8).split(1)
        >>> weight, still = torch.tensor([[[0.5, 0.0]]]), torch.zeros(1, 2, 1, 2)
        >>> road, car = SoftLabels.of_labels(road), SoftLabels.of_labels(car)
        >>> mix_warped(road, [car], flows=[still], weights=[weight], most=2).shares[0].tolist()
        [[[1.0, 1.0]], [[0.5, 0.0]]]
    """
    if not has_loops(soft_b.labels):
        warped = (warp_soft(other, flow, most=most) for other, flow in zip(others, flows, strict=True))
        scaled = (soft.scaled(weight) for soft, weight in zip(warped, weights, strict=True))
        return mix_soft([soft_b, *scaled], most=most)
    b, _, h, w = soft_b.labels.shape
    slots = max(other.labels.shape[1] for other in others)
    labels_a = np.zeros((len(others), b, slots, h, w), np.uint8)
    shares_a = np.zeros((len(others), b, slots, h, w), np.float32)
    for number, other in enumerate(others):
        labels_a[number, :, : other.labels.shape[1]] = other.labels.numpy()
        shares_a[number, :, : other.labels.shape[1]] = other.shares.numpy()
    labels = np.empty((b, most, h, w), np.uint8)
    shares = np.empty((b, most, h, w), np.float32)
    mix_warped_loop(
        (np.ascontiguousarray(soft_b.labels.numpy()), np.ascontiguousarray(soft_b.shares.numpy())),
        (labels_a.reshape(*labels_a.shape[:3], h * w), shares_a.reshape(*shares_a.shape[:3], h * w)),
        np.stack([flow.numpy() for flow in flows]),
        np.stack([weight.numpy() for weight in weights]),
        (labels, shares),
    )
    return SoftLabels(labels=torch.from_numpy(labels), shares=torch.from_numpy(shares))


def _most_probable(
    labels: UInt8[Tensor, "b c h w"], shares: Float32[Tensor, "b c h w"], *, most: int
) -> SoftLabels:
    if not has_loops(labels):
        merged_labels, merged_shares = merge_slots(labels, shares, most=most)
        return SoftLabels(labels=merged_labels, shares=merged_shares)
    b, _, h, w = labels.shape
    kept_labels = np.empty((b, most, h, w), np.uint8)
    kept_shares = np.empty((b, most, h, w), np.float32)
    mix_loop(
        np.ascontiguousarray(labels.numpy()), np.ascontiguousarray(shares.numpy()), kept_labels, kept_shares
    )
    return SoftLabels(labels=torch.from_numpy(kept_labels), shares=torch.from_numpy(kept_shares))
