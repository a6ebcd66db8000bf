"""Read and write COCO panoptic: JSON with the segments of each image, and a PNG that says where they are.

The id of a segment is red + 256 · green + 65536 · blue of its pixels, and 0 is no segment. The standard is at
cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.tensors import VOID
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.frames import name_parts
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.pixels import write_colors
from warprefine.interchange.records import Record, read_record
from warprefine.interchange.shapes import class_masks
from warprefine.interchange.source import Source
from warprefine.io.label_pixels import label_pixels
from warprefine.io.pictures import with_picture

_EXPECTED = "COCO panoptic annotations with images, annotations and categories"


def read_coco_panoptic(source: Source, options: ImportOptions) -> Imported:
    """Read COCO panoptic: one or several JSON files, each with a folder of PNGs beside it.

    Raises:
        DatasetError: It is no such file, ids are unknown or used twice, or a PNG is missing.
    """
    del options
    files = _annotation_files(source)
    classes = ClassList(where=str(source.path))
    frames: list[ImportedFrame] = []
    notes: list[str] = []
    for path in files:
        found, unlabelled = _read(source, path, classes)
        frames += found
        if unlabelled:
            notes.append(f"{source.shown(path)}: {unlabelled} images have no annotation and get no label map")
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _annotation_files(source: Source) -> tuple[Path, ...]:
    found = source.with_ending(".json")
    panoptic = tuple(path for path in found if path.stem.lower().startswith("panoptic"))
    return panoptic or (source.only(found, expected="a JSON file of COCO panoptic annotations"),)


def _read(source: Source, path: Path, classes: ClassList) -> tuple[list[ImportedFrame], int]:
    """Return the frames of a file of annotations, and the number of images without annotation."""
    named = source.shown(path)
    content = read_record(path, expected=_EXPECTED, named=named)
    for key in ("categories", "images", "annotations"):
        content.listed(key)
    positions = _categories(content, classes)
    images: dict[int, Record] = {}
    for image in content.records("images"):
        number = image.whole("id")
        if number in images:
            image.refuse("has the id of another image; expected each id once")
        images[number] = Record(image.values, f"{named}, image {number} {image.text('file_name')!r}")
    folders = _folders(source, path)
    frames: dict[int, ImportedFrame] = {}
    for annotation in content.records("annotations"):
        number = annotation.whole("image_id")
        if number not in images:
            annotation.refuse(
                f"is of the image_id {number}, which images does not have; expected one of them"
            )
        if number in frames:
            annotation.refuse(f"is the second one of image {number}; expected one for each image")
        frames[number] = _frame(source, images[number], annotation, positions, folders)
    return list(frames.values()), len(images) - len(frames)


def _categories(content: Record, classes: ClassList) -> dict[int, int]:
    """Return positions of the categories by their ids; a category of an earlier file is the same class."""
    positions: dict[int, int] = {}
    for category in content.records("categories"):
        number, name = category.whole("id"), category.text("name")
        if number in positions:
            category.refuse(f"has the id {number} of another category; expected each id once")
        known = classes.position(name) if classes.has(name) else None
        if known is not None and known in positions.values():
            category.refuse(f"has the name {name!r} of another category; expected each name once")
        if known is None:
            known = classes.add(name, color=_color(category), id=number)
        positions[number] = known
    return positions


def _color(category: Record) -> tuple[int, int, int] | None:
    if not category.has("color"):
        return None
    color = category.listed("color")
    if len(color) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in color):
        category.refuse(f"has color = {str(color)[:40]}; expected [red, green, blue] from 0 to 255")
    red, green, blue = color
    return red, green, blue


def _folders(source: Source, path: Path) -> list[Path]:
    """Return where the PNGs of a file of annotations may lie: in a folder of its name, or called panoptic."""
    beside = [path.with_suffix(""), path.parent / "panoptic", path.parent.parent / path.stem]
    if path.stem.lower().endswith("_annotations"):
        beside.insert(1, path.with_name(path.stem[: -len("_annotations")]))
    found = [*beside, path.parent]
    inside = [folder for folder in found if source.file is not None or folder.is_relative_to(source.root)]
    return [folder for folder in inside if folder.is_dir()]


@dataclass(frozen=True, kw_only=True)
class _Segments:
    """A PNG of segments, and the position of the class of each.

    Attributes:
        path: The PNG.
        where: How messages name it.
        positions: Positions of classes by the ids of segments.
    """

    path: Path
    where: str
    positions: Mapping[int, int]

    def draw(self, size: tuple[int, int]) -> Positions:
        """Return the label map; pixels of no segment are VOID."""
        del size
        found = with_picture(self.path, partial(_ids, path=self.path), error_class=LabelError)
        ids, places = np.unique(found, return_inverse=True)
        for number in ids.tolist():
            if number and number not in self.positions:
                y, x = np.argwhere(found == number)[0].tolist()
                raise LabelError(
                    f"{self.where} has the segment {number} at x={x}, y={y}, which segments_info does not "
                    f"list; expected one of {shorten(self.positions)}; export it again"
                )
        table = np.array([self.positions.get(number, VOID) for number in ids.tolist()], np.uint8)
        return table[places.reshape(found.shape)]


def _ids(picture: ImageFile.ImageFile, *, path: Path) -> NDArray[np.int64]:
    if picture.mode not in ("RGB", "RGBA"):
        raise LabelError(
            f"{path} has the mode {picture.mode}, one channel; expected RGB, as ids of segments are "
            "red + 256 · green + 65536 · blue; export it again in colours"
        )
    channels = label_pixels(picture, path).astype(np.int64)
    ids: NDArray[np.int64] = channels @ np.array([1, 1 << 8, 1 << 16])
    return ids


def _frame(
    source: Source,
    image: Record,
    annotation: Record,
    positions: Mapping[int, int],
    folders: Sequence[Path],
) -> ImportedFrame:
    name, file_name = image.text("file_name"), annotation.text("file_name")
    annotation = Record(annotation.values, f"{image.where}, annotation {file_name!r}")
    path = next(
        (one for one in (folder.joinpath(*name_parts(file_name)) for folder in folders) if one.is_file()),
        None,
    )
    if path is None:
        looked = shorten(map(source.shown, folders)) or "no folder beside it"
        raise DatasetError(
            f"{annotation.where} is not there: {file_name!r} is missing in {looked}; expected the PNG of its "
            "segments; put the folder of PNGs beside the JSON file, under the same name"
        )
    segments: dict[int, int] = {}
    for segment in annotation.records("segments_info"):
        number, category = segment.whole("id"), segment.whole("category_id")
        if number == 0:
            segment.refuse("has the id 0, which is for pixels without a label; expected ids from 1 on")
        if number in segments:
            segment.refuse("has the id of another segment; expected each id once")
        if category not in positions:
            segment.refuse(f"has the category_id {category}, which categories does not have")
        segments[number] = positions[category]
    size = None
    if image.has("width") and image.has("height"):
        size = image.whole("height"), image.whole("width")
    return ImportedFrame(
        where=image.where,
        name=name,
        also=(file_name,),
        size=size,
        draw=_Segments(path=path, where=f"{image.where}, {source.shown(path)}", positions=segments).draw,
        picture=_picture(source, name, besides=path),
    )


def _picture(source: Source, name: str, *, besides: Path) -> Path | None:
    """Return the picture of an image, which may have the same name as its PNG."""
    for wanted in (f"images/{name}", name):
        found = source.picture(wanted)
        if found is not None and found != besides:
            return found
    return None


def write_coco_panoptic(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write annotations/panoptic_SPLIT.json and annotations/panoptic_SPLIT/VIDEO/STEM.png.

    Each class of a frame is a segment, or each region with `--instances`. Categories have the ids of the
    classes, and their colours; they are things with `--instances`, else stuff. If a class has the id 0, all
    are one larger: datumaro reads a category 0 as no class.
    """
    classes = labelled.classes
    shift = int(0 in classes.ids)
    numbers = [number + shift for number in classes.ids]
    categories = [
        {
            "id": number,
            "name": name,
            "supercategory": "",
            "isthing": int(options.instances),
            "color": list(color),
        }
        for number, name, color in zip(numbers, classes.names, classes.colors, strict=True)
    ]
    images: dict[str, list[dict[str, Any]]] = {"train": [], "val": []} if options.split else {"train": []}
    annotations: dict[str, list[dict[str, Any]]] = {split: [] for split in images}
    folder = dest / "annotations"
    for number, frame in enumerate(labelled.frames(), start=1):
        h, w = frame.size
        file_name = f"{frame.video}/{frame.stem}.png"
        images[frame.split].append({"id": number, "file_name": frame.path, "height": h, "width": w})
        ids, segments = _segments(frame.labels(), numbers, instances=options.instances)
        annotations[frame.split].append(
            {"image_id": number, "file_name": file_name, "segments_info": segments}
        )
        channels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1)
        write_colors(folder / f"panoptic_{frame.split}" / file_name, channels.astype(np.uint8))
        if options.pictures:
            frame.write_picture(dest / "images" / frame.split / frame.path)
    for split, members in images.items():
        content = {"images": members, "annotations": annotations[split], "categories": categories}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"panoptic_{split}").mkdir(exist_ok=True)
        text = json.dumps(content, ensure_ascii=False)
        (folder / f"panoptic_{split}.json").write_text(text, encoding="utf-8")
    return ["ids of categories are one larger than those of the classes, as 0 is none there"] if shift else []


