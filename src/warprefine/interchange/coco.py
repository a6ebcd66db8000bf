"""Read and write COCO instances: polygons and RLE in one JSON file.

COCO does not define which of two overlapping annotations is on top: here it is the later one in the file. The
standard is at cocodataset.org/#format-data; masks are those of pycocotools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.mask_runs import MaskRuns, coco_runs
from warprefine.interchange.packages import package
from warprefine.interchange.records import Record, read_record, shown_value
from warprefine.interchange.shapes import MaskArray, coco_polygon, counts_of_text, mask_of_counts, points_of
from warprefine.interchange.source import Source

_EXPECTED = "COCO annotations with images, annotations and categories"


def read_coco(source: Source, options: ImportOptions) -> Imported:
    """Read a COCO file of instances; RLE of crowds counts as any other.

    Raises:
        DatasetError: It is no such file, ids are unknown or used twice, or an annotation has no shape of
            COCO.
    """
    del options
    files = _annotations(source)
    classes = ClassList(where=source.shown(files[0]))
    positions: dict[int, int] = {}
    frames: list[ImportedFrame] = []
    notes: list[str] = []
    for path in files:
        found, told = _read(source, path, classes, positions)
        frames += found
        notes += told
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _read(
    source: Source, path: Path, classes: ClassList, positions: dict[int, int]
) -> tuple[list[ImportedFrame], list[str]]:
    """Return the frames of a file and notes; the categories of a further file must be those of the first."""
    named = source.shown(path)
    content = read_record(path, expected=_EXPECTED, named=named)
    for key in ("categories", "images", "annotations"):
        content.listed(key)
    _categories(content, classes, positions)
    images = _images(content)
    shapes: dict[int, list[tuple[int, Record]]] = {number: [] for number in images}
    boxes = 0
    for listed in content.records("annotations"):
        image, number = listed.whole("image_id"), listed.whole("category_id")
        if image not in images:
            listed.refuse(f"is of the image_id {image}, which images does not have; expected one of them")
        if number not in positions:
            listed.refuse(f"has the category_id {number}, which categories does not have")
        name = images[image].text("file_name")
        called = shown_value(listed.values.get("id"))
        annotation = Record(listed.values, f"{named}, annotation {called} of image {image} {name!r}")
        shapes[image].append((positions[number], annotation))
        if _has_no_area(annotation):
            boxes += 1
        else:
            _check_shape(annotation)
    frames = [
        _frame(source, record, shapes[number], named=named)
        for number, record in images.items()
        if shapes[number]
    ]
    return frames, list(_notes(named, boxes, len(images) - len(frames)))


def _annotations(source: Source) -> Sequence[Path]:
    """Return the files of annotations: instances_train.json and instances_val.json, or the only JSON file."""
    found = source.with_ending(".json")
    for kind in ("instances", "stuff"):
        if len(found) > 1 and (named := [path for path in found if path.stem.lower().startswith(kind)]):
            return named
    return [source.only(found, expected="one JSON file of COCO annotations, or instances_NAME.json")]


def _categories(content: Record, classes: ClassList, positions: dict[int, int]) -> None:
    """Add the classes of the first file, or compare those of a further one with them."""
    known, seen = dict(positions), set[int]()
    for category in content.records("categories"):
        number, name = category.whole("id"), category.text("name")
        if number in seen:
            category.refuse(f"has the id {number} of another category; expected each id once")
        seen.add(number)
        if not known:
            positions[number] = classes.add(name, id=number)
        elif number not in known or classes.position(name) != known[number]:
            category.refuse(
                f"gives the id {number} to {name!r}, and {classes.where} does not; expected the same "
                "categories in both; import the files one by one"
            )


def _images(content: Record) -> dict[int, Record]:
    images: dict[int, Record] = {}
    names: dict[str, int] = {}
    for image in content.records("images"):
        number, name = image.whole("id"), image.text("file_name")
        if number in images:
            image.refuse("has the id of another image; expected each id once")
        if name in names:
            image.refuse(f"has the file_name {name!r} of image {names[name]}; expected each file once")
        images[number], names[name] = image, number
    return images


def _frame(
    source: Source, image: Record, shapes: Sequence[tuple[int, Record]], *, named: str
) -> ImportedFrame:
    name = image.text("file_name")
    where = f"{named}, image {image.whole('id')} {name!r}"
    size = None
    if image.has("width") and image.has("height"):
        size = image.whole("height"), image.whole("width")
    return ImportedFrame(
        where=where,
        name=name,
        size=size,
        draw=partial(_draw, shapes),
        picture=source.picture(name),
    )


def _draw(shapes: Sequence[tuple[int, Record]], size: tuple[int, int]) -> Positions:
    """Paint the annotations of an image in the order of the file."""
    labels = np.full(size, VOID, np.uint8, order="F")  # masks lie in columns
    for position, annotation in shapes:
        if not _has_no_area(annotation):
            np.copyto(labels, position, where=_mask(annotation, size))
    return np.ascontiguousarray(labels)


def _has_no_area(annotation: Record) -> bool:
    """Return whether an annotation is a box alone."""
    return annotation.values.get("segmentation") in (None, [])


def _check_shape(annotation: Record) -> None:
    """Check what can be checked without drawing, so that nothing is written before a mistake is found."""
    shape = annotation.values["segmentation"]
    if isinstance(shape, dict):
        record = annotation.record("segmentation")
        size = record.listed("size")
        if len(size) != 2 or not all(type(side) is int and side >= 0 for side in size):
            record.refuse(f"has size = {shown_value(size)}; expected [height, width]")
        if not isinstance(record.values.get("counts"), str | list):
            record.refuse(
                f"has counts = {shown_value(record.values.get('counts'))}; expected a text or a list"
            )
    elif not isinstance(shape, list) or not all(isinstance(part, list) for part in shape):
        annotation.refuse(
            f"has segmentation = {shown_value(shape)}; expected a list of polygons [[x, y, x, y, ...], ...] "
            "or an "
            "RLE with size and counts"
        )
    else:
        for part in shape:
            points_of(part, where=annotation.where)


def _mask(annotation: Record, size: tuple[int, int]) -> MaskArray:
    shape = annotation.values["segmentation"]
    if isinstance(shape, list):
        mask = np.zeros(size, bool)
        for part in shape:  # a union, whatever lies in whatever: COCO's polygons have no holes
            mask |= coco_polygon(points_of(part, where=annotation.where), size)
        return mask
    if tuple(shape["size"]) != size:
        raise LabelError(
            f"{annotation.where} has an RLE of size {shape['size']} (h, w), but the frame is {list(size)}; "
            "expected "
            "the size of the frame; export it again"
        )
    counts = shape["counts"]
    runs = counts_of_text(counts, where=annotation.where) if isinstance(counts, str) else counts
    return mask_of_counts(runs, size, where=annotation.where, order="columns")


def _notes(named: str, boxes: int, unlabelled: int) -> Iterator[str]:
    if boxes:
        yield f"{named}: {boxes} annotations have an empty segmentation (boxes alone), which label no pixel"
    if unlabelled:
        yield f"{named}: {unlabelled} images have no annotation and get no label map"


def write_coco(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write annotations/instances_SPLIT.json with an RLE for each class of an image, or for each region.

    RLE keeps holes and single pixels, which polygons of COCO cannot. `iscrowd` is 0, as training code passes
    over crowds. Categories have the ids of the classes, and their colours.
    """
    coder = package("pycocotools.mask", needed_for="COCO")
    classes, ids = labelled.classes, labelled.classes.ids
    categories = [
        {"id": number, "name": name, "supercategory": "", "color": list(color)}
        for number, name, color in zip(ids, classes.names, classes.colors, strict=True)
    ]
    images: dict[str, list[dict[str, Any]]] = {"train": [], "val": []} if options.split else {"train": []}
    annotations: dict[str, list[dict[str, Any]]] = {split: [] for split in images}
    for number, frame in enumerate(labelled.frames(), start=1):
        h, w = frame.size
        images[frame.split].append({"id": number, "file_name": frame.path, "height": h, "width": w})
        found = annotations[frame.split]
        masks = [*coco_runs(frame.labels(), instances=options.instances)]
        plain = [{"size": [h, w], "counts": mask.runs} for mask in masks]
        packed = coder.frPyObjects(plain, h, w) if plain else []
        for mask, rle in zip(masks, packed, strict=True):
            one = {"id": len(found) + 1, "image_id": number, "category_id": ids[mask.position]}
            found.append(one | _annotation(mask, rle))
        if options.pictures:
            frame.write_picture(dest / "images" / frame.path)
    for split, members in images.items():
        content = {"images": members, "annotations": annotations[split], "categories": categories}
        path = dest / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return []


def _annotation(mask: MaskRuns, rle: dict[str, Any]) -> dict[str, Any]:
    return {
        "iscrowd": 0,
        "area": mask.area,
        "bbox": [float(side) for side in mask.box],
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
    }


IMPORT_COCO = Importer(
    read=read_coco,
    about="instances.json, or a folder or zip with one",
    keeps="classes with ids; polygons and RLE, crowds too; later annotations lie on top",
    loses="instances (merged into classes), boxes, keypoints, captions",
)
EXPORT_COCO = Exporter(
    write=write_coco,
    about="annotations/instances_train.json, RLE",
    keeps="labels, void (no annotation), class names, ids and colours",
    loses="nothing of the labels; a frame without labels is an image without annotations",
    lossless=True,
)
