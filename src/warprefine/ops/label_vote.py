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
from warprefine.ops.compiled import compiled, has_loops
from warprefine.ops.warp import backward_warp, lands_inside, source_points

_MIXED = np.uint8(VOID - 1)
"""Stands for four pixels that do not hold one label; if they all hold this one, a vote finds that too."""
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
    if not has_loops(labels_a):
        return vote_labels_torch(labels_a, flow_ba, outside=outside)[0]
    labels, flow = _arrays(labels_a, flow_ba)
    count, h, w = labels.shape
    agreed = np.empty(count * h * w + 1, np.uint8)
    labels_b = np.empty((count, h, w), np.uint8)
    _find_agreed(labels, agreed)
    _look_up(labels, agreed, flow, outside == "replicate", labels_b)
    return torch.from_numpy(labels_b)


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
    if not has_loops(labels_a):
        return vote_labels_torch(labels_a, flow_ba, outside=outside)
    labels_b = np.empty(tuple(labels_a.shape), np.uint8)
    share = np.empty(tuple(labels_a.shape), np.float32)
    _vote(*_arrays(labels_a, flow_ba), outside == "replicate", labels_b, None, share)
    return torch.from_numpy(labels_b), torch.from_numpy(share)


def carry_labels(
    labels_a: LabelMaps, confidence_a: Confidence, flow_ba: Flow, *, outside: Outside = "void"
) -> tuple[LabelMaps, Confidence]:
    """Warp label maps together with their confidence; on the CPU, in one pass.

    Args:
        labels_a: Label maps; VOID counts like any class.
        confidence_a: Their confidence.
        outside: As for `vote_labels`.

    Returns:
        The label maps on b, and the confidence at their sources times the winning label's share of the votes:
        0 where the source lies outside a and `outside` is "void".

    Example:
        >>> labels_a = torch.tensor([[[0, 7, 7, 7]]], dtype=torch.uint8)
        >>> flow_ba = torch.zeros(1, 2, 1, 4)
        >>> flow_ba[:, 0] = -0.25
        >>> labels_b, confidence_b = carry_labels(labels_a, torch.full((1, 1, 4), 0.5), flow_ba)
        >>> labels_b.tolist(), confidence_b.tolist()
        ([[[255, 7, 7, 7]]], [[[0.0, 0.375, 0.5, 0.5]]])
    """
    if not has_loops(labels_a):
        labels, share = vote_labels_torch(labels_a, flow_ba, outside=outside)
        return labels, share * backward_warp(confidence_a[:, None], flow_ba)[:, 0]
    labels_b = np.empty(tuple(labels_a.shape), np.uint8)
    confidence_b = np.empty(tuple(labels_a.shape), np.float32)
    before = np.ascontiguousarray(confidence_a.numpy())
    _vote(*_arrays(labels_a, flow_ba), outside == "replicate", labels_b, before, confidence_b)
    return torch.from_numpy(labels_b), torch.from_numpy(confidence_b)


def _arrays(labels_a: LabelMaps, flow_ba: Flow) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return np.ascontiguousarray(labels_a.numpy()), np.ascontiguousarray(flow_ba.numpy())


def vote_labels_torch(
    labels_a: LabelMaps, flow_ba: Flow, *, outside: Outside = "void"
) -> tuple[LabelMaps, Confidence]:
    """Compute `vote_labels` with torch alone, on any device; `vote_labels` calls it beyond the CPU.

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


@numba.njit(inline="always")
@no_type_check
def _weights(right: np.float32, bottom: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Return the bilinear weights of four pixels, left to right and top to bottom."""
    left, top = np.float32(1) - right, np.float32(1) - bottom
    return top * left, top * right, bottom * left, bottom * right


@numba.njit(inline="always")
@no_type_check  # compiled code has no place for run-time checks of its arguments
def _winner(labels: tuple[np.uint8, ...], weights: tuple[np.float32, ...]) -> tuple[np.uint8, np.float32]:
    """Return the label with most votes, the smaller one on a tie, and its votes."""
    (a, b, c, d), (p, q, r, s), none = labels, weights, np.float32(0)
    of_a = p + (q if b == a else none) + (r if c == a else none) + (s if d == a else none)
    of_b = (p if a == b else none) + q + (r if c == b else none) + (s if d == b else none)
    of_c = (p if a == c else none) + (q if b == c else none) + r + (s if d == c else none)
    of_d = (p if a == d else none) + (q if b == d else none) + (r if c == d else none) + s
    most = max(of_a, of_b, of_c, of_d)
    # Without branches, which are hard to foresee at borders of labels.
    last = np.uint8(VOID)
    first_two = min(a if of_a == most else last, b if of_b == most else last)
    winner = min(first_two, c if of_c == most else last, d if of_d == most else last)
    return winner, most


