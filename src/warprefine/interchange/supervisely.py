"""Read and write Supervisely: projects of pictures, and of videos (in), with bitmaps, polygons and boxes.

PROJECT/meta.json                        the classes with their colours
PROJECT/DATASET/ann/PICTURE.png.json     the objects of a picture; later ones lie on top
PROJECT/DATASET/ann/VIDEO.mp4.json       the figures of a video, by the decode index of their frame

Shapes are drawn as by Supervisely's SDK: corners are rounded to whole pixels, the rim is included, lines are
one pixel wide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from PIL import ImageColor

from warprefine.core.classes import Color
from warprefine.core.errors import DatasetError, shorten
from warprefine.interchange.embedded import (
    bytes_of_text,
    cut_out,
    empty_map,
    opacity_of_png,
    packed_png_text,
    paint_box,
    unpacked,
)
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.records import Record, read_record
from warprefine.interchange.shapes import class_masks, points_of, regions
from warprefine.interchange.source import Source

_META = "meta.json"
_HALF = 128
_BITMAPS = {"bitmap": "bitmap", "alpha_mask": "alpha_mask"}
_LEAST = {"polygon": 3, "rectangle": 2, "line": 2, "polyline": 2}


@dataclass(kw_only=True)
class _Project:
    """What is collected while a project is read.

    Attributes:
        classes: Its classes.
        listed: Whether meta.json lists them; else they are those that occur.
        without_area: Objects that are left out.
        unlabelled: Pictures without any other.
    """

    classes: ClassList
    listed: bool
    without_area: int = 0
    unlabelled: int = 0


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A shape with an area, and the position of its class."""

    position: int
    kind: str
    geometry: Record


def read_supervisely(source: Source, options: ImportOptions) -> Imported:
    """Read a project of pictures or of videos; without meta.json the classes are those of the objects.

    Raises:
        DatasetError: There are no annotations, or an object is of a class that meta.json does not have.
        LabelError: A polygon has too few points.
    """
    del options
    files = [path for path in source.with_ending(".json") if path.parent.name == "ann" or source.file]
    if not files:
        raise DatasetError(
            f"{source.path} holds no annotations; expected a project of Supervisely, with meta.json and "
            "DATASET/ann/NAME.json"
        )
    project = _project(source)
    frames: list[ImportedFrame] = []
    for path in files:
        content = read_record(path, expected="an annotation of Supervisely", named=source.shown(path))
        if content.has("frames"):
            frames += _frames_of_video(content, path, project)
        elif frame := _frame(source, content, path, project):
            frames.append(frame)
    return Imported(classes=project.classes.found, frames=frames, notes=list(_notes(source, project)))


def _notes(source: Source, project: _Project) -> Iterator[str]:
    if not project.listed:
        yield f"{source.path} has no {_META}: classes are those that occur, without colours"
    if project.without_area:
        yield f"{project.without_area} points, graphs and the like have no area and are left out"
    if project.unlabelled:
        yield f"{project.unlabelled} pictures have no areas and get no label map"


def _project(source: Source) -> _Project:
    """Return a project with the classes of meta.json; with none if it is missing."""
    beside = [source.root / _META, source.root.parent.parent / _META] if source.file is not None else []
    found = [path for path in (*source.called(_META), *beside) if path.is_file() and not path.is_symlink()]
    if not found:
        return _Project(classes=ClassList(where=str(source.path)), listed=False)
    path = min(found, key=lambda one: len(one.parts))
    content = read_record(path, expected="the meta data of a Supervisely project", named=source.shown(path))
    classes = ClassList(where=content.where)
    for listed in content.records("classes"):
        classes.add(listed.text("title"), color=_color(listed))
    return _Project(classes=classes, listed=True)


def _color(listed: Record) -> Color | None:
    try:
        channels = ImageColor.getrgb(listed.text("color", ""))
    except ValueError:
        return None
    return channels[0], channels[1], channels[2]


def _frame(source: Source, content: Record, path: Path, project: _Project) -> ImportedFrame | None:
    """Return the frame of the annotation of a picture; None if it labels nothing."""
    figures: list[_Figure] = []
    for number, listed_object in enumerate(content.records("objects")):
        one = Record(listed_object.values, f"{content.where}, object {number}")
        figure = _figure(one, one, one.text("classTitle"), project)
        figures += [figure] if figure else []
    if not figures:
        project.unlabelled += 1
        return None
    folder = source.relative(path).parent.parent
    picture = path.name.removesuffix(path.suffix)
    return ImportedFrame(
        where=content.where,
        name=str(PurePosixPath(folder, picture)),
        size=_size(content),
        draw=partial(_draw, figures),
        picture=_picture(path.parent.parent / "img" / picture),
    )


def _picture(path: Path) -> Path | None:
    return path if path.is_file() and not path.is_symlink() else None


def _frames_of_video(content: Record, path: Path, project: _Project) -> Iterator[ImportedFrame]:
    titles: dict[str, str] = {}
    for one in content.records("objects"):
        for key in ("key", "id"):
            if one.has(key):
                titles[f"{key} {one.values[key]}"] = one.text("classTitle")
    for frame in content.records("frames"):
        index = frame.whole("index")
        where = f"{content.where}, frame {index}"
        figures: list[_Figure] = []
        for number, one in enumerate(Record(frame.values, where).records("figures")):
            shape = Record(one.values, f"{where}, figure {number}")
            figure = _figure(shape, shape.record("geometry"), _title(shape, titles), project)
            figures += [figure] if figure else []
        if figures:
            yield ImportedFrame(
                where=where,
                video=path.name.removesuffix(path.suffix),
                index=index,
                size=_size(content),
                draw=partial(_draw, figures),
            )


