"""Read and write labelme: one JSON file beside each picture, with polygons, boxes, circles and masks.

Later shapes lie on top. The labels `__ignore__` and `_background_` are void, as in labelme's own scripts.
Files of X-AnyLabeling, which look alike, are known by their keys and drawn by its rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any

from warprefine.core.errors import DatasetError
from warprefine.core.names import printable
from warprefine.datasets.files import PICTURE_ENDINGS
from warprefine.interchange.embedded import (
    bytes_of_text,
    cut_out,
    empty_map,
    picture_ending,
    picture_size,
    png_text,
)
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.frames import name_parts, stems_of
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.labelme_shapes import (
    LABELME,
    X_ANYLABELING,
    DrawPolygon,
    corners,
    has_area,
    paint,
)
from warprefine.interchange.records import Record, read_record
from warprefine.interchange.shapes import class_masks, regions
from warprefine.interchange.source import Source
from warprefine.io.text import read_text

_EXPECTED = "a labelme file with shapes"
_VOID = frozenset({"__ignore__", "_background_"})
_VERSION = "5.5.0"
_LABELS = "labels.txt"
_KEYS_OF_X_ANYLABELING = frozenset({"kie_linking", "difficult", "score", "attributes", "text"})


def read_labelme(source: Source, options: ImportOptions, *, draw: DrawPolygon | None = None) -> Imported:
    """Read the JSON files of labelme below a folder, or a single one.

    Args:
        source: The export; labels.txt in it gives the order of the classes.
        options: Not used.
        draw: The rule that polygons are drawn by; None is labelme's, or that of X-AnyLabeling if it has
            written the file.

    Raises:
        DatasetError: A file is none of labelme, or a shape is of an unknown kind.
        LabelError: A polygon has too few points.
    """
    del options
    files = source.with_ending(".json")
    if not files:
        raise DatasetError(f"{source.path} holds no JSON file; expected labelme files VIDEO/STEM.json")
    classes = ClassList(where=str(source.path), void_names=_VOID)
    _read_class_names(source, classes)
    frames: list[ImportedFrame] = []
    without_area, unlabelled = 0, 0
    for path in files:
        content = read_record(path, expected=_EXPECTED, named=source.shown(path))
        shapes: list[tuple[int, Record]] = []
        for number, listed in enumerate(content.records("shapes")):
            shape = Record(listed.values, f"{content.where}, shape {number}")
            if has_area(shape):
                corners(shape)
                shapes.append((classes.position(shape.text("label")), shape))
            else:
                without_area += 1
        if shapes:
            rule = draw or (X_ANYLABELING if _is_of_x_anylabeling(content, shapes) else LABELME)
            frames.append(_frame(source, path, content, shapes, rule))
        else:
            unlabelled += 1
    notes = []
    if without_area:
        notes.append(f"{without_area} lines, points and cuboids have no area and are left out")
    if unlabelled:
        notes.append(f"{unlabelled} files have no areas, and their frames get no label map")
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _read_class_names(source: Source, classes: ClassList) -> None:
    for path in source.called(_LABELS)[:1]:
        text = read_text(path, expected="names of classes, one a line", error_class=DatasetError)
        for line in text.split("\n"):
            if line.strip():
                classes.position(line.strip())


def _is_of_x_anylabeling(content: Record, shapes: Sequence[tuple[int, Record]]) -> bool:
    return "checked" in content.values or any(
        not _KEYS_OF_X_ANYLABELING.isdisjoint(shape.values) for _, shape in shapes
    )


def _frame(
    source: Source, path: Path, content: Record, shapes: Sequence[tuple[int, Record]], rule: DrawPolygon
) -> ImportedFrame:
    stem = path.name.removesuffix(path.suffix)
    spelled = content.text("imagePath", "")
    *folders, last = name_parts(spelled) or [stem]
    if spelled and stem not in stems_of(last) and not stem.endswith(stems_of(last)[0]):
        content.refuse(
            f"has imagePath = {printable(spelled)[-200:]!r}; expected the picture that the file is named "
            f"after, {stem!r}",
            cure="rename the file, or correct imagePath",
        )
    below = source.relative(path).parent
    name = str(PurePosixPath(*below.parts, *folders, last if stem in stems_of(last) else stem))
    also = []
    if "/" not in name:  # a folder for each video, and this is one of them
        also, name = [name], f"{_folder_name(source)}/{name}"
    if stem not in stems_of(last):
        also.append(str(PurePosixPath(*folders, last)))
    return ImportedFrame(
        where=f"{content.where} {printable(spelled)[-200:]!r}",
        name=name,
        also=also,
        size=_size(content),
        draw=partial(_draw, shapes, rule),
        picture=_picture(source, path, (*folders, last))
        or (partial(_embedded, source, path) if content.has("imageData") else None),
    )


def _folder_name(source: Source) -> str:
    if source.file is not None:
        return source.root.absolute().name
    return source.path.absolute().name.removesuffix(".zip")


def _size(content: Record) -> tuple[int, int] | None:
    """Return the (h, w) of the picture, if the file has it."""
    embedded = None
    if content.has("imageData"):
        where = f"{content.where}, imageData"
        embedded = picture_size(bytes_of_text(content.text("imageData"), where=where), where=where)
    if not content.has("imageHeight") or not content.has("imageWidth"):
        return embedded
    size = content.whole("imageHeight"), content.whole("imageWidth")
    if embedded is not None and embedded != size:
        content.refuse(
            f"has imageHeight and imageWidth of {size[0]} x {size[1]}, but its imageData is {embedded[0]} x "
            f"{embedded[1]} (h x w); expected the same",
            cure="open and save it in labelme",
        )
    return size


def _picture(source: Source, path: Path, spelled: Sequence[str]) -> Path | None:
    beside = [path.parent / spelled[-1], *(path.with_suffix(ending) for ending in sorted(PICTURE_ENDINGS))]
    for place in beside:
        if place.suffix.lower() in PICTURE_ENDINGS and place.is_file() and not place.is_symlink():
            return place
    return source.picture("/".join(spelled))


def _embedded(source: Source, path: Path) -> Path:
    """Unpack the picture inside a file, which is read again: together they may not fit into the memory."""
    content = read_record(path, expected=_EXPECTED, named=source.shown(path))
    where = f"{content.where}, imageData"
    picture = bytes_of_text(content.text("imageData"), where=where)
    # A folder for each: pictures of one folder are frames of one video.
    target = Path(mkdtemp(dir=source.scratch)) / f"picture{picture_ending(picture, where=where)}"
    target.write_bytes(picture)
    return target


def _draw(shapes: Sequence[tuple[int, Record]], rule: DrawPolygon, size: tuple[int, int]) -> Positions:
    labels = empty_map(size)
    for position, shape in shapes:
        paint(labels, shape, position, rule)
    return labels


def write_labelme(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write VIDEO/STEM.json with a mask for each class, or region, beside the picture; and labels.txt."""
    write_class_names(dest, labelled.classes.names)
    without = 0
    for frame in labelled.frames():
        shapes = list(_shapes(frame, labelled.classes.names, options))
        without += not shapes
        write_file(frame, dest, {"version": _VERSION, "flags": {}, "shapes": shapes}, options)
    return [f"{without} frames have no labels, and their files no shapes"] if without else []


