"""Read V7's Darwin JSON 2.0: a file for each picture, with polygons, or masks in one raster layer.

A polygon has one or more paths, of which those inside others are holes (even-odd). It is drawn as darwin-py
draws it: rows are filled between their crossings with the edges, and the edges are drawn as lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from warprefine.core.errors import DatasetError, LabelError
from warprefine.interchange.embedded import empty_map
from warprefine.interchange.format import Importer
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.records import Record, read_record, records, shown_value
from warprefine.interchange.shapes import MaskArray, Points, Ring, points_of
from warprefine.interchange.source import Source

_LAYER = "__raster_layer__"
_EXPECTED = "Darwin JSON 2.0 of V7, with item and annotations"


def read_v7_darwin(source: Source, options: ImportOptions) -> Imported:
    """Read the Darwin JSON files below a folder, or a single one.

    Raises:
        DatasetError: A file is none of Darwin JSON 2.0, or is of a video or of several slots.
        LabelError: A polygon has too few points.
    """
    del options
    files = source.with_ending(".json")
    if not files:
        raise DatasetError(f"{source.path} holds no JSON file; expected {_EXPECTED}, one for each picture")
    classes = ClassList(where=str(source.path))
    frames: list[ImportedFrame] = []
    without_area, unlabelled = 0, 0
    for path in files:
        content = read_record(path, expected=_EXPECTED, named=source.shown(path))
        item = content.record("item")
        annotations = _annotations(content)
        drawn = [one for one in annotations if {"polygon", "mask", "raster_layer"} & one.values.keys()]
        without_area += len(annotations) - len(drawn)
        positions = [_position(one, classes) for one in drawn]
        if not drawn:
            unlabelled += 1
            continue
        name = str(PurePosixPath(item.text("path", "").lstrip("/"), item.text("name")))
        frames.append(
            ImportedFrame(
                where=f"{content.where} {name!r}",
                name=name,
                size=_size(item),
                draw=partial(_draw, drawn, positions),
                picture=source.picture(name),
            )
        )
    notes = []
    if without_area:
        notes.append(f"{without_area} boxes, tags, lines and the like have no area and are left out")
    if unlabelled:
        notes.append(f"{unlabelled} items have no areas and get no label map")
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _annotations(content: Record) -> list[Record]:
    """Return the annotations of a picture, each named by its position, after checking them."""
    found: list[Record] = []
    for number, listed in enumerate(content.records("annotations")):
        one = Record(
            listed.values, f"{content.where}, annotation {number} {shown_value(listed.values.get('name'))}"
        )
        if one.has("frames"):
            one.refuse("is of a video; expected pictures", cure="export the frames of the video as pictures")
        if one.has("polygon"):
            _paths(one)
        elif one.values.get("raster_layer") is not None:
            layer = one.record("raster_layer")
            layer.listed("dense_rle")
            layer.record("mask_annotation_ids_mapping")
        elif one.has("mask") and one.record("mask").has("sparse_rle"):
            one.refuse("is a mask with sparse_rle; expected its pixels in one raster layer")
        found.append(one)
    if any(one.has("mask") for one in found) and not any(one.has("raster_layer") for one in found):
        content.refuse(f"has masks, but no {_LAYER} with their pixels; expected one")
    return found


def _position(annotation: Record, classes: ClassList) -> int:
    name = annotation.text("name")
    return -1 if "raster_layer" in annotation.values and name == _LAYER else classes.position(name)


def _size(item: Record) -> tuple[int, int] | None:
    slots = list(item.records("slots", []))
    if len(slots) > 1:
        item.refuse(f"has {len(slots)} slots; expected one picture", cure="export one slot at a time")
    if slots and slots[0].text("type", "image") not in ("image", "pdf", "dicom"):
        slots[0].refuse(f"is of the type {slots[0].text('type')!r}; expected a picture")
    if not slots or not slots[0].has("width") or not slots[0].has("height"):
        return None
    return slots[0].whole("height"), slots[0].whole("width")


def _draw(drawn: Sequence[Record], positions: Sequence[int], size: tuple[int, int]) -> Positions:
    labels = empty_map(size)
    # darwin-py moves corners outside into the picture, unless a bounding box says that there are any.
    inside = None if any(_leaves(one, size) for one in drawn) else size
    names = {
        one.text("id"): position
        for one, position in zip(drawn, positions, strict=True)
        if one.has("mask") and one.has("id")
    }
    for annotation, position in zip(drawn, positions, strict=True):
        if annotation.has("polygon"):
            labels[darwin_polygon([_rounded(path, inside) for path in _paths(annotation)], size)] = position
        elif annotation.has("raster_layer"):
            _paint_layer(labels, annotation.record("raster_layer"), names)
    return labels


def _paint_layer(labels: Positions, layer: Record, names: Mapping[str, int]) -> None:
    """Paint a raster layer: [value, length, value, length, ...] in rows, and the masks of its values."""
    mapping = layer.record("mask_annotation_ids_mapping")
    positions: dict[int, int] = {}
    for key in mapping.values:
        if key not in names:
            layer.refuse(f"has pixels of the annotation {key!r}, which the file does not list as a mask")
        positions[mapping.whole(key)] = names[key]
    runs = layer.listed("dense_rle")
    if len(runs) % 2 or not all(type(one) is int and 0 <= one <= labels.size for one in runs):
        layer.refuse(
            f"has a dense_rle that is no list of value and length; expected up to {labels.size:,} each"
        )
    values, lengths = runs[::2], runs[1::2]
    if sum(lengths) != labels.size:
        raise LabelError(
            f"{layer.where} has a dense_rle of {sum(lengths):,} pixels; expected {labels.size:,}, those of "
            f"{labels.shape[0]} x {labels.shape[1]} (h x w); export it again"
        )
    strays = sorted(set(values) - {0, *positions})
    if strays:
        layer.refuse(f"has the value {strays[0]}, which mask_annotation_ids_mapping does not list")
    table = np.array([positions.get(value, -1) for value in values])
    flat = np.repeat(table, lengths).reshape(labels.shape)
    labels[flat >= 0] = flat[flat >= 0]


def _paths(annotation: Record) -> list[Ring]:
    """Return the paths of a polygon, (n, 2) each."""
    polygon = annotation.record("polygon")
    paths = polygon.listed("paths", [polygon.values.get("path") or []])
    found = []
    for path in paths:
        if not isinstance(path, list):
            annotation.refuse("has paths that are no lists; expected [[{x, y}, ...], ...]")
        corners = [(one.number("x"), one.number("y")) for one in records(path, f"{annotation.where}, point")]
        found.append(points_of([number for corner in corners for number in corner], where=annotation.where))
    return found


def _rounded(path: Points, inside: tuple[int, int] | None) -> Points:
    """Return the corners of a path in whole pixels, moved into a picture of (h, w) if one is given."""
    if inside is not None:
        path = np.clip(path, 0, [inside[1] - 1, inside[0] - 1])
    return np.asarray(np.rint(path))


def _leaves(annotation: Record, size: tuple[int, int]) -> bool:
    """Return whether the bounding box of an annotation leaves a picture of (h, w)."""
    if not annotation.has("bounding_box"):
        return False
    box = annotation.record("bounding_box")
    x, y = box.number("x"), box.number("y")
    return x < 0 or y < 0 or x + box.number("w") > size[1] or y + box.number("h") > size[0]


def darwin_polygon(paths: Sequence[Ring], size: tuple[int, int]) -> MaskArray:
    """Draw a polygon of several paths as darwin-py does.

    A row is filled between its crossings with the edges, in pairs, pixels on a crossing included; the lower
    end of an edge does not count. Besides, the edges are drawn as lines of pixels.

    Args:
        paths: The corners of each path, whole numbers.
        size: (h, w) of the picture.

    Example:
        >>> square = np.array([[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])
        >>> darwin_polygon([square], (4, 4)).astype(int).tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    h, w = size
    mask = np.zeros(size, bool)
    crossings: list[list[float]] = [[] for _ in range(h)]
    for path in paths:
        corners = path.astype(int).tolist()
        for (x1, y1), (x2, y2) in zip([corners[-1], *corners[:-1]], corners, strict=True):
            _draw_line(mask, x1, y1, x2, y2)
            if y1 == y2:
                continue
            x, top, bottom = (x1, y1, y2) if y1 < y2 else (x2, y2, y1)
            # Steps of 32 bits that are added up, as there: whether a crossing is whole depends on them.
            steps = np.full(bottom - top, np.float32(x1 - x2) / np.float32(y1 - y2), np.float32)
            steps[0] = x
            found = np.add.accumulate(steps, dtype=np.float32).tolist()
            for y in range(max(top, 0), min(bottom, h)):
                crossings[y].append(found[y - top])
    for y, row in enumerate(crossings):
        row.sort()
        for left, right in zip(row[::2], row[1::2], strict=False):
            mask[y, max(math.ceil(left), 0) : max(min(math.floor(right), w - 1) + 1, 0)] = True
    return mask


def _draw_line(mask: MaskArray, x1: int, y1: int, x2: int, y2: int) -> None:
    """Draw a line of pixels by Bresenham's rule from left to right; a sloping one without its last pixel."""
    if x1 > x2:
        x1, y1, x2, y2 = x2, y2, x1, y1
    across, down = x2 - x1, abs(y2 - y1)
    longer, shorter = max(across, down), min(across, down)
    steps = np.arange(longer if shorter else longer + 1)
    # The shorter side moves on as soon as its error, 2 · shorter · step - longer, is above 0.
    aside = -((longer - 2 * shorter * steps) // (2 * longer)) if longer else steps
    forward = 1 if y2 >= y1 else -1
    x, y = (x1 + aside, y1 + forward * steps) if down > across else (x1 + steps, y1 + forward * aside)
    inside = (x >= 0) & (x < mask.shape[1]) & (y >= 0) & (y < mask.shape[0])
    mask[y[inside], x[inside]] = True


IMPORT_V7_DARWIN = Importer(
    read=read_v7_darwin,
    about="a folder or zip of Darwin JSON 2.0 files, one for each picture",
    keeps="polygons with holes, masks of the raster layer, later ones on top; item.path is the video",
    loses="instances, boxes, lines, tags; videos are refused",
)
