"""Read and write folders of colour PNGs with a file that lists the colours, as CamVid has them.

DEST/masks/VIDEO/STEM.png     label maps in the colours of the classes, black for void
DEST/label_colors.txt         a line "r g b<TAB>name" for each class, and "0 0 0<TAB>Void"
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import VOID_COLOR, Color
from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.datasets.class_file import read_classes
from warprefine.datasets.palette import own_colors
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import (
    BACKGROUND,
    NO_LABEL,
    ClassList,
    FileClass,
    Imported,
    ImportOptions,
    Positions,
)
from warprefine.interchange.label_folder import by_name, frame_name, label_files, label_frames
from warprefine.interchange.pixels import positions_of_picture, read_colors, table_of_colors, write_colors
from warprefine.interchange.source import Source
from warprefine.io.text import read_text

_PALETTES = ("label_colors.txt", "labelmap.txt", "class_dict.csv", "classes.toml")
_LINE = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:\s+|\s*,\s*)(\S.*?)\s*")
_LINE_OF_LABELMAP = re.compile(r"([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?")
_VOID_NAME = "Void"


def read_color_png(source: Source, options: ImportOptions) -> Imported:
    """Read a folder of colour PNGs with label_colors.txt, class_dict.csv, labelmap.txt or classes.toml.

    Where there is no such file, the colours are those of the project. Black is void unless a class has it.

    Raises:
        DatasetError: There are no label maps, or nothing lists the colours.
        LabelError: Two classes have the same colour.
    """
    files = label_files(source)
    if not files:
        raise DatasetError(
            f"{source.path} holds no PNG; expected label maps in colours, such as VIDEO/STEM.png"
        )
    classes, listed = _classes(source, options)
    colors = [one.color or VOID_COLOR for one in classes]
    table = table_of_colors([one.name for one in classes], colors, listed=listed)
    frames = label_frames(
        source,
        by_name(source, ((frame_name(source, path, suffix=options.suffix), path) for path in files)),
        read=partial(_read, table, listed),
        picture=lambda _, name, __: (
            source.picture(f"images/{name}.png") or source.picture(f"images/{name}.jpg")
        ),
    )
    return Imported(classes=classes, frames=frames)


def _read(table: NDArray[np.int16], listed: str, path: Path, named: str) -> Positions:
    return positions_of_picture(read_colors(path), table, named=named, listed=listed)


def _classes(source: Source, options: ImportOptions) -> tuple[list[FileClass], str]:
    """Return the classes with their colours, and what lists them."""
    for name in _PALETTES:
        for path in source.called(name)[:1]:
            return read_palette(path, named=source.shown(path)), source.shown(path)
    project = options.project
    if project is None:
        raise DatasetError(
            f"{source.path} has no file that lists the colours; expected one of {', '.join(_PALETTES)} "
            "beside the "
            "label maps; `warprefine classes` proposes one"
        )
    found = [
        FileClass(name=name, color=color) for name, color in zip(project.names, project.colors, strict=True)
    ]
    return found, "classes.toml"


def read_palette(path: Path, *, named: str) -> list[FileClass]:
    """Read the classes and colours of label_colors.txt, class_dict.csv, labelmap.txt or classes.toml.

    Raises:
        DatasetError: A line is of another form, or a class is listed twice.
    """
    if path.suffix.lower() == ".toml":
        own = read_classes(path)
        return [FileClass(name=name, color=color) for name, color in zip(own.names, own.colors, strict=True)]
    classes = ClassList(where=named, void_names=NO_LABEL | BACKGROUND)
    text = read_text(
        path, expected="a line with red, green, blue and name for each class", error_class=DatasetError
    )
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _entry(path, line)
        if entry is None and number == 1 and path.suffix.lower() == ".csv":
            continue  # the heading
        if entry is None or max(entry[1]) > 255:
            raise DatasetError(
                f"{named}, line {number}, is {line.strip()[:80]!r}; expected 'red green blue name' with "
                "numbers from "
                "0 to 255; correct it there"
            )
        classes.add(entry[0], color=entry[1])
    if not classes.found:
        raise DatasetError(f"{named} lists no classes; expected a line 'red green blue name' for each")
    if any(one.name.lower() in NO_LABEL for one in classes.found):
        # What has no label is listed: background is a class then.
        return [replace(one, is_void=one.name.lower() in NO_LABEL) for one in classes.found]
    return classes.found


def _entry(path: Path, line: str) -> tuple[str, Color] | None:
    """Return the name and the colour of a line."""
    if path.suffix.lower() == ".csv":
        fields = [field.strip() for field in next(csv.reader([line]), [])]
        numbers = fields[1:4]
        if (
            len(fields) < 4
            or not fields[0]
            or not all(number.isdecimal() and len(number) < 4 for number in numbers)
        ):
            return None
        red, green, blue = map(int, numbers)
        return fields[0], (red, green, blue)
    if match := _LINE.fullmatch(line.strip()):
        return match[4], (int(match[1]), int(match[2]), int(match[3]))
    if match := _LINE_OF_LABELMAP.fullmatch(line.strip()):
        return match[1], (int(match[2]), int(match[3]), int(match[4]))
    return None


def write_color_png(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write label maps in colours, black for void, with label_colors.txt.

    A class whose colour another one has, or that is black, gets one of its own.

    Raises:
        DatasetError: The name of a class cannot stand in a line of label_colors.txt.
    """
    classes = labelled.classes
    for name in classes.names:
        if name != name.strip() or len(name.splitlines()) != 1 or name == _VOID_NAME:
            raise DatasetError(
                f"the class {name!r} cannot be listed in label_colors.txt; expected a name of one line "
                "without "
                f"blanks around it, other than {_VOID_NAME!r}; rename it in classes.toml, or by --map"
            )
    colors = own_colors(classes.colors)
    table = np.zeros((256, 3), np.uint8)
    table[VOID] = VOID_COLOR
    table[: len(colors)] = colors
    for frame in labelled.frames():
        write_colors(dest / "masks" / frame.video / f"{frame.stem}.png", table[frame.labels()])
        if options.pictures:
            frame.write_picture(dest / "images" / frame.path)
    lines = [
        ("0 0 0", _VOID_NAME),
        *((" ".join(map(str, c)), n) for c, n in zip(colors, classes.names, strict=True)),
    ]
    text = "".join(f"{color}\t{name}\n" for color, name in lines)
    (dest / "label_colors.txt").write_text(text, encoding="utf-8", newline="\n")
    changed = [n for n, own, c in zip(classes.names, classes.colors, colors, strict=True) if own != c]
    return (
        [f"classes whose colour was black or taken have another one: {', '.join(changed[:5])}"]
        if changed
        else []
    )


IMPORT_COLOR_PNG = Importer(
    read=read_color_png,
    about="a folder of colour PNGs with label_colors.txt, class_dict.csv, labelmap.txt or classes.toml",
    keeps="labels, class names and colours; black is void unless a class has it",
    loses="ids",
)
EXPORT_COLOR_PNG = Exporter(
    write=write_color_png,
    about="masks/VIDEO/STEM.png in colours, label_colors.txt",
    keeps="labels, void (black), class names and colours",
    loses="ids; a class that is black or has another's colour gets a new one",
    lossless=True,
)
