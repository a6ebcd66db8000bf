"""Read and write Datumaro's own JSON: annotations/SUBSET.json, with masks as RLE and polygons.

Written directly and not by datumaro: its package brings pandas, OpenCV and a dozen others for a JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from warprefine.core.classes import Color
from warprefine.core.errors import LabelError, shorten
from warprefine.core.tensors import VOID
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.frames import name_parts
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.packages import package
from warprefine.interchange.records import Record, read_record
from warprefine.interchange.shapes import (
    MaskArray,
    class_masks,
    coco_polygon,
    counts_of_text,
    mask_of_counts,
    points_of,
    regions,
)
from warprefine.interchange.source import Source

_EXPECTED = "Datumaro annotations with categories and items"
_AREAS = ("mask", "polygon")


def read_datumaro(source: Source, options: ImportOptions) -> Imported:
    """Read Datumaro's JSON: the files of all subsets in annotations/, or one file.

    Shapes with a larger z_order lie on top, and of equal ones the later one in the file.

    Raises:
        DatasetError: It is no such file, or a shape has no label that categories lists.
    """
    del options
    classes = ClassList(where=str(source.path))
    tally = _Tally()
    frames: list[ImportedFrame] = []
    for path in _annotation_files(source):
        frames += _read(source, path, classes, tally)
    return Imported(classes=classes.found, frames=frames, notes=tally.notes(str(source.path)))


@dataclass(kw_only=True)
class _Tally:
    """What is left out: kinds of shapes without area, and items without any that has one."""

    kinds: dict[str, int] = field(default_factory=dict)
    unlabelled: int = 0

    def notes(self, where: str) -> list[str]:
        """Return a line for each."""
        notes = []
        if self.kinds:
            listed = shorten(f"{count} of type {kind!r}" for kind, count in sorted(self.kinds.items()))
            notes.append(f"{where}: annotations that label no pixel are left out: {listed}")
        if self.unlabelled:
            notes.append(f"{where}: {self.unlabelled} items have no mask and no polygon and get no label map")
        return notes


def _annotation_files(source: Source) -> tuple[Path, ...]:
    found = source.with_ending(".json")
    inside = tuple(path for path in found if path.parent.name.lower() == "annotations")
    if inside or len(found) == 1:
        return inside or found
    return (source.only(found, expected="annotations/SUBSET.json of Datumaro"),)


def _read(source: Source, path: Path, classes: ClassList, tally: _Tally) -> list[ImportedFrame]:
    named = source.shown(path)
    content = read_record(path, expected=_EXPECTED, named=named)
    content.listed("items")
    positions = _labels(content, classes)
    frames: list[ImportedFrame] = []
    for item in content.records("items"):
        name = item.text("id")
        item = Record(item.values, f"{named}, item {name!r}")  # noqa: PLW2901
        shapes = _shapes(item, positions, tally)
        if not shapes:
            tally.unlabelled += 1
            continue
        frames.append(_frame(source, item, name, shapes, subset=path.stem))
    return frames


def _labels(content: Record, classes: ClassList) -> list[int]:
    """Return the positions of the labels of a file; a label of an earlier file is the same class."""
    categories = content.record("categories")
    labels = list(categories.record("label").records("labels"))
    colors = _colors(categories)
    positions: list[int] = []
    for number, label in enumerate(labels):
        name = label.text("name")
        known = classes.position(name) if classes.has(name) else None
        if known is not None and known in positions:
            label.refuse(f"has the name {name!r} of another label; expected each name once")
        positions.append(classes.add(name, color=colors.get(number)) if known is None else known)
    return positions


def _colors(categories: Record) -> Mapping[int, Color]:
    if not categories.has("mask"):
        return {}
    mask = categories.record("mask")
    found: dict[int, Color] = {}
    for entry in mask.records("colormap", []):
        color = (entry.whole("r"), entry.whole("g"), entry.whole("b"))
        if not all(0 <= part <= 255 for part in color):
            entry.refuse(f"has the colour {color}; expected numbers from 0 to 255")
        found[entry.whole("label_id")] = color
    return found


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """A mask or polygon of an item, and the position of its class."""

    record: Record
    position: int

    def mask(self, size: tuple[int, int]) -> MaskArray:
        """Draw it as datumaro does, with pycocotools."""
        where = self.record.where
        if self.record.text("type") == "polygon":
            return coco_polygon(points_of(self.record.listed("points"), where=where), size)
        rle = self.record.record("rle")
        if tuple(rle.listed("size")) != size:
            raise LabelError(
                f"{where} has an RLE of size {str(rle.values['size'])[:40]} (h, w), but the frame is "
                f"{list(size)}; expected the size of the frame; export it again"
            )
        counts = rle.values["counts"]
        runs = counts_of_text(counts, where=where) if isinstance(counts, str) else counts
        return mask_of_counts(runs, size, where=where, order="columns")


def _shapes(item: Record, positions: Sequence[int], tally: _Tally) -> list[_Shape]:
    """Return the shapes of an item from the lowest to the one on top, after checking all but their pixels."""
    found: list[tuple[int, _Shape]] = []
    for number, annotation in enumerate(item.records("annotations", [])):
        kind = annotation.text("type")
        if kind not in _AREAS:
            tally.kinds[kind] = tally.kinds.get(kind, 0) + 1
            continue
        record = Record(annotation.values, f"{item.where}, annotation {number} ({kind})")
        label = record.whole("label_id")
        if not 0 <= label < len(positions):
            record.refuse(
                f"has label_id = {label}; expected one of the {len(positions)} labels of categories, from 0"
            )
        if kind == "polygon":
            points_of(record.listed("points"), where=record.where)
        elif not isinstance(record.record("rle").values.get("counts"), str | list):
            record.refuse("has an rle without counts; expected a text or a list")
        found.append((record.whole("z_order", 0), _Shape(record=record, position=positions[label])))
    return [shape for _, shape in sorted(found, key=lambda one: one[0])]


def _frame(
    source: Source, item: Record, name: str, shapes: Sequence[_Shape], *, subset: str
) -> ImportedFrame:
    also: list[str] = []
    size = None
    video = None
    index = None
    if item.has("image"):
        image = item.record("image")
        also = [image.text("path", "")]
        if image.has("size"):
            size = _size(image)
    if item.has("video_frame"):
        media = item.record("video_frame")
        video = "".join(name_parts(media.text("video_path", ""))[-1:]) or None
        index = media.whole("frame_index") if media.has("frame_index") else index
    return ImportedFrame(
        where=item.where,
        name=name,
        also=[one for one in also if one],
        video=video,
        index=index,
        size=size,
        draw=_Drawing(shapes=shapes).draw,
        picture=_picture(source, [*also, name], subset),
    )


def _size(image: Record) -> tuple[int, int]:
    size = image.listed("size")
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        image.refuse(f"has size = {str(size)[:40]}; expected [height, width]")
    h, w = size
    return h, w


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """The shapes of an item from the lowest to the one on top."""

    shapes: Sequence[_Shape]

    def draw(self, size: tuple[int, int]) -> Positions:
        """Return the label map; pixels of no shape are VOID."""
        labels = np.full(size, VOID, np.uint8)
        for shape in self.shapes:
            labels[shape.mask(size)] = shape.position
        return labels


def _picture(source: Source, names: Sequence[str], subset: str) -> Path | None:
    """Return the picture of an item: images/SUBSET/NAME, by its path or by its id with any ending."""
    for name in names:
        for ending in ("", ".png", ".jpg", ".jpeg", ".bmp"):
            for folder in (f"images/{subset}/", "images/", ""):
                if name and (found := source.picture(f"{folder}{name}{ending}")):
                    return found
    return None


def write_datumaro(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write annotations/SPLIT.json with an RLE for each class of a frame, or for each region.

    With pictures, they lie in images/SPLIT/VIDEO/NAME.
    """
    coder = package("pycocotools.mask", needed_for="Datumaro's masks")
    classes = labelled.classes
    items: dict[str, list[dict[str, Any]]] = {"train": [], "val": []} if options.split else {"train": []}
    for frame in labelled.frames():
        labels = frame.labels()
        found = regions(labels) if options.instances else class_masks(labels)
        annotations = [
            _annotation(coder, mask, number=number, position=position)
            for number, (position, mask) in enumerate(found, start=1)
        ]
        items[frame.split].append(
            {
                "id": f"{frame.video}/{frame.stem}",
                "annotations": annotations,
                "attr": {"frame": frame.number},
                "image": {"path": frame.path, "size": list(frame.size)},
            }
        )
        if options.pictures:
            frame.write_picture(dest / "images" / frame.split / frame.path)
    head = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": _categories(labelled)}
    for split, members in items.items():
        path = dest / "annotations" / f"{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**head, "items": members}, ensure_ascii=False), encoding="utf-8")
    if classes.ids == tuple(range(len(classes))):
        return []
    return [f"the ids of the classes, {shorten(classes.ids)}, are left out: Datumaro counts labels from 0"]


