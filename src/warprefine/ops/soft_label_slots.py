"""Torch's version of the loops over soft labels, for devices other than the CPU: votes are added and ranked.

Labels and shares are (b, k, h, w), see `ops.soft_labels`; results equal those of `ops.soft_label_loops`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from warprefine.core.tensors import VOID, Flow, size_of
from warprefine.ops.warp import lands_inside, source_points

_LOWEST_BYTE = 255


def merge_slots(
    labels: UInt8[Tensor, "b n h w"], shares: Float32[Tensor, "b n h w"], *, most: int
) -> tuple[UInt8[Tensor, "b k h w"], Float32[Tensor, "b k h w"]]:
    """Add up the shares of equal labels and keep the `most` largest, the smaller label first on a tie.

    Shares are added in the order of the slots, as the loops do. Empty slots are VOID with share 0.

    Example:
        >>> labels = torch.tensor([4, 2, 4], dtype=torch.uint8).view(1, 3, 1, 1)
        >>> kept, sums = merge_slots(labels, torch.tensor([0.25, 0.5, 0.5]).view(1, 3, 1, 1), most=2)
        >>> kept.flatten().tolist(), sums.flatten().tolist()
        ([4, 2], [0.75, 0.5])
    """
    votes, is_first = torch.zeros_like(shares), shares > 0
    for slot in range(labels.shape[1]):
        same, vote = labels == labels[:, slot : slot + 1], shares[:, slot : slot + 1].clamp(min=0)
        votes = votes + same * vote
        is_first[:, slot + 1 :] &= ~(same[:, slot + 1 :] & (vote > 0))
    # The bits of numbers above 0 order as the numbers do; the last byte decides ties for the smaller label.
    ranks = (votes.view(torch.int32).long() << 8) | (_LOWEST_BYTE - labels.long())
    found = min(most, labels.shape[1])
    ranks = ranks.masked_fill(~is_first, 0).topk(found, dim=1).values
    if found < most:
        ranks = torch.cat((ranks, ranks.new_zeros(len(ranks), most - found, *ranks.shape[2:])), dim=1)
    kept = (_LOWEST_BYTE - (ranks & _LOWEST_BYTE)).to(torch.uint8)
    return kept, (ranks >> 8).to(torch.int32).view(torch.float32)


def rank_planes(
    probabilities: Float32[Tensor, "b c h w"], classes: UInt8[Tensor, " c"], *, most: int
) -> tuple[UInt8[Tensor, "b k h w"], Float32[Tensor, "b k h w"]]:
    """Keep the `most` largest of the planes of several classes, the first plane on a tie.

    Planes are not sorted: with 150 classes that takes gigabytes.

    Args:
        classes: The label of each plane, in ascending order.

    Example:
        >>> planes = torch.tensor([0.25, 0.75, 0.0]).view(1, 3, 1, 1)
        >>> kept, shares = rank_planes(planes, torch.arange(3, dtype=torch.uint8), most=3)
        >>> kept.flatten().tolist(), shares.flatten().tolist()
        ([1, 0, 255], [0.75, 0.25, 0.0])
    """
    left = probabilities.clone()
    labels, shares = [], []
    for _ in range(most):
        share, plane = left.max(dim=1, keepdim=True)
        left.scatter_(1, plane, 0)
        labels.append(classes[plane].masked_fill(share <= 0, VOID))
        shares.append(share.clamp(min=0))
    return torch.cat(labels, dim=1), torch.cat(shares, dim=1)


def warp_slots(
    labels_a: UInt8[Tensor, "b k h w"], shares_a: Float32[Tensor, "b k h w"], flow_ba: Flow, *, most: int
) -> tuple[UInt8[Tensor, "b m h w"], Float32[Tensor, "b m h w"]]:
    """Warp labels and shares along a flow; see `ops.soft_labels.warp_soft`.

    Example:
        >>> labels_a = torch.tensor([0, 7], dtype=torch.uint8).view(1, 1, 1, 2)
        >>> flow_ba = torch.tensor([0.75, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
        >>> labels_b, shares_b = warp_slots(labels_a, torch.ones(1, 1, 1, 2), flow_ba, most=2)
        >>> labels_b[..., 0].flatten().tolist(), shares_b[..., 0].flatten().tolist()
        ([7, 0], [0.75, 0.25])
    """
    slots, flat_labels, flat_shares = labels_a.shape[1], labels_a.flatten(2), shares_a.flatten(2)
    labels, votes = [], []
    for place, weight in _corners(flow_ba):
        from_a = place.flatten(1)[:, None].expand(-1, slots, -1)
        labels.append(flat_labels.gather(2, from_a).view_as(labels_a))
        votes.append(weight[:, None] * flat_shares.gather(2, from_a).view_as(shares_a))
    return merge_slots(torch.cat(labels, dim=1), torch.cat(votes, dim=1), most=most)


def _corners(flow_ba: Flow) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the place y · w + x and the weight of the four pixels of a around the source of each pixel of b.

    Where the source lies outside a, or is NaN, all weights are 0.
    """
    h, w = size_of(flow_ba)
    inside = lands_inside(flow_ba)
    x, y = (at.masked_fill(~inside, 0) for at in source_points(flow_ba))
    left, top = x.long(), y.long()
    right_weight, bottom_weight = x - left, y - top
    right, bottom = (left + 1).clamp(max=w - 1), (top + 1).clamp(max=h - 1)
    for row, row_weight in ((top, 1 - bottom_weight), (bottom, bottom_weight)):
        for column, column_weight in ((left, 1 - right_weight), (right, right_weight)):
            yield row * w + column, row_weight * column_weight * inside