def _segments(
    labels: Positions, numbers: Sequence[int], *, instances: bool
) -> tuple[NDArray[np.int32], list[dict[str, Any]]]:
    """Return the ids of segments, (h, w) from 1, 0 for none, and what describes each."""
    ids = np.zeros(labels.shape, np.int32)
    found: list[dict[str, Any]] = []
    for position, mask in class_masks(labels):
        for inside, (x, y, w, h), area in _parts(mask, instances=instances):
            ids[y : y + h, x : x + w][inside] = len(found) + 1
            found.append(
                {
                    "id": len(found) + 1,
                    "category_id": numbers[position],
                    "iscrowd": 0,
                    "bbox": [x, y, w, h],
                    "area": area,
                }
            )
    return ids, found


def _parts(
    mask: NDArray[np.bool_], *, instances: bool
) -> Iterator[tuple[NDArray[np.bool_], tuple[int, int, int, int], int]]:
    """Yield the connected regions of a mask, or all of it: the pixels in its box, (x, y, w, h), its area."""
    values = mask.astype(np.uint8)
    if not instances:
        x, y, w, h = map(int, cv2.boundingRect(values))
        yield mask[y : y + h, x : x + w], (x, y, w, h), int(mask.sum())
        return
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(values, connectivity=8)
    for number in range(1, count):
        x, y, w, h, area = map(int, boxes[number])
        yield numbers[y : y + h, x : x + w] == number, (x, y, w, h), area


IMPORT_COCO_PANOPTIC = Importer(
    read=read_coco_panoptic,
    about="panoptic_NAME.json with the folder panoptic_NAME of PNGs beside it, or a folder or zip with both",
    keeps="classes with ids and colours; all segments, crowds too",
    loses="instances (merged into classes)",
)
EXPORT_COCO_PANOPTIC = Exporter(
    write=write_coco_panoptic,
    about="annotations/panoptic_train.json and annotations/panoptic_train/VIDEO/STEM.png",
    keeps="labels, void (0), class names, ids and colours",
    loses="nothing of the labels; ids are one larger if a class has 0",
    lossless=True,
)
