"""Read and write Pascal VOC's layout of label maps, and CVAT's "Segmentation mask 1.1": the same in colours.

DEST/labelmap.txt                          names and colours
DEST/SegmentationClass/VIDEO/STEM.png      label maps: a palette PNG of values (voc), or colours (cvat-masks)
DEST/SegmentationObject/VIDEO/STEM.png     connected regions, on request
DEST/JPEGImages/VIDEO/STEM.png             pictures, on request
DEST/ImageSets/Segmentation/default.txt    the frames; train.txt and val.txt where there is a split

Not by datumaro: it puts a black `background` first, in the place of a class of that name, and paints void so.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from warprefine.core.errors import DatasetError, shorten
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import ClassList, FileClass, Imported, ImportOptions, Positions
from warprefine.interchange.label_folder import by_name, label_frames
from warprefine.interchange.labelmap import (
    VOC_NAMES,
    legend_of,
    read_labelmap,
    voc_colors,
    without_label,
    written_classes,
)
from warprefine.interchange.pixels import write_colors, write_values
from warprefine.interchange.shapes import regions
from warprefine.interchange.source import Source
from warprefine.io.text import read_text

_FOLDERS = ("segmentationclass", "segmentationclasspng")
_PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".PNG", ".JPG", ".webp", ".bmp")
_MOST_REGIONS = 255


def read_voc(source: Source, options: ImportOptions) -> Imported:
    """Read the label maps in SegmentationClass; SegmentationObject, which has instances, is left out.

    The classes are those of `--names`, else of labelmap.txt, else of class_names.txt (labelme), else those
    of Pascal VOC.

    Raises:
        DatasetError: There are no label maps, or nothing names the classes.
        LabelError: Two classes have the same colour.
    """
    files = _label_files(source)
    if not files:
        raise DatasetError(
            f"{source.path} holds no SegmentationClass with PNGs; expected labelmap.txt and "
            "SegmentationClass/NAME.png; name the folder that holds both"
        )
    classes, listed, notes = _classes(source, options)
    legend = legend_of(classes, listed=listed)
    frames = label_frames(
        source,
        files,
        read=legend.read,
        picture=lambda _, name, __: _picture(source, name),
    )
    return Imported(classes=classes, frames=frames, notes=[*notes, *_missing(source, files)])


def _label_files(source: Source) -> dict[str, Path]:
    """Return the label maps by the names of their frames."""
    for wanted in _FOLDERS:
        if found := by_name(source, _names_below(source, wanted)):
            return found
    return {}


def _names_below(source: Source, folder: str) -> Iterator[tuple[str, Path]]:
    """Yield the PNGs below each folder of a name, with their paths there without ending."""
    for path in source.with_ending(".png"):
        parts = source.relative(path).parts
        folders = [part.lower() for part in parts[:-1]]
        if folder in folders:
            yield "/".join(parts[folders.index(folder) + 1 :])[: -len(path.suffix)], path


def _classes(source: Source, options: ImportOptions) -> tuple[list[FileClass], str, list[str]]:
    """Return the classes in the order of their values, what lists them, and what is to be told about it."""
    if options.names:
        return _named(options.names, "--names"), "--names", []
    if labelmaps := source.called("labelmap.txt"):
        path = source.only(labelmaps, expected="one labelmap.txt")
        return read_labelmap(path, named=source.shown(path)), source.shown(path), []
    if lists := source.called("class_names.txt"):
        path = source.only(lists, expected="one class_names.txt")
        text = read_text(path, expected="a name in each line", error_class=DatasetError)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        # labelme numbers __ignore__ as -1 and what follows from 0.
        names = lines[1:] if lines[:1] == ["__ignore__"] else lines
        return _named(names, source.shown(path)), source.shown(path), []
    told = f"{source.path} has no labelmap.txt, so that values are the 21 classes of Pascal VOC"
    project = options.project
    if project is not None and not {*VOC_NAMES[1:]} <= {*project.names}:
        raise DatasetError(
            f"{told}, {shorten(VOC_NAMES[1:])}, but the project has {shorten(project.names)}; expected "
            "labelmap.txt with a line name:r,g,b:: for each value from 0; or say --names "
            "background,road,... in the order of the values"
        )
    found = [FileClass(name=name, color=color) for name, color in zip(VOC_NAMES, voc_colors(21), strict=True)]
    if project is not None:
        found = without_label(found)  # a new project has background, as Pascal VOC does
    return found, "the classes of Pascal VOC", [told]


def _named(names: Sequence[str], where: str) -> list[FileClass]:
    classes = ClassList(where=where)
    for name in names:
        classes.add(name)
    if not classes.found:
        raise DatasetError(f"{where} lists no classes; expected a name in each line")
    return without_label(classes.found)


def _picture(source: Source, name: str) -> Path | None:
    places = (f"JPEGImages/{name}{ending}" for ending in _PICTURE_ENDINGS)
    return next(filter(None, map(source.picture, places)), None)


def _missing(source: Source, files: dict[str, Path]) -> Iterator[str]:
    """Yield what is to be told about frames that ImageSets/Segmentation lists, and that have no label map."""
    have = {unicodedata.normalize("NFC", name) for name in files}
    listed: list[str] = []
    for path in source.with_ending(".txt"):
        if [part.lower() for part in source.relative(path).parts[-3:-1]] == ["imagesets", "segmentation"]:
            text = read_text(path, expected="the name of a frame in each line", error_class=DatasetError)
            listed += [unicodedata.normalize("NFC", line.strip().strip('"')) for line in text.splitlines()]
    missing = [name for name in dict.fromkeys(listed) if name and name not in have]
    if missing:
        yield (
            f"ImageSets/Segmentation lists {len(missing)} frames without a label map in SegmentationClass: "
            f"{shorten(missing)}"
        )


def write_voc(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write label maps as palette PNGs: 0 is `background`, which stands for void, then the classes.

    Raises:
        DatasetError: There are more than 254 classes, or a name cannot stand in labelmap.txt.
    """
    return _write(labelled, dest, options, in_colors=False)


