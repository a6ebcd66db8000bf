"""Read Encord's JSON export: label rows of pictures and of videos, with bitmasks and polygons.

The text of a bitmask is COCO's compressed RLE, but of pixels that follow each other in rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageColor

from warprefine.core.classes import Color
from warprefine.core.errors import DatasetError
from warprefine.interchange.embedded import empty_map, paint_box
from warprefine.interchange.format import Importer
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.records import Record, read_json_file, records, shown_value
from warprefine.interchange.shapes import (
    MaskArray,
    Ring,
    checked_points,
    coco_polygon,
    counts_of_text,
    mask_of_counts,
    points_of,
)
from warprefine.interchange.source import Source

_EXPECTED = "label rows of Encord, with data_units"
_LARGEST = 1 << 28


def read_encord(source: Source, options: ImportOptions) -> Imported:
    """Read label rows: one JSON file with a list of them, or several files.

    Raises:
        DatasetError: They are none of Encord, or of data other than pictures and videos.
        LabelError: A polygon has too few points.
    """
    del options
    files = source.with_ending(".json")
    if not files:
        raise DatasetError(f"{source.path} holds no JSON file; expected {_EXPECTED}")
    classes = ClassList(where=str(source.path))
    frames: list[ImportedFrame] = []
    without_area = [0]
    for path in files:
        for row in _rows(path, source.shown(path)):
            title = row.text("data_title", "")
            units = row.record("data_units")
            for key in units.values:
                unit = Record(units.record(key).values, f"{row.where} {title!r}")
                frames += _frames(source, row, unit, classes, without_area)
    notes = []
    if without_area[0]:
        notes.append(f"{without_area[0]} boxes, lines, points and the like have no area and are left out")
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _rows(path: Path, named: str) -> Iterator[Record]:
    content = read_json_file(path, expected=_EXPECTED)
    if isinstance(content, dict):
        yield Record(content, named)
    elif isinstance(content, list):
        for number, row in enumerate(records(content, named)):
            yield Record(row.values, f"{named}, label row {number}")
    else:
        raise DatasetError(f"{named} holds a {type(content).__name__}; expected {_EXPECTED}")


def _frames(
    source: Source, row: Record, unit: Record, classes: ClassList, without_area: list[int]
) -> Iterator[ImportedFrame]:
    """Yield the labelled frames of a data unit: a picture, or a video."""
    kind, title = unit.text("data_type", ""), unit.text("data_title", "")
    size = (unit.whole("height"), unit.whole("width")) if unit.has("height") and unit.has("width") else None
    labels = unit.record("labels")
    if kind.startswith("video"):
        for key in labels.values:
            if not key.isascii() or not key.isdigit():
                unit.refuse(f"has labels of the frame {key[:40]!r}; expected decode indices")
            one = Record(labels.record(key).values, f"{unit.where}, frame {key}")
            if shapes := _shapes(one, classes, without_area):
                yield ImportedFrame(
                    where=one.where, video=title, index=int(key[:18]), size=size, draw=partial(_draw, shapes)
                )
    elif not kind.startswith("image"):
        unit.refuse(f"is of the type {kind[:40]!r}; expected images or videos")
    elif shapes := _shapes(Record(labels.values, unit.where), classes, without_area):
        group = row.text("data_title", "")
        in_group = group not in ("", title)
        yield ImportedFrame(
            where=f"{unit.where}, {title!r}" if in_group else unit.where,
            name=f"{group}/{title}" if in_group else title,
            also=(title,) if in_group else (),
            size=size,
            draw=partial(_draw, shapes),
            picture=source.picture(title),
        )


def _shapes(labels: Record, classes: ClassList, without_area: list[int]) -> list[tuple[int, Record]]:
    """Return the objects of a frame that have an area, with the positions of their classes."""
    found: list[tuple[int, Record]] = []
    for number, listed in enumerate(labels.records("objects", [])):
        one = Record(
            listed.values, f"{labels.where}, object {number} {shown_value(listed.values.get('name'))}"
        )
        if one.has("bitmask"):
            bitmask = one.record("bitmask")
            bitmask.text("rleString")
            sides = [bitmask.whole(key) for key in ("top", "left", "height", "width")]
            if min(sides) < 0 or sides[2] * sides[3] > _LARGEST:
                bitmask.refuse(f"has top, left, height and width = {sides}; expected a box in the picture")
        elif one.has("polygon") or one.has("polygons"):
            _rings(one)
        else:
            without_area[0] += 1
            continue
        name = one.text("name")
        position = classes.position(name) if classes.has(name) else classes.add(name, color=_color(one))
        found.append((position, one))
    return found


def _color(one: Record) -> Color | None:
    try:
        channels = ImageColor.getrgb(one.text("color", ""))
    except ValueError:
        return None
    return channels[0], channels[1], channels[2]


def _draw(shapes: Sequence[tuple[int, Record]], size: tuple[int, int]) -> Positions:
    labels = empty_map(size)
    for position, one in shapes:
        if one.has("bitmask"):
            bitmask = one.record("bitmask")
            box = bitmask.whole("height"), bitmask.whole("width")
            counts = counts_of_text(bitmask.text("rleString"), where=one.where)
            mask = mask_of_counts(counts, box, where=one.where, order="rows")
            left, top = bitmask.whole("left"), bitmask.whole("top")
            paint_box(labels, mask, position, left=left, top=top, where=one.where)
        else:
            labels[_polygon(one, size)] = position
    return labels


def _polygon(one: Record, size: tuple[int, int]) -> MaskArray:
    """Draw the rings of a polygon; those inside others are holes."""
    mask = np.zeros(size, bool)
    for ring in _rings(one):
        mask ^= coco_polygon(checked_points(ring * [size[1], size[0]], where=one.where), size)
    return mask


def _rings(one: Record) -> list[Ring]:
    """Return the rings of a polygon, (n, 2) each, in parts of the width and height of the picture.

    `polygons` has all of them, [[[x, y, x, y, ...], hole, ...], ...]; `polygon` the first, {"0": {x, y}}.
    """
    if one.has("polygons"):
        parts = one.listed("polygons")
        rings: list[Any] = [ring for part in parts for ring in (part if isinstance(part, list) else [None])]
        if not all(isinstance(ring, list) for ring in rings):
            one.refuse("has polygons that are no lists of rings; expected [[[x, y, ...], ...], ...]")
        return [points_of(ring, where=one.where) for ring in rings]
    polygon = one.values["polygon"]
    listed = list(polygon.values()) if isinstance(polygon, dict) else polygon
    if not isinstance(listed, list):
        one.refuse("has a polygon that is no list of points; expected {x, y} each")
    flat = [corner.number(key) for corner in records(listed, f"{one.where}, point") for key in ("x", "y")]
    return [points_of(flat, where=one.where)]


IMPORT_ENCORD = Importer(
    read=read_encord,
    about="label rows as JSON: a list in one file, or a folder or zip of files",
    keeps="bitmasks and polygons, by decode index in videos; later objects lie on top; names and colours",
    loses="instances (objectHash), boxes, lines, points, classifications, ontology",
)
