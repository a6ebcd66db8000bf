"""Draw the shapes of CVAT's XML as CVAT's own "Segmentation mask 1.1" does, and move them between key frames.

Polygons and boxes are drawn by pycocotools, ellipses by OpenCV with whole numbers. A mask is a list of run
lengths row by row inside its box. The file is described at docs.cvat.ai, "CVAT for images" and "CVAT for
videos".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import cv2
import numpy as np
from jaxtyping import Float

from warprefine.core.errors import LabelError
from warprefine.interchange.shapes import MaskArray, Points, checked_points, coco_polygon, mask_of_counts

AREAS = frozenset({"mask", "polygon", "box", "ellipse"})
"""Shapes that have an area."""
NO_AREAS = frozenset({"polyline", "points", "tag", "cuboid", "skeleton"})
"""Elements without one; CVAT leaves them out of masks, too."""
_MOVING = {"box": ("xtl", "ytl", "xbr", "ybr"), "ellipse": ("cx", "cy", "rx", "ry")}
_COUNTS = re.compile(r"[0-9,\s]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shape:
    """An element of CVAT's XML that has an area.

    Attributes:
        kind: One of `AREAS`.
        fields: The attributes of the element.
        where: How messages name it.
    """

    kind: str
    fields: Mapping[str, str]
    where: str

    def number(self, key: str, default: float | None = None) -> float:
        """Return an attribute that is a finite number.

        Raises:
            LabelError: It is missing or no such number.
        """
        text = self.fields.get(key)
        if text is None and default is not None:
            return default
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.refuse(f"has {key} = {_short(text)}; expected a number")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """Return an attribute that is a whole number; one that is written as 3.00 is 3.

        Raises:
            LabelError: It is missing or no such number.
        """
        value = self.number(key, None if default is None else float(default))
        if not value.is_integer() or abs(value) > 1 << 53:
            self.refuse(f"has {key} = {_short(self.fields.get(key))}; expected a whole number")
        return int(value)

    def refuse(self, found: str) -> NoReturn:
        """Raise an error about this shape.

        Raises:
            LabelError: Always.
        """
        raise LabelError(f"{self.where} {found}; export it again")


@dataclass(frozen=True, slots=True)
class Outline:
    """A shape of numbers, which can lie between two others.

    Attributes:
        kind: "polygon", "box" or "ellipse".
        points: The corners of a polygon, (n, 2); of a box the top left and bottom right one; of an ellipse
            the middle and the two radii.
        rotation: Clockwise around the middle, in degrees.
    """

    kind: str
    points: Float[np.ndarray, "n 2"]
    rotation: float = 0.0


def outline_of(shape: Shape) -> Outline:
    """Return the outline of a polygon, a box or an ellipse.

    Raises:
        LabelError: Its numbers are not as expected.
    """
    if shape.kind == "polygon":
        return Outline("polygon", _corners(shape))
    values = [shape.number(key) for key in _MOVING[shape.kind]]
    points = np.array(values, np.float64).reshape(2, 2)
    if shape.kind == "ellipse" and points[1].min() < 0:
        shape.refuse(f"has the radii {points[1].tolist()}; expected numbers from 0")
    return Outline(shape.kind, points, shape.number("rotation", 0.0))


def draw_shape(shape: Shape, size: tuple[int, int]) -> MaskArray:
    """Return the pixels of a shape in a picture of (h, w).

    Raises:
        LabelError: Its numbers are not as expected, or a mask does not lie inside the picture.
    """
    return (
        _mask(shape, size)
        if shape.kind == "mask"
        else draw_outline(outline_of(shape), size, where=shape.where)
    )


def draw_outline(outline: Outline, size: tuple[int, int], *, where: str) -> MaskArray:
    """Return the pixels of an outline in a picture of (h, w).

    Raises:
        LabelError: It lies far outside of any picture.
    """
    if outline.kind == "ellipse":
        return _ellipse(outline, size, where)
    corners = outline.points
    if outline.kind == "box":
        (left, top), (right, bottom) = corners.tolist()
        square = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        corners = _rotated(square, outline.rotation)
    if len(corners) < 3:  # thinned out between two key frames; pycocotools takes two points for a box
        return np.zeros(size, bool)
    return coco_polygon(checked_points(corners, where=where), size)


def between(before: Outline, after: Outline, part: float) -> Outline:
    """Return the outline that CVAT puts between two of a track's key frames.

    Boxes and ellipses move in a straight line, and turn the short way round. Corners of polygons are matched
    by how far along the outline they are, as their number may differ.

    Args:
        before: The outline at the key frame before.
        after: The one at the key frame after, of the same kind.
        part: How much of the time between both has passed, 0 to 1.
    """
    if before.kind == "polygon":
        return Outline("polygon", _polygon_between(before.points, after.points, part))
    turn = (after.rotation - before.rotation + 180) % 360 - 180
    points = before.points + (after.points - before.points) * part
    return Outline(before.kind, points, (before.rotation + turn * part) % 360)


def _corners(shape: Shape) -> Points:
    numbers: list[float] = []
    for pair in shape.fields.get("points", "").strip().strip(";").split(";"):
        try:
            x, y = map(float, pair.split(","))
        except ValueError:
            shape.refuse(f"has the point {_short(pair)}; expected x,y in pixels")
        numbers += (x, y)
    if len(numbers) < 6:
        shape.refuse(f"has {len(numbers) // 2} points; expected at least 3")
    return checked_points(np.array(numbers, np.float64).reshape(-1, 2), where=shape.where)


def _mask(shape: Shape, size: tuple[int, int]) -> MaskArray:
    left, top, width, height = (shape.whole(key) for key in ("left", "top", "width", "height"))
    h, w = size
    if min(left, top) < 0 or min(width, height) < 1 or left + width > w or top + height > h:
        shape.refuse(
            f"has the box left={left}, top={top}, width={width}, height={height}; expected one inside the "
            f"picture of {h} x {w} (h x w)"
        )
    text = shape.fields.get("rle", "")
    if not _COUNTS.fullmatch(text):
        shape.refuse(f"has rle = {_short(text)}; expected run lengths with commas between")
    try:
        counts = [int(count) for count in text.split(",")]
    except ValueError:
        shape.refuse(f"has rle = {_short(text)}; expected run lengths with commas between")
    mask = np.zeros(size, bool)
    inside = mask_of_counts(counts, (height, width), where=shape.where, order="rows")
    mask[top : top + height, left : left + width] = inside
    return mask


def _ellipse(outline: Outline, size: tuple[int, int], where: str) -> MaskArray:
    (x, y), (rx, ry) = outline.points.tolist()
    checked_points(np.array([(x - rx, y - ry), (x + rx, y + ry)]), where=where)
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(mask, (round(x), round(y)), (round(rx), round(ry)), outline.rotation, 0, 360, 1, thickness=-1)
    return mask.astype(bool)


def _rotated(corners: Points, degrees: float) -> Points:
    """Return corners turned clockwise around their middle."""
    if not degrees:
        return corners
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = (corners[0] + corners[2]) / 2
    turned: Points = (corners - middle) @ turn.T + middle
    return turned


def _polygon_between(
    before: Points, after: Float[np.ndarray, "m 2"], part: float
) -> Float[np.ndarray, "k 2"]:
    """Return the corners between those of two polygons, by CVAT's rule (dataset_manager/annotation.py).

    Each corner goes to the one of the other polygon that lies nearest along the outline; corners that
    several go from, or to, are thinned out afterwards.
    """
    before, after = (np.concatenate([one, one[:1]]) for one in (before, after))
    partners = _partners(_along(before), _along(after))
    starts = np.cumsum([0, *map(len, partners)])
    moved = np.concatenate(
        [corner + (after[found] - corner) * part for corner, found in zip(before, partners, strict=True)]
    )
    kept: list[Float[np.ndarray, "k 2"]] = []
    first = 0
    while first < len(before):
        last = first
        if len(partners[first]) > 1:
            line, stop = after[partners[first][0] : partners[first][-1] + 1], starts[first + 1] - 1
        else:
            while last + 1 < len(before) and partners[last + 1] == partners[first]:
                last += 1
            line, stop = before[first : last + 1], starts[last]
        kept.append(_thinned(moved[starts[first] : stop + 1], _length(line) / (2 * len(line))))
        first = last + 1
    return np.concatenate(kept)[:-1]


def _partners(before: Float[np.ndarray, "n"], after: Float[np.ndarray, "m"]) -> list[list[int]]:
    """Return for each place on one outline those on the other that it leads to; none is left out."""
    partners = [[number] for number in _nearest(before, after)]
    taken = {number for (number,) in partners}
    for number, nearest in enumerate(_nearest(after, before)):
        if number not in taken:
            partners[nearest].append(number)
    return [sorted(found) for found in partners]


def _nearest(places: Float[np.ndarray, "n"], others: Float[np.ndarray, "m"]) -> list[int]:
    """Return for each place the first of the others that is nearest; both ascend."""
    above = np.searchsorted(others, places).clip(max=len(others) - 1)
    below = np.searchsorted(others, others[(above - 1).clip(min=0)])
    nearest: list[int] = np.where(places - others[below] <= others[above] - places, below, above).tolist()
    return nearest


def _thinned(corners: Points, least: float) -> Float[np.ndarray, "m 2"]:
    """Return corners without those nearer than `least` to the one before; the first and the last stay."""
    if len(corners) == 1:
        return corners
    kept = [corners[0]]
    for corner in corners[1:-1]:
        if math.dist(kept[-1], corner) >= least:
            kept.append(corner)
    if len(kept) == 1 and math.dist(corners[0], corners[-1]) < least:
        return np.array([(corners[0] + corners[-1]) / 2])
    return np.array([*kept, corners[-1]])


def _along(corners: Points) -> Float[np.ndarray, "n"]:
    """Return how far along a line each of its corners is, 0 to 1."""
    passed: Float[np.ndarray, "n"] = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))]
    return passed / passed[-1] if passed[-1] else passed


def _length(corners: Points) -> float:
    return float(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())


def _short(text: str | None) -> str:
    return "nothing" if text is None else repr(text[:40])