def write_cvat_masks(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write label maps in colours: black is `background`, which stands for void.

    Raises:
        DatasetError: There are more than 254 classes, or a name cannot stand in labelmap.txt.
    """
    return _write(labelled, dest, options, in_colors=True)


def _write(labelled: Exported, dest: Path, options: ExportOptions, *, in_colors: bool) -> list[str]:
    written = written_classes(labelled.classes)
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(written.colors)] = written.colors
    (dest / "labelmap.txt").write_text(written.text, encoding="utf-8", newline="\n")
    sets: dict[str, list[str]] = defaultdict(list)
    crowded: list[str] = []
    for frame in labelled.frames():
        labels = frame.labels()
        lines = written.lines[labels]
        name = f"{frame.video}/{frame.stem}"
        path = dest / "SegmentationClass" / f"{name}.png"
        if in_colors:
            write_colors(path, colors[lines])
        else:
            write_values(path, lines, palette=written.colors)
        if options.instances:
            things = _regions(labels)
            if things is None:
                crowded.append(name)
            else:
                write_values(dest / "SegmentationObject" / f"{name}.png", things, palette=voc_colors(256))
        if options.pictures:
            frame.write_picture(dest / "JPEGImages" / frame.path)
        sets[frame.split if options.split else "default"].append(name)
    for split, names in sets.items():
        listed = dest / "ImageSets" / "Segmentation" / f"{split}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
    return [*_told_colors(written.changed), *_told_regions(crowded)]


def _regions(labels: Positions) -> np.ndarray | None:
    """Return the number of the region of each pixel, 0 for void; None if there are too many for a palette."""
    things = np.zeros(labels.shape, np.uint8)
    for number, (_, mask) in enumerate(regions(labels), start=1):
        if number > _MOST_REGIONS:
            return None
        things[mask] = number
    return things


def _told_colors(changed: tuple[str, ...]) -> Iterator[str]:
    if changed:
        yield f"classes whose colour was black or taken have another one: {shorten(changed)}"


def _told_regions(crowded: list[str]) -> Iterator[str]:
    if crowded:
        yield (
            f"{len(crowded)} frames have more than {_MOST_REGIONS} regions, and no picture in "
            f"SegmentationObject: {shorten(crowded)}"
        )


_KEEPS = (
    "labels; names and colours of labelmap.txt; background and 255 are void unless the project has background"
)
_LOSES = "ids of classes; instances (SegmentationObject) and boxes are not read"
IMPORT_VOC = Importer(
    read=read_voc,
    about=(
        "Pascal VOC: labelmap.txt and SegmentationClass, in values or colours; or labelme's class_names.txt"
    ),
    keeps=_KEEPS,
    loses=_LOSES,
)
IMPORT_CVAT_MASKS = Importer(
    read=read_voc,
    about='"Segmentation mask 1.1" of CVAT: a zip or folder with labelmap.txt and SegmentationClass',
    keeps=_KEEPS,
    loses=_LOSES,
)
EXPORT_VOC = Exporter(
    write=write_voc,
    about="Pascal VOC: SegmentationClass as palette PNGs, labelmap.txt, ImageSets",
    keeps="labels, void (background, 0), class names and colours",
    loses="ids of classes; a class that is black or has another's colour gets a new one",
    lossless=True,
)
EXPORT_CVAT_MASKS = Exporter(
    write=write_cvat_masks,
    about='"Segmentation mask 1.1" of CVAT: SegmentationClass in colours, labelmap.txt, ImageSets',
    keeps="labels, void (black background), class names and colours",
    loses="ids of classes; a class that is black or has another's colour gets a new one",
    lossless=True,
)