@compiled()
@no_type_check
def _find_agreed(labels_a: NDArray[np.uint8], agreed: NDArray[np.uint8]) -> None:
    """Write, for each pixel, the label of it and those right and below if they agree, else `_MIXED`.

    The last entry, beyond all pixels, is VOID.
    """
    count, h, w = labels_a.shape
    for line in numba.prange(count * h):
        n, y = line // h, np.int64(line % h)
        row, below = labels_a[n, y], labels_a[n, min(y + 1, h - 1)]
        found = agreed[line * w : (line + 1) * w]
        for column in range(w - 1):
            a = row[column]
            same = (a == row[column + 1]) & (a == below[column]) & (a == below[column + 1])
            found[column] = a if same else _MIXED
        found[w - 1] = row[w - 1] if row[w - 1] == below[w - 1] else _MIXED
    agreed[count * h * w] = VOID


@compiled()
@no_type_check
def _look_up(
    labels_a: NDArray[np.uint8],
    agreed: NDArray[np.uint8],
    flow_ba: NDArray[np.float32],
    replicate: bool,  # noqa: FBT001
    labels_b: NDArray[np.uint8],
) -> None:
    """Write labels: found by one look where four pixels agree, which most do; else by a vote.

    Each line is gone through in loops without branches, of which the first is compiled to wide instructions.
    """
    count, h, w = labels_a.shape
    last_x, last_y, none = np.float32(w - 1), np.float32(h - 1), np.int32(count * h * w)
    for line in numba.prange(count * h):
        n, row = line // h, np.float32(line % h)
        flow_x, flow_y, found = flow_ba[n, 0, line % h], flow_ba[n, 1, line % h], labels_b[n, line % h]
        first = np.int32(n * h * w)
        places, mixed = np.empty(w, np.uint32), np.empty(w + 1, np.uint32)
        for column in range(w):
            x, y = np.float32(column) + flow_x[column], row + flow_y[column]
            if replicate:  # NaN stays what it is, and then counts as outside
                x = np.float32(0) if x < 0 else min(x, last_x)
                y = np.float32(0) if y < 0 else min(y, last_y)
            inside = (x >= 0) & (x <= last_x) & (y >= 0) & (y <= last_y)
            place = first + np.int32(y) * np.int32(w) + np.int32(x)
            places[column] = place if inside else none
        count_mixed = 0
        for column in range(w):
            label = agreed[places[column]]
            found[column] = label
            mixed[count_mixed] = column
            count_mixed += label == _MIXED
        for position in range(count_mixed):
            column = mixed[position]
            x, y = np.float32(column) + flow_x[column], row + flow_y[column]
            x, y = min(max(x, np.float32(0)), last_x), min(max(y, np.float32(0)), last_y)
            left, top = np.uint32(x), np.uint32(y)
            right, bottom = left + np.uint32(x < last_x), top + np.uint32(y < last_y)
            a, b = labels_a[n, top, left], labels_a[n, top, right]
            c, d = labels_a[n, bottom, left], labels_a[n, bottom, right]
            found[column], _ = _winner((a, b, c, d), _weights(x - np.float32(left), y - np.float32(top)))


@compiled()
@no_type_check
def _vote(  # noqa: PLR0917  # compiled code specialises on an argument that is None, not on one in a tuple
    labels_a: NDArray[np.uint8],
    flow_ba: NDArray[np.float32],
    replicate: bool,  # noqa: FBT001
    labels_b: NDArray[np.uint8],
    confidence_a: NDArray[np.float32] | None,
    confidence_b: NDArray[np.float32],
) -> None:
    """Write labels, and the winner's share times the warped confidence, which is compiled away if None."""
    count, h, w = labels_a.shape
    last_x, last_y = np.float32(w - 1), np.float32(h - 1)
    for line in numba.prange(count * h):
        n, row = line // h, line % h
        for column in range(w):
            x = np.float32(column) + flow_ba[n, 0, row, column]
            y = np.float32(row) + flow_ba[n, 1, row, column]
            # NaN compares false, so such a pixel counts as outside; "replicate" must test for it.
            if not (x >= 0 and x <= last_x and y >= 0 and y <= last_y):
                if not replicate or np.isnan(x) or np.isnan(y):
                    labels_b[n, row, column] = VOID
                    confidence_b[n, row, column] = np.float32(0)
                    continue
                x = min(max(x, np.float32(0)), last_x)
                y = min(max(y, np.float32(0)), last_y)
            # Unsigned, for which no code is compiled that counts negative indices from the end.
            left, top = np.uint32(x), np.uint32(y)
            right, bottom = left + np.uint32(x < last_x), top + np.uint32(y < last_y)
            a, b = labels_a[n, top, left], labels_a[n, top, right]
            c, d = labels_a[n, bottom, left], labels_a[n, bottom, right]
            agree = (a == b) & (a == c) & (a == d)  # most pixels
            p, q, r, s = _weights(x - np.float32(left), y - np.float32(top))
            if agree:
                winner, most = a, p + q + r + s
            else:
                winner, most = _winner((a, b, c, d), (p, q, r, s))
            labels_b[n, row, column] = winner
            share = min(most, np.float32(1))  # rounding can lift the sum above 1
            if confidence_a is not None:
                share *= (
                    p * confidence_a[n, top, left]
                    + q * confidence_a[n, top, right]
                    + r * confidence_a[n, bottom, left]
                    + s * confidence_a[n, bottom, right]
                )
            confidence_b[n, row, column] = share
