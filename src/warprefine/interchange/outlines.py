"""Trace label maps as polygons without holes: painted one on the other, they give the label map again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions
from warprefine.interchange.keyholes import keyhole_polygon


class Outline(NamedTuple):
    """The outer rim of a region.

    Attributes:
        position: The position of its class, or VOID.
        corners: Its corners, at least three, (n, 2) in (x, y): pixels of its rim, for rasterizers that
            include the rim, as `pil_polygon` and `cv2_polygon` do.
        area: The number of pixels in it, with all that it encloses.
    """

    position: int
    corners: Int[np.ndarray, "n 2"]
    area: int


def outlines(labels: Positions, *, open_void: bool = False) -> list[Outline]:
    """Return the outlines of all regions, the largest first, as each is painted on those before it.

    A region is connected by edges of its pixels, as then one region encloses another or they are apart. What
    encloses another is larger, so that a format which paints smaller ones on larger ones needs no order.
    Regions of VOID are there, too, unless they touch the border: another may enclose them.

    Args:
        labels: The label map.
        open_void: Lead cuts to holes that have pixels of VOID, which so stay open; VOID has no outlines then.

    Example:
        >>> labels = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.uint8)
        >>> [(one.position, one.area, one.corners.tolist()) for one in outlines(labels)]
        [(0, 9, [[0, 0], [0, 2], [2, 2], [2, 0]]), (1, 1, [[1, 1], [1, 1], [1, 1]])]
    """
    found = [*_rims(labels, open_void=open_void)]
    found.sort(key=lambda one: -one.area)
    return found


def _rims(labels: Positions, *, open_void: bool) -> Iterator[Outline]:
    for position in np.unique(labels).tolist():
        if position == VOID and open_void:
            continue
        mask = (labels == position).astype(np.uint8)
        count, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for number in range(1, count):
            x, y, w, h, area = map(int, boxes[number])
            if position == VOID and _touches_border(x, y, w, h, labels.shape):
                continue  # nothing can enclose it
            inside = numbers[y : y + h, x : x + w] == number
            void = labels[y : y + h, x : x + w] == VOID if open_void else np.zeros_like(inside)
            corners, filled = _rim(inside, void)
            yield Outline(position, corners + np.array([x, y], np.int32), max(area, filled))


def _touches_border(x: int, y: int, w: int, h: int, size: tuple[int, ...]) -> bool:
    return x == 0 or y == 0 or x + w == size[1] or y + h == size[0]


def _rim(inside: NDArray[np.bool_], void: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the corners of the rim of a region, and its area when its holes without VOID are filled."""
    values = inside.astype(np.uint8)
    if void.any():
        corners = keyhole_polygon(inside, void)
        cv2.fillPoly(values, [corners], 1)
        return corners, int(values.sum())
    (contour,), _ = cv2.findContours(values, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = contour.reshape(-1, 2)
    if len(corners) < 3:  # one pixel, or a straight line
        corners = corners[[0, -1, 0]]
    cv2.fillPoly(values, [corners], 1)
    return corners, int(values.sum())