def _title(figure: Record, titles: Mapping[str, str]) -> str:
    for key in ("key", "id"):
        found = titles.get(f"{key} {figure.values.get(f'object{key.capitalize()}')}")
        if found is not None:
            return found
    return figure.refuse("is of an object that the file does not list; expected an objectKey of objects")


def _figure(shape: Record, geometry: Record, title: str, project: _Project) -> _Figure | None:
    """Return a figure after checking it; None if it has no area."""
    kind = shape.text("geometryType", shape.text("shape", ""))
    if project.listed and not project.classes.has(title):
        listed = shorten(repr(one.name) for one in project.classes.found)
        shape.refuse(
            f"is of the class {title!r}, which {project.classes.where} does not list; expected one of "
            f"{listed}"
        )
    if kind not in _BITMAPS and kind not in _LEAST:
        project.without_area += 1
        return None
    if kind in _BITMAPS:
        bitmap = geometry.record(_BITMAPS[kind])
        bitmap.text("data")
        _origin(bitmap)
    else:
        geometry = Record(geometry.record("points").values, shape.where)
        _rings(geometry, kind)
    return _Figure(position=project.classes.position(title), kind=kind, geometry=geometry)


def _origin(bitmap: Record) -> tuple[int, int]:
    origin = bitmap.listed("origin")
    if len(origin) != 2 or not all(type(one) is int for one in origin):
        bitmap.refuse(f"has origin = {str(origin)[:40]}; expected [x, y] in pixels")
    return origin[0], origin[1]


def _rings(points: Record, kind: str) -> list[np.ndarray]:
    """Return the outline of a shape, and then its holes, (n, 2) each, in whole pixels."""
    rings = [points.listed("exterior"), *points.listed("interior", [])]
    found = []
    for ring in rings:
        if not isinstance(ring, list) or not all(isinstance(one, list) and len(one) == 2 for one in ring):
            points.refuse("has points that are no pairs; expected exterior and interior of [[x, y], ...]")
        flat = [number for point in ring for number in point]
        # Python's rounding, as in the SDK: half to even.
        found.append(np.rint(points_of(flat, where=points.where, least=_LEAST[kind])).astype(np.int32))
    return found


def _draw(figures: Sequence[_Figure], size: tuple[int, int]) -> Positions:
    labels = empty_map(size)
    for figure in figures:
        _paint(labels, figure)
    return labels


def _paint(labels: Positions, figure: _Figure) -> None:
    where = figure.geometry.where
    if figure.kind in _BITMAPS:
        bitmap = figure.geometry.record(_BITMAPS[figure.kind])
        left, top = _origin(bitmap)
        content = unpacked(bytes_of_text(bitmap.text("data"), where=where), where=where)
        mask = opacity_of_png(content, where=where) >= (1 if figure.kind == "bitmap" else _HALF)
        paint_box(labels, mask, figure.position, left=left, top=top, where=where)
        return
    outline, *holes = _rings(figure.geometry, figure.kind)
    mask = np.zeros(labels.shape, np.uint8)
    if figure.kind == "rectangle":
        (left, top), (right, bottom) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
        cv2.rectangle(mask, (left, top), (right, bottom), 1, cv2.FILLED)
    elif figure.kind != "polygon":
        cv2.polylines(mask, [outline], isClosed=False, color=1, thickness=1)
    else:
        cv2.fillPoly(mask, [outline], 1)
        for hole in holes:
            cv2.fillPoly(mask, [hole], 0)
    labels[mask.astype(bool)] = figure.position


def _size(content: Record) -> tuple[int, int] | None:
    if not content.has("size"):
        return None
    size = content.record("size")
    return size.whole("height"), size.whole("width")


def write_supervisely(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write a project of pictures: meta.json, and for each video a data set with a bitmap for each class.

    With `--instances` each region is an object.
    """
    colors = ["#{:02X}{:02X}{:02X}".format(*color) for color in labelled.classes.colors]
    meta = {
        "classes": [
            {"title": name, "shape": "bitmap", "color": color, "geometry_config": {}}
            for name, color in zip(labelled.classes.names, colors, strict=True)
        ],
        "tags": [],
        "projectType": "images",
    }
    (dest / _META).write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")
    for frame in labelled.frames():
        h, w = frame.size
        content = {
            "description": "",
            "size": {"height": h, "width": w},
            "tags": [],
            "objects": list(_objects(frame, labelled.classes.names, options)),
        }
        path = dest / frame.video / "ann" / f"{frame.picture_name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        if options.pictures:
            frame.write_picture(dest / frame.video / "img" / frame.picture_name)
    return []


def _objects(frame: ExportedFrame, names: Sequence[str], options: ExportOptions) -> Iterator[dict[str, Any]]:
    labels = frame.labels()
    for position, mask in regions(labels) if options.instances else class_masks(labels):
        left, top, inside = cut_out(mask)
        yield {
            "classTitle": names[position],
            "description": "",
            "tags": [],
            "geometryType": "bitmap",
            "bitmap": {"origin": [left, top], "data": packed_png_text(inside)},
        }


IMPORT_SUPERVISELY = Importer(
    read=read_supervisely,
    about="a folder or zip of a project with meta.json and DATASET/ann, of pictures or videos",
    keeps="bitmaps, polygons with holes, boxes; later objects lie on top; class names and colours",
    loses="instances, lines, points, tags",
)
EXPORT_SUPERVISELY = Exporter(
    write=write_supervisely,
    about="a project of pictures: meta.json, VIDEO/ann/STEM.png.json and VIDEO/img",
    keeps="labels, void (no object), class names and colours",
    loses="ids",
    lossless=True,
    pictures=True,
)
