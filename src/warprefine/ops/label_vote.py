"""Warp label maps by a bilinear vote on the index map itself, without one-hot planes.

The four pixels of a around the source of a pixel of b vote for their labels: a label's votes are the
bilinear weights of the pixels that hold it, and the label with most votes wins (the smaller one on a tie).
The result equals one-hot + `grid_sample` + `argmax` at a fraction of the time and memory.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, no_type_check

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from warprefine.core.tensors import VOID, Confidence, Flow, LabelMaps, size_of
from warprefine.ops.compiled import compiled
from warprefine.ops.warp import lands_inside, source_points

Outside: TypeAlias = Literal["void", "replicate"]
"""Labels of pixels whose source lies outside a: VOID, or those of the nearest border pixels."""


def warp_labels(labels_a: LabelMaps, flow_ba: Flow, *, outside: Outside = "void") -> LabelMaps:
    """Warp label maps from a to b by bilinear vote; see `vote_labels`.

    Example:
        >>> labels_a = torch.tensor([[[0, 7, 0, 0]]], dtype=torch.uint8)
        >>> flow_ba = torch.zeros(1, 2, 1, 4)
        >>> flow_ba[:, 0] = -1  # the scene moves right by a pixel from a to b
        >>> warp_labels(labels_a, flow_ba).tolist()
        [[[255, 0, 7, 0]]]
    """
    return vote_labels(labels_a, flow_ba, outside=outside)[0]


def vote_labels(
    labels_a: LabelMaps, flow_ba: Flow, *, outside: Outside = "void"
) -> tuple[LabelMaps, Confidence]:
    """Warp label maps from a to b by bilinear vote; return them with the winning label's share.

    Args:
        labels_a: Label maps; VOID counts like any class.
        outside: The result where the source lies outside a: "void" gives VOID with share 0,
            "replicate" uses the nearest border pixels. Where the flow is NaN, the result is VOID with
            share 0 either way.

    Returns:
        The label maps on b, and the winning label's votes, from 0.25 (four labels, equal weights) to 1.

    Example:
        >>> labels_a = torch.tensor([[[0, 7, 7, 7]]], dtype=torch.uint8)
        >>> flow_ba = torch.zeros(1, 2, 1, 4)
        >>> flow_ba[:, 0] = -0.25
        >>> labels_b, share = vote_labels(labels_a, flow_ba)
        >>> labels_b.tolist(), share.tolist()
        ([[[255, 7, 7, 7]]], [[[0.0, 0.75, 1.0, 1.0]]])
    """
    if labels_a.device.type != "cpu":
        return vote_labels_torch(labels_a, flow_ba, outside=outside)
    labels_b = np.empty(tuple(labels_a.shape), np.uint8)
    share = np.empty(tuple(labels_a.shape), np.float32)
    _vote(
        np.ascontiguousarray(labels_a.numpy()),
        np.ascontiguousarray(flow_ba.numpy()),
        outside == "replicate",
        labels_b,
        share,
    )
    return torch.from_numpy(labels_b), torch.from_numpy(share)


def vote_labels_torch(
    labels_a: LabelMaps, flow_ba: Flow, *, outside: Outside = "void"
) -> tuple[LabelMaps, Confidence]:
    """Compute `vote_labels` with torch alone, on any device; `vote_labels` calls it for CUDA.

    Example:
        >>> labels_a = torch.tensor([[[0, 7, 7, 7]]], dtype=torch.uint8)
        >>> labels_b, share = vote_labels_torch(labels_a, torch.zeros(1, 2, 1, 4))
        >>> labels_b.tolist(), share.tolist()
        ([[[0, 7, 7, 7]]], [[[1.0, 1.0, 1.0, 1.0]]])
    """
    h, w = size_of(labels_a)
    x, y = source_points(flow_ba)
    defined = lands_inside(flow_ba) if outside == "void" else ~(x.isnan() | y.isnan())
    x, y = x.nan_to_num().clamp(0, w - 1), y.nan_to_num().clamp(0, h - 1)
    left, top = x.floor(), y.floor()
    right_weight, bottom_weight = x - left, y - top
    columns = (left.long(), (left.long() + 1).clamp(max=w - 1))
    rows = (top.long(), (top.long() + 1).clamp(max=h - 1))
    column_weights = (1 - right_weight, right_weight)
    row_weights = (1 - bottom_weight, bottom_weight)
    flat = labels_a.flatten(1)
    taps, weights = [], []
    for i in (0, 1):
        for j in (0, 1):
            taps.append(flat.gather(1, (rows[i] * w + columns[j]).flatten(1)).view_as(labels_a))
            weights.append(row_weights[i] * column_weights[j])
    votes = [_votes_for(tap, taps, weights) for tap in taps]
    share = torch.stack(votes).amax(dim=0)
    labels_b = torch.full_like(labels_a, VOID)
    for tap, votes_for_tap in zip(taps, votes, strict=True):
        labels_b = torch.where(votes_for_tap == share, torch.minimum(labels_b, tap), labels_b)
    # Rounding can lift the sum of all four weights above 1.
    return labels_b.masked_fill(~defined, VOID), share.clamp(max=1).masked_fill(~defined, 0)


def _votes_for(label: Tensor, taps: list[Tensor], weights: list[Tensor]) -> Tensor:
    votes = torch.zeros_like(weights[0])
    for tap, weight in zip(taps, weights, strict=True):
        votes = votes + weight * (tap == label)
    return votes


@compiled()
@no_type_check  # compiled code has no place for run-time checks of its arguments
def _vote(
    labels_a: NDArray[np.uint8],
    flow_ba: NDArray[np.float32],
    replicate: bool,  # noqa: FBT001
    labels_b: NDArray[np.uint8],
    share: NDArray[np.float32],
) -> None:
    count, h, w = labels_a.shape
    for line in numba.prange(count * h):
        n, row = line // h, line % h
        for column in range(w):
            x = np.float32(column) + flow_ba[n, 0, row, column]
            y = np.float32(row) + flow_ba[n, 1, row, column]
            # NaN compares false, so such a pixel counts as outside; "replicate" must test for it.
            inside = x >= 0 and x <= w - 1 and y >= 0 and y <= h - 1
            if not inside and (not replicate or np.isnan(x) or np.isnan(y)):
                labels_b[n, row, column] = VOID
                share[n, row, column] = np.float32(0)
                continue
            x = min(max(x, np.float32(0)), np.float32(w - 1))
            y = min(max(y, np.float32(0)), np.float32(h - 1))
            left, top = int(x), int(y)
            right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
            right_weight, bottom_weight = x - np.float32(left), y - np.float32(top)
            left_weight, top_weight = np.float32(1) - right_weight, np.float32(1) - bottom_weight
            labels = (
                labels_a[n, top, left],
                labels_a[n, top, right],
                labels_a[n, bottom, left],
                labels_a[n, bottom, right],
            )
            weights = (
                top_weight * left_weight,
                top_weight * right_weight,
                bottom_weight * left_weight,
                bottom_weight * right_weight,
            )
            if labels[0] == labels[1] == labels[2] == labels[3]:  # most pixels
                labels_b[n, row, column] = labels[0]
                share[n, row, column] = min(weights[0] + weights[1] + weights[2] + weights[3], np.float32(1))
                continue
            winner, most = labels[0], np.float32(-1)
            for i in range(4):
                votes = np.float32(0)
                for j in range(4):
                    if labels[j] == labels[i]:
                        votes += weights[j]
                if votes > most or (votes == most and labels[i] < winner):
                    winner, most = labels[i], votes
            labels_b[n, row, column] = winner
            share[n, row, column] = min(most, np.float32(1))  # rounding can lift the sum above 1
