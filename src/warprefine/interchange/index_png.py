"""Read and write folders of index PNGs, a value for each class and 255 for void, as mmsegmentation.

DEST/img_dir/SPLIT/VIDEO/STEM.png    pictures
DEST/ann_dir/SPLIT/VIDEO/STEM.png    label maps: the position of the class, 255 void
DEST/classes.toml                    names, colours; ids are the positions
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import ClassList, FileClass, Imported, ImportOptions, Positions
from warprefine.interchange.label_folder import by_name, frame_name, label_files, label_frames
from warprefine.interchange.pixels import positions_of_values, value_table, write_values
from warprefine.interchange.source import Source
from warprefine.io.text import read_text

_CLASS_FILES = ("classes.toml",)
_NAME_FILES = ("classes.txt", "class_names.txt")


def read_index_png(source: Source, options: ImportOptions) -> Imported:
    """Read a folder of index PNGs.

    The names of the classes are those of `--names`, else of classes.toml or classes.txt in the export, else
    those of the project, in the order of its positions.

    Raises:
        DatasetError: There are no label maps, or nothing names the classes.
    """
    files = label_files(source)
    if not files:
        raise DatasetError(f"{source.path} holds no PNG; expected label maps, such as ann_dir/VIDEO/STEM.png")
    classes, table, listed = _classes(source, options)
    frames = label_frames(
        source,
        by_name(source, ((frame_name(source, path, suffix=options.suffix), path) for path in files)),
        read=partial(_read, table, listed),
        picture=partial(_picture, source),
    )
    return Imported(classes=classes, frames=frames)


def _read(table: NDArray[np.int32], listed: str, path: Path, named: str) -> Positions:
    return positions_of_values(path, table, named=named, listed=listed)


def _classes(source: Source, options: ImportOptions) -> tuple[list[FileClass], NDArray[np.int32], str]:
    """Return the classes, the positions of the values, and what lists them."""
    if options.names:
        classes = ClassList(where="--names")
        for name in options.names:
            classes.add(name)
        return _in_order(classes, options, "--names")
    for path in source.called(*_CLASS_FILES)[:1]:
        return _of_class_set(read_classes(path), options, source.shown(path))
    for path in source.called(*_NAME_FILES)[:1]:
        classes = ClassList(where=source.shown(path))
        text = read_text(path, expected="a name in each line", error_class=DatasetError)
        for line in text.splitlines():
            if line.strip():
                classes.add(line.strip())
        return _in_order(classes, options, source.shown(path))
    if options.project is not None:
        # The values are positions: nothing says that the export has the ids of this project.
        classes = ClassList(where="classes.toml")
        for name, color in zip(options.project.names, options.project.colors, strict=True):
            classes.add(name, color=color)
        found, table, _ = _in_order(classes, options, "classes.toml")
        return [replace(one, is_void=False) for one in found], table, "classes.toml"
    raise DatasetError(
        f"{source.path} has no file that names the classes; expected classes.toml or classes.txt; say "
        "--names "
        "road,car,... in the order of the values"
    )


def _in_order(
    classes: ClassList, options: ImportOptions, listed: str
) -> tuple[list[FileClass], NDArray[np.int32], str]:
    first = 1 if options.reduce_zero_label else 0
    void = [0] if options.reduce_zero_label else []
    values = range(first, first + len(classes.found))
    return classes.found, value_table(values, void=void), listed


def _of_class_set(
    classes: ClassSet, options: ImportOptions, listed: str
) -> tuple[list[FileClass], NDArray[np.int32], str]:
    found = [
        FileClass(name=name, color=color, id=number)
        for name, color, number in zip(classes.names, classes.colors, classes.ids, strict=True)
    ]
    if options.reduce_zero_label:
        return found, value_table([number + 1 for number in classes.ids], void=[0]), listed
    table = value_table(classes.ids, void=classes.void_ids)
    for position, numbers in enumerate(classes.all_ids):
        table[list(numbers)] = position
    return found, table, listed


def _picture(source: Source, path: Path, name: str, tail: str) -> Path | None:
    """Return the picture of a label map: of the same name in another folder, with any ending."""
    for wanted in dict.fromkeys((name, name.removesuffix(tail))):
        for ending in (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif"):
            for folder in ("img_dir", "images", "frames", ""):
                parts = source.relative(path).parts[1:-1]
                places = (f"{folder}/{'/'.join(parts)}/{wanted.split('/')[-1]}", f"{folder}/{wanted}")
                for place in places:
                    found = source.picture(f"{place}{ending}")
                    if found is not None and found != path:
                        return found
    return None


def write_index_png(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write label maps as 8-bit palette PNGs in the layout of mmsegmentation, and the classes."""
    classes = labelled.classes
    for frame in labelled.frames():
        path = dest / "ann_dir" / frame.split / frame.video / f"{frame.stem}.png"
        write_values(path, frame.labels(), palette=classes.colors)
        if options.pictures:
            frame.write_picture(dest / "img_dir" / frame.split / frame.path)
    own = ClassSet(names=classes.names, colors=classes.colors)
    write_classes(dest / "classes.toml", own)
    (dest / "classes.txt").write_text("".join(f"{name}\n" for name in classes.names), encoding="utf-8")
    if classes.ids == own.ids:
        return []
    return [
        f"values are the positions of the classes from 0, and not their ids {classes.ids[:3]}...; 255 is void"
    ]


IMPORT_INDEX_PNG = Importer(
    read=read_index_png,
    about="a folder of index PNGs (mmsegmentation: ann_dir); --names, --reduce-zero-label, --suffix",
    keeps="labels; 255 is void; names of classes.toml or classes.txt in it, of --names, or of DATA",
    loses="nothing",
)
EXPORT_INDEX_PNG = Exporter(
    write=write_index_png,
    about="ann_dir/SPLIT/VIDEO/STEM.png and img_dir, as mmsegmentation has them",
    keeps="labels, void (255), class names and colours (classes.toml)",
    loses="ids: values are positions",
    lossless=True,
    pictures=True,
)
