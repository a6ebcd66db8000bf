"""Outline the regions of a label map by polygons that give it back exactly, for formats without holes."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Int32

from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions
from warprefine.interchange.shapes import MaskArray

Outline = Int32[np.ndarray, "n 2"]


def outlines(labels: Positions) -> Iterator[tuple[int, Outline]]:
    """Yield polygons, and their classes, which give a label map when they are painted one over the other.

    Corners are pixels of the rim, (x, y), as `cv2.findContours` and `cv2.fillPoly` have them; there are
    always three or more. A region that goes around others comes before them; one that goes around void is cut
    into parts that do not. Regions hang together by edges, not by corners: so of two of them one is inside a
    hole of the other, or they are apart.

    Example:
        >>> for position, points in outlines(np.array([[0, 0, 255], [0, 1, 255]], np.uint8)):
        ...     print(position, points.tolist())
        0 [[0, 0], [0, 1], [1, 0]]
        1 [[1, 1], [1, 1], [1, 1]]
    """
    found: list[tuple[int, int, Outline]] = []
    void = labels == VOID
    for position in np.unique(labels[~void]).tolist():
        for left, top, part in _components(labels == position):
            h, w = part.shape
            around = void[top : top + h, left : left + w]
            for x, y, piece in _without_void(part, around):
                points = _outline(piece) + np.array([left + x, top + y], np.int32)
                found.append((int(_filled(piece).sum()), position, points))
    found.sort(key=lambda one: -one[0])
    for _, position, points in found:
        yield position, points


def _components(mask: MaskArray) -> Iterator[tuple[int, int, MaskArray]]:
    """Yield the left, the top and the pixels of each region whose pixels share edges."""
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for number in range(1, count):
        left, top, width, height = boxes[number, :4].tolist()
        yield left, top, numbers[top : top + height, left : left + width] == number


def _without_void(mask: MaskArray, void: MaskArray) -> Iterator[tuple[int, int, MaskArray]]:
    """Yield a region, or parts of it that do not go around void, cut beside the void inside."""
    waiting = [(0, 0, mask)]
    while waiting:
        x, y, piece = waiting.pop()
        h, w = piece.shape
        inside = np.argwhere(_filled(piece) & void[y : y + h, x : x + w])
        if not len(inside):
            yield x, y, piece
            continue
        row = int(inside[len(inside) // 2, 0])
        for begin, half in ((0, piece[: row + 1]), (row + 1, piece[row + 1 :])):
            waiting += [(x + left, y + begin + top, part) for left, top, part in _components(half)]


def _filled(piece: MaskArray) -> MaskArray:
    """Return what the outline of a region encloses."""
    filled = np.zeros(piece.shape, np.uint8)
    cv2.fillPoly(filled, [_outline(piece)], 1)
    return filled.astype(bool)


def _outline(piece: MaskArray) -> Outline:
    contours, _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = np.asarray(contours[0], np.int32).reshape(-1, 2)
    return np.concatenate([points, *[points[:1]] * max(3 - len(points), 0)])
