"""Read and write "CVAT for images 1.1": one XML file with the shapes of each picture.

DEST/annotations.xml          labels, and a mask for each class of a picture
DEST/images/VIDEO/STEM.png    pictures, on request
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

from warprefine.core.errors import DatasetError
from warprefine.interchange.cvat_writing import attributes, masks_of, written_meta
from warprefine.interchange.cvat_xml import CvatFile, Layer, draw_layers, notes_of, read_cvat_files
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.frames import frame_number
from warprefine.interchange.imported import ClassList, Imported, ImportedFrame, ImportOptions
from warprefine.interchange.source import Source

_ENDINGS = ("", ".PNG", ".png", ".jpg", ".jpeg")
_OTHER = "pictures with shapes; import tracks as cvat-video"


def read_cvat_images(source: Source, options: ImportOptions) -> Imported:
    """Read annotations.xml of a task, a job or a project; z order decides which of two shapes is on top.

    Raises:
        DatasetError: It is no such file, or a shape has a label that the file does not list.
    """
    del options
    classes = ClassList(where=str(source.path))
    frames: list[ImportedFrame] = []
    notes: list[str] = []
    for file in read_cvat_files(source, classes, holds="image", other=_OTHER):
        images = file.root.findall("image")
        if not images:
            raise DatasetError(f"{file.named} holds no image; expected {_OTHER}; export it again")
        found = [_frame(source, file, image) for image in images]
        labelled = [frame for frame in found if frame is not None]
        frames += labelled
        notes += notes_of(file.left_out, file.named)
        if len(labelled) < len(found):
            notes.append(
                f"{file.named}: {len(found) - len(labelled)} images have no shape with an area and get no "
                "label map"
            )
    return Imported(classes=classes.found, frames=frames, notes=notes)


def _frame(source: Source, file: CvatFile, image: Element) -> ImportedFrame | None:
    """Return an image with its shapes; None if nobody has labelled it."""
    name = image.get("name", "")
    where = f"{file.named}, image {image.get('id', '')} {name!r}"
    if not name:
        raise DatasetError(f"{where} has no name; expected the path of a picture; export it again")
    layers: list[Layer] = []
    for number, element in enumerate(image, start=1):
        shape = file.shape(element, f"{where}, shape {number}")
        if shape is not None:
            layers.append((shape.whole("z_order", 0), file.position(element, shape.where), shape))
    if not layers:
        return None
    number_in_video = frame_number(name)
    return ImportedFrame(
        where=where,
        name=name,
        draw=partial(draw_layers, layers),
        video=file.task(image).video if number_in_video is not None else None,
        index=number_in_video,
        size=_size(image, where),
        picture=next(filter(None, (source.picture(f"{name}{ending}") for ending in _ENDINGS)), None),
    )


def _size(image: Element, where: str) -> tuple[int, int] | None:
    """Return the (h, w) of an image; None if the file does not say."""
    sides = [image.get("height"), image.get("width")]
    if sides == [None, None]:
        return None
    if not all(side and side.isascii() and side.isdecimal() and len(side) < 10 for side in sides):
        raise DatasetError(
            f"{where} has height={sides[0]!r} and width={sides[1]!r}; expected whole numbers; export it again"
        )
    return int(sides[0] or 0), int(sides[1] or 0)


def write_cvat_images(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write annotations.xml with a mask for each class of a picture, or for each region.

    Pictures are numbered from 0 in the order of the file; those of a single video have their number there.

    Raises:
        DatasetError: XML cannot hold the name of a class, a video or a frame.
    """
    entries = {
        "name": ", ".join(video.name for video in labelled.videos)[:200],
        "size": len(labelled),
        "mode": "annotation",
        "start_frame": 0,
        "stop_frame": max(0, len(labelled) - 1),
        "frame_filter": "",
    }
    alone = len(labelled.numbers) == 1
    beginning = written_meta(labelled.classes, entries)
    names = labelled.classes.names
    labels = [attributes(label=name, source="manual", occluded=0) for name in names]
    with (dest / "annotations.xml").open("w", encoding="utf-8", newline="\n") as file:
        file.write(beginning)
        for number, frame in enumerate(labelled.frames()):
            file.writelines(_image(frame, frame.number if alone else number, labels, options))
            if options.pictures:
                frame.write_picture(dest / "images" / frame.path)
        file.write("</annotations>\n")
    return []


def _image(frame: ExportedFrame, number: int, labels: Sequence[str], options: ExportOptions) -> Iterator[str]:
    h, w = frame.size
    split = f" {attributes(subset=frame.split)}" if options.split else ""
    yield f"<image {attributes(id=number, name=frame.path)}{split} {attributes(width=w, height=h)}>\n"
    for position, mask in masks_of(frame.labels(), instances=options.instances):
        yield f'<mask {labels[position]} {mask} z_order="0"></mask>\n'
    yield "</image>\n"


IMPORT_CVAT_IMAGES = Importer(
    read=read_cvat_images,
    about='"CVAT for images 1.1": annotations.xml, or a zip or folder with it; a task, a job or a project',
    keeps="labels with colours; masks, polygons, boxes and ellipses, turned ones too; z order",
    loses=(
        "instances (merged into classes), attributes; polylines, points, tags, skeletons and cuboids have "
        "no area"
    ),
)
EXPORT_CVAT_IMAGES = Exporter(
    write=write_cvat_images,
    about='"CVAT for images 1.1": annotations.xml with masks',
    keeps="labels, void (no shape), class names and colours",
    loses="ids of classes; a frame without labels is an image without shapes",
    lossless=True,
)
