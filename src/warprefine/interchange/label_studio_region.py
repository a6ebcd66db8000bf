"""Find the regions in the results of Label Studio, and draw them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from warprefine.core.errors import LabelError
from warprefine.interchange.embedded import bytes_of_text, opacity_of_png
from warprefine.interchange.label_studio_brush import opacity_of_brush
from warprefine.interchange.label_studio_config import AREAS
from warprefine.interchange.records import Record, records
from warprefine.interchange.shapes import MaskArray, checked_points, coco_polygon, points_of

_HALF = 128
_MOST_PERCENT = 100_000
_NUMBERS = {
    "ellipse": ("x", "y", "radiusX", "radiusY"),
    "rectangle": ("x", "y", "width", "height"),
}


@dataclass(kw_only=True)
class Region:
    """A region of an annotation.

    Attributes:
        kind: "brush", "bitmask", "polygon", "ellipse" or "rectangle"; None for what has no area.
        value: What describes it.
        control: The tag of the configuration that made it.
        size: The (h, w) of the picture, if the export has it.
        labels: Its labels.
    """

    kind: str | None
    value: Record
    control: str
    size: tuple[int, int] | None
    labels: list[str] = field(default_factory=list)


def regions_of(annotation: Record, *, where: str) -> list[Region]:
    """Return the regions of an annotation, in order; results of one id, or of one shape, are one region.

    Where labels and shapes have tags of their own, each region is two results: one with the shape, and one
    with the shape and its labels.

    Raises:
        DatasetError: A result is not as expected, of a turned picture or of a video.
    """
    found: dict[str, Region] = {}
    for control, result in _results(annotation, where):
        value = result.record("value") if isinstance(result.values.get("value"), dict) else result
        if "sequence" in value.values:
            value.refuse(
                "is of a video, on which Label Studio has boxes, but no areas; expected a picture",
                cure="label the frames as pictures",
            )
        if result.has("image_rotation") and result.number("image_rotation") % 360:
            result.refuse(
                f"is of a picture with image_rotation = {result.number('image_rotation'):g}; expected 0",
                cure="rotate the picture back in Label Studio, or the file, and label that",
            )
        labels = [label for key in AREAS if value.has(key) for label in _texts(value, key)]
        region = found.setdefault(
            _key(result, value),
            Region(kind=_kind(value), value=value, control=control, size=_size(result)),
        )
        region.labels += [label for label in labels if label not in region.labels]
    return list(found.values())


def check_region(region: Region) -> None:
    """Check what can be checked before the frame is known.

    Raises:
        DatasetError, LabelError: A number is missing, or a polygon has too few points.
    """
    if region.kind == "brush":
        region.value.listed("rle")
        if region.value.text("format", "rle") != "rle":
            region.value.refuse(f"has the format {region.value.text('format')!r}; expected 'rle'")
    elif region.kind == "bitmask":
        region.value.text("imageDataURL")
    elif region.kind == "polygon":
        _corners(region.value)
    else:
        for key in _NUMBERS[region.kind or ""]:
            if abs(region.value.number(key)) > _MOST_PERCENT:
                region.value.refuse(f"has {key} = {region.value.number(key):g}; expected percent")
        region.value.number("rotation", 0.0)


def region_mask(region: Region, size: tuple[int, int]) -> MaskArray:
    """Draw a region into a picture of (h, w).

    Raises:
        LabelError: Its bytes are damaged or of another size, or it reaches far out of the picture.
    """
    value = region.value
    if region.kind == "brush":
        return opacity_of_brush(value.listed("rle"), size, where=value.where) >= _HALF
    if region.kind == "bitmask":
        return _bitmask(value, size)
    scale = np.array([size[1], size[0]]) / 100
    if region.kind == "polygon":
        return coco_polygon(checked_points(_corners(value) * scale, where=value.where), size)
    x, y, width, height = (value.number(key) for key in _NUMBERS[region.kind or ""])
    origin, across, down = np.array([x, y]) * scale, width * scale[0], height * scale[1]
    turn = math.radians(value.number("rotation", 0.0))
    to_right, to_bottom = (
        np.array([math.cos(turn), math.sin(turn)]),
        np.array([-math.sin(turn), math.cos(turn)]),
    )
    if region.kind == "ellipse":
        return _ellipse(origin, (to_right, to_bottom), (across, down), size)
    corners = np.stack(
        [
            origin,
            origin + across * to_right,
            origin + across * to_right + down * to_bottom,
            origin + down * to_bottom,
        ]
    )
    return coco_polygon(checked_points(corners, where=value.where), size)


def _results(annotation: Record, where: str) -> Iterator[tuple[str, Record]]:
    """Yield each result with the tag that made it; of JSON-MIN, those of all fields that hold regions."""
    if annotation.has("result"):
        for result in records(annotation.listed("result"), f"{where}, region"):
            yield str(result.values.get("from_name")), result
        return
    for key, listed in annotation.values.items():
        if isinstance(listed, list) and any(isinstance(one, dict) for one in listed):
            for result in records(listed, f"{where}, {key}"):
                yield key, result


def _key(result: Record, value: Record) -> str:
    """Return what results of one region have in common."""
    if isinstance(result.values.get("id"), str):
        return f"id {result.values['id']}"
    shape = {key: one for key, one in value.values.items() if key not in AREAS}
    return json.dumps(shape, sort_keys=True)


def _kind(value: Record) -> str | None:
    keys = value.values.keys()
    if "rle" in keys:
        return "brush"
    if "imageDataURL" in keys:
        return "bitmask"
    if "points" in keys:
        return "polygon"
    return next((kind for kind, names in _NUMBERS.items() if set(names) <= keys), None)


def _size(result: Record) -> tuple[int, int] | None:
    if result.has("original_width") and result.has("original_height"):
        return result.whole("original_height"), result.whole("original_width")
    return None


def _texts(value: Record, key: str) -> Sequence[str]:
    found = value.listed(key)
    if not all(isinstance(one, str) for one in found):
        value.refuse(f"has {key} that are no texts; expected a list of labels")
    return found


def _corners(value: Record) -> np.ndarray:
    """Return the corners of a polygon, (n, 2), in percent."""
    points = value.listed("points")
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        value.refuse("has points that are no pairs; expected [[x, y], ...] in percent")
    return points_of([number for point in points for number in point], where=value.where)


def _bitmask(value: Record, size: tuple[int, int]) -> MaskArray:
    url = value.text("imageDataURL")
    head, comma, text = url.partition(",")
    if not comma or not head.startswith("data:image/png") or not head.endswith("base64"):
        value.refuse(f"has imageDataURL = {url[:40]!r}; expected data:image/png;base64,...")
    mask = opacity_of_png(bytes_of_text(text, where=value.where), where=value.where) >= _HALF
    if mask.shape != size:
        raise LabelError(
            f"{value.where} has a mask of {mask.shape[0]} x {mask.shape[1]}, but the frame is {size[0]} x "
            f"{size[1]} (h x w); expected the size of the frame; export it again, and do not scale pictures"
        )
    return mask


def _ellipse(
    centre: np.ndarray,
    axes: tuple[np.ndarray, np.ndarray],
    radii: tuple[float, float],
    size: tuple[int, int],
) -> MaskArray:
    """Return the pixels whose centres are inside an ellipse with these radii along its axes."""
    if min(radii) <= 0:
        return np.zeros(size, bool)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    x, y = x - centre[0], y - centre[1]
    first, second = ((x * axis[0] + y * axis[1]) / radius for axis, radius in zip(axes, radii, strict=True))
    return np.asarray(first**2 + second**2 <= 1)
