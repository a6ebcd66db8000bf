"""Read and write YOLO segmentation: a text file of polygons for each picture, and data.yaml.

A line is the index of a class and x y of corners, in parts of the width and height. Smaller polygons lie on
larger ones, and corners are pixels, as ultralytics draws them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warprefine.core.errors import DatasetError, LabelError
from warprefine.core.tensors import VOID
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import FileClass, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.outlines import outlines
from warprefine.interchange.shapes import Points, cv2_polygon
from warprefine.interchange.source import Source
from warprefine.interchange.yolo_data import (
    classes_of,
    find_data_yaml,
    named_classes,
    read_data_yaml,
    write_data_yaml,
)
from warprefine.io.text import read_text

_LABELS = "labels"
_NO_LABELS = frozenset(["classes.txt", "train.txt", "val.txt", "test.txt", "requirements.txt"])
_MOST_BYTES = 1 << 26
_BOX = 4
_BEYOND = 0.01
"""So far beyond the border ultralytics lets corners be, in parts of the side."""
_INSIDE = 0.25
"""Corners are written a quarter of a pixel inside, so that the pixel is found by cutting and by rounding."""


def read_yolo_seg(source: Source, options: ImportOptions) -> Imported:
    """Read label files with polygons; the classes are those of data.yaml, or of `--names` without one.

    Raises:
        DatasetError: There are no label files, or nothing names the classes.
    """
    classes, listed = _classes(source, options)
    files = [path for path in source.with_ending(".txt") if path.name.lower() not in _NO_LABELS]
    marked = [path for path in files if _LABELS in source.relative(path).parts[:-1]]
    files = marked or files
    if not files:
        raise DatasetError(f"{source.path} holds no label file; expected labels/train/VIDEO/STEM.txt")
    filled = [path for path in files if _has_lines(path)]
    frames = [_frame(source, path, classes, listed) for path in filled]
    notes = []
    if len(filled) < len(files):
        notes.append(
            f"{len(files) - len(filled)} label files are empty, as of frames that nobody has labelled, and "
            "give no label map"
        )
    return Imported(classes=classes, frames=frames, notes=notes)


def _classes(source: Source, options: ImportOptions) -> tuple[list[FileClass], str]:
    """Return the classes in the order of their indices, and what lists them."""
    path = find_data_yaml(source)
    if path is not None:
        named = source.shown(path)
        return classes_of(read_data_yaml(path, named=named), named=named), named
    if options.names:
        return named_classes(options), "--names"
    raise DatasetError(
        f"{source.path} holds no data.yaml, which names the classes; expected it beside the folder labels; "
        "say --names road,car,... in the order of the indices"
    )


def _has_lines(path: Path) -> bool:
    return bool(_text(path).strip())


def _text(path: Path) -> str:
    return read_text(path, expected="polygons of YOLO", error_class=LabelError, most_bytes=_MOST_BYTES)


def _frame(source: Source, path: Path, classes: list[FileClass], listed: str) -> ImportedFrame:
    parts = source.relative(path).parts
    begin = len(parts) - parts[::-1].index(_LABELS) if _LABELS in parts[:-1] else 0
    name = "/".join(parts[begin:])[: -len(path.suffix)]
    pictures = (
        source.picture(f"{folder}{name}{ending}")
        for folder in ("images/", "")
        for ending in (".png", ".jpg", ".jpeg", ".bmp", ".webp")
    )
    return ImportedFrame(
        where=source.shown(path),
        name=name,
        draw=partial(_draw, path, source.shown(path), len(classes), listed),
        picture=next((one for one in pictures if one is not None), None),
    )


def _draw(path: Path, named: str, count: int, listed: str, size: tuple[int, int]) -> Positions:
    """Paint the polygons of a file, larger ones first."""
    h, w = size
    scale = np.array([w, h], np.float32)  # in the precision of ultralytics: corners are cut to whole pixels
    polygons = []
    for position, points in _polygons(path, named, count, listed):
        corners = (points.astype(np.float32) * scale).astype(np.float64)
        polygons.append((-int(cv2_polygon(corners, size).sum()), position, corners))
    labels = np.full(size, VOID, np.uint8)
    for _, position, corners in sorted(polygons, key=lambda one: one[0]):
        labels[cv2_polygon(corners, size)] = position
    return labels


def _polygons(path: Path, named: str, count: int, listed: str) -> Iterator[tuple[int, Points]]:
    """Yield the class and the corners of each line, in parts of the width and height."""
    for number, line in enumerate(_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"{named}, line {number},"
        try:
            values = np.array([float(field) for field in fields])
        except ValueError as error:
            raise LabelError(
                f"{where} is {line.strip()[:60]!r}; expected the index of a class and x y of corners, all "
                "numbers; correct it there"
            ) from error
        yield _class_of(values[0], where, count, listed), _corners(values[1:], where)


def _class_of(value: float, where: str, count: int, listed: str) -> int:
    if not value.is_integer() or not 0 <= value < count:
        raise LabelError(
            f"{where} has the class {value:g}; expected an index of the {count} classes that {listed} names, "
            f"from 0 to {count - 1}"
        )
    return int(value)


def _corners(values: NDArray[np.float64], where: str) -> Points:
    if len(values) == _BOX:
        raise LabelError(
            f"{where} has 5 numbers: a box of an object, not a polygon; expected at least 3 corners; boxes "
            "have no pixels of a class: export polygons alone"
        )
    if len(values) % 2 or len(values) < 6:
        raise LabelError(
            f"{where} has {len(values)} numbers after the class; expected x and y of at least 3 corners; "
            "export it again"
        )
    if not np.isfinite(values).all() or values.min() < -_BEYOND or values.max() > 1 + _BEYOND:
        strange = values[~((values >= -_BEYOND) & (values <= 1 + _BEYOND))][0]
        raise LabelError(
            f"{where} has the coordinate {strange:g}; expected parts of the width and height, from 0 to 1; "
            "divide pixels by the size of the picture"
        )
    corners: Points = values.reshape(-1, 2)
    return corners


def write_yolo_seg(labelled: Exported, dest: Path, options: ExportOptions) -> Iterator[str]:
    """Write labels/SPLIT/VIDEO/STEM.txt, images/SPLIT/VIDEO/NAME and data.yaml.

    Each region is a polygon, larger ones first; a cut without width leads to a hole that has void. Frames
    without labels are left out: to ultralytics a picture without label file is one of background alone.
    """
    empty: list[str] = []
    for frame in labelled.frames():
        labels = frame.labels()
        lines = []
        h, w = labels.shape
        for one in outlines(labels, open_void=True):
            corners = (one.corners + _INSIDE) / [w, h]
            lines.append(" ".join([str(one.position), *(f"{value:.6f}" for value in corners.ravel())]) + "\n")
        if not lines:
            empty.append(frame.path)
            continue
        path = dest / _LABELS / frame.split / frame.video / f"{frame.stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
        if options.pictures:
            frame.write_picture(dest / "images" / frame.split / frame.path)
    write_data_yaml(dest / "data.yaml", labelled.classes.names, split=options.split, further={})
    if empty:
        yield f"{len(empty)} frames have no labels and are left out, as they would be background"


IMPORT_YOLO_SEG = Importer(
    read=read_yolo_seg,
    about="YOLO segmentation: data.yaml, polygons in labels/; --names without data.yaml",
    keeps="labels, class names; smaller polygons lie on larger ones",
    loses="instances (merged into classes); boxes are refused",
)
EXPORT_YOLO_SEG = Exporter(
    write=write_yolo_seg,
    about="labels/SPLIT/VIDEO/STEM.txt, images/ and data.yaml",
    keeps="labels, void, class names; each region is a polygon, with cuts that lead to void in it",
    loses="colours, ids; rasterizers that leave the rim out lose a pixel around each region",
    lossless=True,
    pictures=True,
)
