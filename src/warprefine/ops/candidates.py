"""Find the few labels that can be right at a pixel: those that either side or the segmenter votes for.

Four candidates hold the right label of 99.6 % of the pixels of a real street. A network that scores them
alone costs the same for 10 classes and for 150. Compiled loops find them on the CPU, `ops.candidate_slots`
with torch elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from numpy.typing import NDArray
from torch import Tensor

from warprefine.core.tensors import Confidence, size_of
from warprefine.ops.candidate_slots import find_slots, rank_slots, sum_codes, vote_for_slots
from warprefine.ops.compiled import compiled, has_loops
from warprefine.ops.resize import stride_of
from warprefine.ops.soft_labels import SoftLabels

_LIKELIEST = 3
"""Classes of the segmenter's, in the cell of a pixel, that are candidates."""
_MOST_FOUND = 16
"""Labels that can be found for a pixel: four of either side, and the segmenter's; more than that is room."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Voters:
    """Who votes for the labels of frames b of h x w pixels.

    Attributes:
        soft: Soft labels of the nearer and of the farther side.
        weights: The weights of their votes.
        trust: The trust in them.
        logits: The segmenter's, without VOID, at any stride.
    """

    soft: tuple[SoftLabels, SoftLabels]
    weights: tuple[Confidence, Confidence]
    trust: tuple[Confidence, Confidence]
    logits: Float[Tensor, "b c _ _"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """The k labels of each pixel with most votes, in descending order.

    Attributes:
        labels: Classes; C stands for VOID. Empty slots hold 255, and no shares.
        shares: What the nearer side, the farther side and the segmenter give to each, 0 to 1.
        codes: The codes of all labels of a pixel, weighted by the shares of either side times its trust, by
            those of the segmenter, and by the votes: (b, 4 e + room, h, w), channels last.
    """

    labels: UInt8[Tensor, "b k h w"]
    shares: Float32[Tensor, "b 3 k h w"]
    codes: Float32[Tensor, "b planes h w"]

    @property
    def is_empty(self) -> Bool[Tensor, "b k h w"]:
        """Which slots hold no label."""
        return self.shares.sum(dim=1) == 0


def find_candidates(
    voters: Voters,
    codes: Float32[Tensor, "classes e"],
    *,
    most: int,
    semantic_weight: float,
    void_weight: float,
    room: int = 0,
) -> Candidates:
    """Return the labels that either side or the segmenter votes for.

    The segmenter's logits are interpolated between its cells for the candidates alone, among which its
    probabilities sum to 1.

    Args:
        codes: A code for each class, VOID last.
        most: Slots per pixel.
        semantic_weight: Weight of the segmenter's votes; those of the sides have theirs.
        void_weight: Weight of votes for VOID.
        room: Further channels after the codes, left for the caller to fill; joining them later takes longer
            than all the rest.

    Example:
        >>> road, car = (SoftLabels.of_labels(torch.full((1, 1, 1), k, dtype=torch.uint8)) for k in (0, 1))
        >>> half = torch.full((1, 1, 1), 0.5)
        >>> voters = Voters(soft=(road, car), weights=(half, half / 2), trust=(half, half),
        ...                 logits=torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1))
        >>> found = find_candidates(voters, torch.eye(4), most=3, semantic_weight=0.1, void_weight=1.0)
        >>> found.labels.flatten().tolist()
        [0, 1, 2]
    """
    near, far = voters.soft
    b, depth, h, w = near.labels.shape
    assert depth + far.labels.shape[1] + _LIKELIEST <= _MOST_FOUND, "soft labels have up to four slots"
    logits = voters.logits.float()
    likeliest = logits.topk(min(_LIKELIEST, logits.shape[1]), dim=1).indices
    constant = (semantic_weight, void_weight)
    if not has_loops(logits):
        return _find_with_torch(voters, codes, (logits, likeliest), constant, most=most, room=room)
    labels = np.empty((b, most, h, w), np.uint8)
    shares = np.empty((b, 3, most, h, w), np.float32)
    summed = np.empty((b, h, w, 4 * codes.shape[1] + room), np.float32)
    _find(
        (_array(near.labels), _array(near.shares), _array(voters.weights[0]), _array(voters.trust[0])),
        (_array(far.labels), _array(far.shares), _array(voters.weights[1]), _array(voters.trust[1])),
        (_array(logits), _array(likeliest)),
        (np.float32(stride_of(logits, (h, w))), *map(np.float32, constant)),
        _array(codes),
        (labels, shares, summed),
    )
    return Candidates(
        labels=torch.from_numpy(labels),
        shares=torch.from_numpy(shares),
        codes=torch.from_numpy(summed).permute(0, 3, 1, 2),
    )


def _find_with_torch(
    voters: Voters,
    codes: Float32[Tensor, "classes e"],
    segmentation: tuple[Tensor, Tensor],
    constant: tuple[float, float],
    *,
    most: int,
    room: int,
) -> Candidates:
    logits, likeliest = (values.detach() for values in segmentation)
    near, far = voters.soft
    sides = ((near.labels, near.shares), (far.labels, far.shares))
    slots = find_slots(sides, logits, likeliest, stride=stride_of(logits, size_of(near.labels)))
    votes = vote_for_slots(slots, voters.weights, constant=constant, void=logits.shape[1])
    labels, shares = rank_slots(slots, votes, most=most)
    summed = sum_codes(slots, votes, codes.detach(), voters.trust, room=room)
    return Candidates(labels=labels, shares=shares, codes=summed)


def _array(values: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = values.detach().contiguous().numpy()
    return array


@compiled()
@no_type_check  # compiled code has no place for run-time checks of its arguments
def _find(near, far, segmentation, numbers, codes, written) -> None:  # noqa: PLR0917  (compiled: no keywords)
    """Find the candidates of all pixels.

    Args:
        near: Labels, shares, weights and trust of the nearer side.
        far: The same of the farther side.
        segmentation: Logits and the likeliest classes, per cell.
        numbers: The stride of cells, the weight of the segmenter, the weight of VOID.
        codes: A code per label.
        written: Labels, shares and summed codes of the candidates.
    """
    labels, shares, summed = written
    b, most, h, w = labels.shape
    void = segmentation[0].shape[1]
    for line in numba.prange(b * h):
        n, row = line // h, line % h
        found = np.empty(_MOST_FOUND, np.int64)
        parts = np.empty((4, _MOST_FOUND), np.float32)  # of the sides, the segmenter, and the vote
        for column in range(w):
            pixel = (n, row, column)
            count = _collect(near[0], near[1], pixel, 0, void, found, parts, 0)
            count = _collect(far[0], far[1], pixel, 1, void, found, parts, count)
            count = _segment(segmentation, numbers[0], pixel, found, parts, count)
            weights = (near[2][pixel], far[2][pixel], numbers[1], numbers[2])
            _vote(found, parts, count, void, weights)
            _sum_codes(found, parts, count, codes, (near[3][pixel], far[3][pixel]), summed[pixel])
            for slot in range(most):
                best = 0
                for i in range(1, count):
                    if parts[3, i] > parts[3, best]:
                        best = i
                is_found = slot < count
                labels[n, slot, row, column] = found[best] if is_found else 255
                for voter in range(3):
                    shares[n, voter, slot, row, column] = parts[voter, best] if is_found else 0
                parts[3, best] = -1


@numba.njit(inline="always")
@no_type_check
def _collect(labels, shares, pixel, side, void, found, parts, count) -> int:  # noqa: PLR0917
    """Add the labels of a side to those that were found; return how many there are then."""
    n, row, column = pixel
    for slot in range(labels.shape[1]):
        share = shares[n, slot, row, column]
        if share > 0:
            label = np.int64(labels[n, slot, row, column])
            place = _place(void if label == 255 else label, found, parts, count)
            count = max(count, place + 1)
            parts[side, place] += share
    return count


@numba.njit(inline="always")
@no_type_check
def _segment(segmentation, stride, pixel, found, parts, count) -> int:  # noqa: PLR0917
    """Add the likeliest classes of the pixel's cell, and compute what the segmenter gives to each label."""
    logits, likeliest = segmentation
    n, row, column = pixel
    rows, columns = logits.shape[2], logits.shape[3]
    cell_row, cell_column = min(int(row / stride), rows - 1), min(int(column / stride), columns - 1)
    for rank in range(likeliest.shape[1]):
        place = _place(likeliest[n, rank, cell_row, cell_column], found, parts, count)
        count = max(count, place + 1)
    top, lower = _cell_before(row, stride, rows)
    left, farther = _cell_before(column, stride, columns)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    upper, nearer = np.float32(1) - lower, np.float32(1) - farther
    highest = np.float32(-np.inf)
    for i in range(count):
        label = found[i]
        if label < logits.shape[1]:
            above = nearer * logits[n, label, top, left] + farther * logits[n, label, top, right]
            below = nearer * logits[n, label, bottom, left] + farther * logits[n, label, bottom, right]
            parts[2, i] = upper * above + lower * below
            highest = max(highest, parts[2, i])
    total = np.float32(0)
    for i in range(count):
        parts[2, i] = np.exp(parts[2, i] - highest) if found[i] < logits.shape[1] else np.float32(0)
        total += parts[2, i]
    for i in range(count):
        parts[2, i] /= total
    return count