def write_class_names(dest: Path, names: Sequence[str]) -> None:
    """Write labels.txt, which has the names of the classes, one a line.

    Raises:
        DatasetError: A name has a line break, or is one that stands for void.
    """
    for name in names:
        if len(name.splitlines()) != 1 or name != name.strip() or name in _VOID:
            raise DatasetError(
                f"the class {name!a} cannot be written to {_LABELS}; expected a name of one line without "
                f"blanks around it, and not {' or '.join(sorted(_VOID))}; rename it in classes.toml, "
                "or by --map"
            )
    (dest / _LABELS).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def write_file(frame: ExportedFrame, dest: Path, content: dict[str, Any], options: ExportOptions) -> None:
    """Write the JSON file of a frame, with its picture beside it if pictures are written."""
    path = dest / frame.video / f"{frame.stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    h, w = frame.size
    picture = {"imagePath": frame.picture_name, "imageData": None, "imageHeight": h, "imageWidth": w}
    path.write_text(json.dumps({**content, **picture}, ensure_ascii=False), encoding="utf-8")
    if options.pictures:
        frame.write_picture(dest / frame.path)


def _shapes(frame: ExportedFrame, names: Sequence[str], options: ExportOptions) -> Iterator[dict[str, Any]]:
    labels = frame.labels()
    for position, mask in regions(labels) if options.instances else class_masks(labels):
        left, top, inside = cut_out(mask)
        h, w = inside.shape
        yield {
            "label": names[position],
            "points": [[float(left), float(top)], [float(left + w - 1), float(top + h - 1)]],
            "group_id": None,
            "description": "",
            "shape_type": "mask",
            "flags": {},
            "mask": png_text(inside),
        }


IMPORT_LABELME = Importer(
    read=read_labelme,
    about="a folder or zip of labelme's JSON files, or one of them; labels.txt orders the classes",
    keeps="polygons, boxes, circles, masks; later shapes lie on top; __ignore__ and _background_ are void",
    loses="instances (group_id), lines and points, flags; embedded pictures are not taken out",
)
EXPORT_LABELME = Exporter(
    write=write_labelme,
    about="VIDEO/STEM.json with masks, beside VIDEO/STEM.png; labels.txt",
    keeps="labels, void (no shape), class names",
    loses="ids and colours",
    lossless=True,
    pictures=True,
)