def _categories(labelled: Exported) -> dict[str, Any]:
    classes = labelled.classes
    labels = [{"name": name, "parent": "", "attributes": []} for name in classes.names]
    colors = [
        {"label_id": position, "r": red, "g": green, "b": blue}
        for position, (red, green, blue) in enumerate(classes.colors)
    ]
    return {
        "label": {"labels": labels, "label_groups": [], "attributes": []},
        "mask": {"colormap": colors},
        "points": {"items": []},
    }


def _annotation(coder: Any, mask: MaskArray, *, number: int, position: int) -> dict[str, Any]:
    runs = coder.encode(np.asfortranarray(mask, np.uint8))
    return {
        "id": number,
        "type": "mask",
        "attributes": {},
        "group": number,
        "label_id": position,
        "rle": {"counts": runs["counts"].decode("ascii"), "size": list(runs["size"])},
        "z_order": 0,
    }


IMPORT_DATUMARO = Importer(
    read=read_datumaro,
    about="annotations/SUBSET.json, or a folder or zip with such files",
    keeps="classes with colours; masks and polygons in their z_order",
    loses="instances (merged into classes), boxes, points, labels of whole pictures",
)
EXPORT_DATUMARO = Exporter(
    write=write_datumaro,
    about="annotations/train.json, masks as RLE",
    keeps="labels, void (no mask), class names and colours",
    loses="ids: labels are counted from 0",
    lossless=True,
)