@numba.njit(inline="always")
@no_type_check
def _vote(found, parts, count, void, weights) -> None:
    """Compute the share of all votes that each label has."""
    total = np.float32(1e-6)
    for i in range(count):
        vote = weights[0] * parts[0, i] + weights[1] * parts[1, i] + weights[2] * parts[2, i]
        parts[3, i] = vote * (weights[3] if found[i] == void else np.float32(1))
        total += parts[3, i]
    for i in range(count):
        parts[3, i] /= total


@numba.njit(inline="always")
@no_type_check
def _sum_codes(found, parts, count, codes, trust, summed) -> None:  # noqa: PLR0917
    """Sum up the codes of labels, weighted by what each voter gives to them."""
    length = codes.shape[1]
    summed[: 4 * length] = 0
    for i in range(count):
        for e in range(length):
            code = codes[found[i], e]
            if code != 0:
                summed[e] += trust[0] * parts[0, i] * code
                summed[length + e] += trust[1] * parts[1, i] * code
                summed[2 * length + e] += parts[2, i] * code
                summed[3 * length + e] += parts[3, i] * code


@numba.njit(inline="always")
@no_type_check
def _place(label, found, parts, count) -> int:
    """Return the place of a label among those that were found, to which it is added if it is new."""
    for i in range(count):
        if found[i] == label:
            return i
    found[count] = label
    parts[:, count] = 0
    return count


@numba.njit(inline="always")
@no_type_check
def _cell_before(position, stride, cells) -> tuple[int, np.float32]:
    """Return the first of the two cells that a pixel lies between, and how far it lies towards the second."""
    at = max((np.float32(position) + np.float32(0.5)) / stride - np.float32(0.5), np.float32(0))
    first = min(int(at), cells - 1)
    return first, np.float32(at - np.float32(first))
