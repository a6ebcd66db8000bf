"""Draw the shapes of labelme and of X-AnyLabeling, each by the rule of its tool."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from warprefine.interchange.embedded import bytes_of_text, opacity_of_png, paint_box
from warprefine.interchange.imported import Positions
from warprefine.interchange.records import Record
from warprefine.interchange.shapes import MaskArray, Points, cv2_polygon, pil_polygon, points_of

DrawPolygon = Callable[[Points, tuple[int, int]], MaskArray]

_NO_AREA = frozenset({"line", "linestrip", "point", "points", "cuboid"})
_FOUR_CORNERS = frozenset({"oriented_rectangle", "rotation", "quadrilateral"})
_COUNTS = {"circle": (2,), "rectangle": (2, 4), "mask": (2,), **dict.fromkeys(_FOUR_CORNERS, (4,))}


def has_area(shape: Record) -> bool:
    """Return whether a shape labels an area: lines, points and cuboids do not."""
    return _kind(shape) not in _NO_AREA


def corners(shape: Record) -> Points:
    """Return the points of a shape that has an area, after checking it, (n, 2).

    Raises:
        DatasetError, LabelError: It is of an unknown kind, or has a wrong number of points, or too few.
    """
    kind, listed = _kind(shape), shape.listed("points")
    if not all(isinstance(point, list) and len(point) == 2 for point in listed):
        shape.refuse("has points that are no pairs; expected [[x, y], ...]")
    expected = _COUNTS.get(kind, ())
    if kind != "polygon" and len(listed) not in expected:
        known = sorted({"polygon", *_COUNTS, *_NO_AREA})
        shape.refuse(
            f"is a {kind[:40]} of {len(listed)} points; expected {' or '.join(map(str, expected))} points"
            if expected
            else f"has the shape_type {kind[:40]!r}; expected one of {', '.join(known)}",
            cure="draw it again",
        )
    if kind == "mask":
        shape.text("mask")
    flat = [number for point in listed for number in point]
    return points_of(flat, where=shape.where, least=3 if kind == "polygon" else 2)


def paint(labels: Positions, shape: Record, position: int, draw: DrawPolygon) -> None:
    """Paint the position of a class where a shape is, in a label map.

    Args:
        labels: The label map.
        shape: A shape, checked by `corners`.
        position: The position of its class.
        draw: The rule of the tool: `pil_polygon` or `clamped_polygon`.

    Raises:
        LabelError: Its mask is damaged, is of another size than its box, or reaches out of the picture.
    """
    points, kind = corners(shape), _kind(shape)
    if kind == "mask":
        (left, top), (right, bottom) = points.astype(int).tolist()
        content = bytes_of_text(shape.text("mask"), where=shape.where)
        mask = opacity_of_png(content, where=shape.where) > 0
        if mask.shape != (bottom - top + 1, right - left + 1):
            shape.refuse(
                f"has a mask of {mask.shape[0]} x {mask.shape[1]} in a box of {bottom - top + 1} x "
                f"{right - left + 1} (h x w); expected the same size"
            )
        paint_box(labels, mask, position, left=left, top=top, where=shape.where)
        return
    size = (labels.shape[0], labels.shape[1])
    if kind == "circle":
        labels[_circle(points, size)] = position
    elif kind == "rectangle" and len(points) == 2:
        labels[_rectangle(points, size)] = position
    else:
        labels[draw(points, size)] = position


def clamped_polygon(points: Points, size: tuple[int, int]) -> MaskArray:
    """Draw a polygon as X-AnyLabeling does: corners outside are moved to the nearest pixel of the picture."""
    return cv2_polygon(np.clip(points, 0, [size[1] - 1, size[0] - 1]), size)


LABELME: DrawPolygon = pil_polygon
X_ANYLABELING: DrawPolygon = clamped_polygon


def _kind(shape: Record) -> str:
    return shape.text("shape_type", "polygon")


def _circle(points: Points, size: tuple[int, int]) -> MaskArray:
    """Draw a circle around the first point through the second, as labelme does."""
    (x, y), (to_x, to_y) = points.tolist()
    radius = math.hypot(x - to_x, y - to_y)
    picture = Image.new("1", size[::-1])
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    return np.array(picture)


def _rectangle(points: Points, size: tuple[int, int]) -> MaskArray:
    """Draw the box between two corners, both inside, as labelme does."""
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    picture = Image.new("1", size[::-1])
    ImageDraw.Draw(picture).rectangle((left, top, right, bottom), outline=1, fill=1)
    return np.array(picture)
