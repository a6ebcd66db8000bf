"""Compiled loops over the pixels of soft labels: votes of labels are added up and ranked.

Labels are (b, k, h, w) and shares alike, see `ops.soft_labels`; results are written into the last arguments.
"""

from __future__ import annotations

from typing import no_type_check

import numba
import numpy as np
from numpy.typing import NDArray

from warprefine.ops.compiled import compiled


@compiled()
@no_type_check  # compiled code has no place for run-time checks of its arguments
def warp_loop(
    labels_a: NDArray[np.uint8],
    shares_a: NDArray[np.float32],
    flow_ba: NDArray[np.float32],
    labels_b: NDArray[np.uint8],
    shares_b: NDArray[np.float32],
) -> None:
    """Warp labels and shares (b, k, h * w) along a flow; see `soft_labels.warp_soft`."""
    b, _, h, w = flow_ba.shape
    for line in numba.prange(b * h):
        n, row = line // h, line % h
        votes, voted = np.zeros(256, np.float32), np.empty(257, np.uint8)
        ranks = np.empty(labels_b.shape[1], np.uint64)
        for column in range(w):
            x = np.float32(column) + flow_ba[n, 0, row, column]
            y = np.float32(row) + flow_ba[n, 1, row, column]
            count = vote_at((x, y), (h, w), (labels_a[n], shares_a[n]), votes, voted)
            rank(votes, voted, count, ranks)
            write(ranks, labels_b, shares_b, (n, row, column))


@compiled()
@no_type_check
def mix_loop(
    labels: NDArray[np.uint8],
    shares: NDArray[np.float32],
    kept_labels: NDArray[np.uint8],
    kept_shares: NDArray[np.float32],
) -> None:
    """Add up the shares of equal labels; see `soft_labels.mix_soft`."""
    b, k, h, w = labels.shape
    for line in numba.prange(b * h):
        n, row = line // h, line % h
        votes, voted = np.zeros(256, np.float32), np.empty(257, np.uint8)
        ranks = np.empty(kept_labels.shape[1], np.uint64)
        for column in range(w):
            count = 0
            for slot in range(k):
                count = add(shares[n, slot, row, column], labels[n, slot, row, column], votes, voted, count)
            rank(votes, voted, count, ranks)
            write(ranks, kept_labels, kept_shares, (n, row, column))


@compiled()
@no_type_check
def mix_warped_loop(
    soft_b: tuple[NDArray[np.uint8], NDArray[np.float32]],
    others: tuple[NDArray[np.uint8], NDArray[np.float32]],
    flows: NDArray[np.float32],
    weights: NDArray[np.float32],
    kept: tuple[NDArray[np.uint8], NDArray[np.float32]],
) -> None:
    """Warp the labels of n frames, and add them to those of b; see `soft_labels.mix_warped`.

    Labels and shares of the others are (n, b, k, h * w), flows (n, b, 2, h, w), weights (n, b, h, w).
    """
    (labels_b, shares_b), (labels_a, shares_a), (kept_labels, kept_shares) = soft_b, others, kept
    b, k, h, w = labels_b.shape
    for line in numba.prange(b * h):
        n, row = line // h, line % h
        votes, voted = np.zeros(256, np.float32), np.empty(257, np.uint8)
        warped, found = np.zeros(256, np.float32), np.empty(257, np.uint8)
        ranks = np.empty(kept_labels.shape[1], np.uint64)
        for column in range(w):
            count = 0
            for slot in range(k):
                count = add(
                    shares_b[n, slot, row, column], labels_b[n, slot, row, column], votes, voted, count
                )
            for other in range(len(weights)):
                weight = weights[other, n, row, column]
                if weight > 0:
                    x = np.float32(column) + flows[other, n, 0, row, column]
                    y = np.float32(row) + flows[other, n, 1, row, column]
                    new = vote_at((x, y), (h, w), (labels_a[other, n], shares_a[other, n]), warped, found)
                    rank(warped, found, new, ranks)
                    for slot in range(min(new, len(ranks))):
                        share = np.uint32(ranks[slot] >> np.uint64(8)).view(np.float32)
                        label = np.uint8(np.uint64(255) - (ranks[slot] & np.uint64(255)))
                        # Rounding can lift the sum of all four weights above 1.
                        vote = min(share, np.float32(1)) * weight
                        count = add(vote, label, votes, voted, count)
            rank(votes, voted, count, ranks)
            write(ranks, kept_labels, kept_shares, (n, row, column))


@numba.njit(inline="always")
@no_type_check
def vote_at(
    point: tuple[np.float32, np.float32],
    size: tuple[int, int],
    soft_a: tuple[NDArray[np.uint8], NDArray[np.float32]],
    votes: NDArray[np.float32],
    voted: NDArray[np.uint8],
) -> int:
    """Add the votes of the four pixels around a point of a, none outside a; return how many labels vote."""
    (x, y), (h, w), (labels_a, shares_a) = point, size, soft_a
    count = 0
    if x >= 0 and x <= w - 1 and y >= 0 and y <= h - 1:  # NaN compares false
        left, top = int(x), int(y)
        right, bottom = min(left + 1, w - 1), min(top + 1, h - 1)
        right_weight, bottom_weight = x - np.float32(left), y - np.float32(top)
        left_weight, top_weight = np.float32(1) - right_weight, np.float32(1) - bottom_weight
        for row_a, row_weight in ((top, top_weight), (bottom, bottom_weight)):
            for column_a, column_weight in ((left, left_weight), (right, right_weight)):
                weight, place = row_weight * column_weight, row_a * w + column_a
                for slot in range(len(labels_a)):
                    vote = weight * shares_a[slot, place]
                    count = add(vote, labels_a[slot, place], votes, voted, count)
    return count


@numba.njit(inline="always")  # called for each pixel, where passing arrays would cost more than the work
@no_type_check
def add(
    vote: np.float32, label: np.uint8, votes: NDArray[np.float32], voted: NDArray[np.uint8], count: int
) -> int:
    """Add a vote to its label's and return how many labels have votes; `voted` lists them."""
    if vote > 0:
        voted[count] = label  # counted only if it is new, hence one place more than there are labels
        count += votes[label] == 0
        votes[label] += vote
    return count


@numba.njit(inline="always")
@no_type_check
def rank(votes: NDArray[np.float32], voted: NDArray[np.uint8], count: int, ranks: NDArray[np.uint64]) -> None:
    """Write the labels with most votes into `ranks`, in descending order, and reset all votes to 0.

    The bits of numbers above 0 order as the numbers do, so a rank of the votes' bits and then 255 -
    label decides both by votes and, on a tie, for the smaller label. Rank 0 is VOID without votes.
    """
    ranks[:] = 0
    for i in range(count):
        label = voted[i]
        rank = (np.uint64(np.float32(votes[label]).view(np.uint32)) << np.uint64(8)) | np.uint64(255 - label)
        votes[label] = 0
        for slot in range(len(ranks)):
            higher = max(ranks[slot], rank)
            rank = min(ranks[slot], rank)
            ranks[slot] = higher


@numba.njit(inline="always")
@no_type_check
def write(
    ranks: NDArray[np.uint64],
    labels: NDArray[np.uint8],
    shares: NDArray[np.float32],
    pixel: tuple[int, int, int],
) -> None:
    """Write `ranks` into the slots of the pixel at (n, row, column)."""
    n, row, column = pixel
    for slot in range(len(ranks)):
        labels[n, slot, row, column] = np.uint64(255) - (ranks[slot] & np.uint64(255))
        shares[n, slot, row, column] = np.uint32(ranks[slot] >> np.uint64(8)).view(np.float32)
