"""Trace a region with holes as one polygon: a cut without width leads to each hole and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

_Ring = list[tuple[int, int]]
_OUTSIDE = 0


def keyhole_polygon(
    inside: Bool[np.ndarray, "h w"], open_pixels: Bool[np.ndarray, "h w"]
) -> Int[np.ndarray, "n 2"]:
    """Return the corners of a region, of which holes that have any of some pixels stay open.

    Other holes are filled. Corners are pixels of the rim, for rasterizers that include it.

    Args:
        inside: The region, connected by edges of its pixels, in its box.
        open_pixels: Pixels whose holes stay open.

    Example:
        >>> inside = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
        >>> keyhole_polygon(inside, ~inside).tolist()
        [[0, 0], [0, 1], [1, 0], [2, 1], [1, 2], [0, 1], [0, 2], [2, 2], [2, 0]]
    """
    padded = np.pad(inside, 1)
    _, holes = cv2.connectedComponents((~padded).astype(np.uint8), connectivity=4)
    holes = np.where(padded, -1, holes - holes[0, 0])  # the outside is 0, holes have other numbers
    wanted = {*np.unique(holes[1:-1, 1:-1][open_pixels & ~inside]).tolist()} - {_OUTSIDE}
    cuts = _cuts(holes, wanted)
    rings = _rings(padded, holes, {hole for found in cuts.values() for _, _, hole in found})
    corners = np.array(_walk(rings, cuts), np.int32) - 1
    return _without_straight(corners)


_Cut = tuple[tuple[int, int], tuple[int, int], int]
"""Where a cut leaves a ring, where it reaches a hole, and that hole; points are (x, y)."""
_Cuts = dict[int, list[_Cut]]
"""The cuts that leave each ring."""


def _cuts(holes: NDArray[np.int32], wanted: set[int]) -> _Cuts:
    """Return the cuts to holes, each to the left from a leftmost pixel, and to holes that these meet."""
    cuts: _Cuts = defaultdict(list)
    found, firsts = np.unique(holes.T, return_index=True)
    leftmost = dict(zip(found.tolist(), firsts.tolist(), strict=True))  # in columns, from the left
    waiting, done = sorted(wanted), set()
    while waiting:
        hole = waiting.pop()
        if hole in done:
            continue
        done.add(hole)
        x, y = divmod(leftmost[hole], len(holes))
        left = x - 1
        while holes[y, left - 1] == -1:
            left -= 1
        reached = int(holes[y, left - 1])
        cuts[reached].append(((left, y), (x - 1, y), hole))
        if reached != _OUTSIDE:
            waiting.append(reached)  # it begins farther left, so that cuts end at the outside
    return cuts


def _rings(padded: NDArray[np.bool_], holes: NDArray[np.int32], wanted: set[int]) -> dict[int, _Ring]:
    """Return the pixels along the outer rim, and along holes."""
    contours, tree = cv2.findContours(padded.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings: dict[int, _Ring] = {}
    for contour, (*_, parent) in zip(contours, tree[0], strict=True):
        if parent < 0:
            rings[_OUTSIDE] = [(x, y) for x, y in contour.reshape(-1, 2).tolist()]
            continue
        if not wanted:
            continue
        x, y, w, h = cv2.boundingRect(contour)
        filled = np.zeros((h, w), np.uint8)
        cv2.fillPoly(filled, [contour - [x, y]], 1)
        place = slice(y, y + h), slice(x, x + w)
        hole = int(holes[place][filled.astype(bool) & ~padded[place]][0])
        if hole in wanted:
            rings[hole] = [(x, y) for x, y in contour.reshape(-1, 2).tolist()]
    return rings


def _walk(rings: dict[int, _Ring], cuts: _Cuts) -> _Ring:
    """Return the points of the outer rim, with the rings that cuts lead to from it, and from those."""
    walked: _Ring = []
    waiting = [_Walk(rings[_OUTSIDE], cuts.get(_OUTSIDE, ()))]
    while waiting:
        walk = waiting[-1]
        point = next(walk.points, None)
        if point is None:
            walked += waiting.pop().way_back
            continue
        walked.append(point)
        for end, hole in reversed(walk.leaving.pop(point, [])):
            ring = rings[hole]
            start = ring.index(end)
            waiting.append(_Walk([*ring[start:], *ring[:start]], cuts.get(hole, ()), (end, point)))
    return walked


class _Walk:
    """A walk along a ring: the points ahead, the cuts that leave it, and the way back to where it began."""

    def __init__(self, ring: _Ring, cuts: Sequence[_Cut], way_back: Sequence[tuple[int, int]] = ()) -> None:
        self.points = iter(ring)
        self.leaving: dict[tuple[int, int], list[tuple[tuple[int, int], int]]] = defaultdict(list)
        for place, end, hole in cuts:
            self.leaving[place].append((end, hole))
        self.way_back = way_back


def _without_straight(corners: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return corners without repeated points and without those in the middle of straight lines."""
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1) | (len(corners) == 1)]
    if len(corners) < 3:
        return corners[[0, -1, 0]]
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    back = (before * after).sum(axis=1) < 0
    kept: NDArray[np.int32] = corners[turns | back]
    return kept if len(kept) >= 3 else kept[[0, -1, 0]]
