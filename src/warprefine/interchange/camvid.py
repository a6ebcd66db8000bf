"""Write CamVid's layout, as CVAT's "CamVid 1.0" and datumaro have it; it is read as color-png reads folders.

DEST/label_colors.txt            a line "r g b name" for each class
DEST/SPLIT/VIDEO/STEM.png        pictures, on request
DEST/SPLITannot/VIDEO/STEM.png   label maps in colours, black for void
DEST/SPLIT.txt                   the picture and the label map of each frame
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from warprefine.core.classes import VOID_COLOR, ClassSet, Color
from warprefine.core.errors import DatasetError, shorten
from warprefine.core.tensors import VOID
from warprefine.datasets.palette import own_colors
from warprefine.interchange.color_png import read_color_png
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import BACKGROUND, Imported, ImportedFrame, ImportOptions
from warprefine.interchange.pixels import write_colors
from warprefine.interchange.source import Source

_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".PNG", ".JPG")
_ANNOTATED = "annot"
_VOID_NAME = "Void"


def read_camvid(source: Source, options: ImportOptions) -> Imported:
    """Read the label maps in SPLITannot, with the pictures in SPLIT; colours are those of label_colors.txt.

    Raises:
        DatasetError: There are no label maps, or nothing lists the colours.
        LabelError: Two classes have the same colour.
    """
    imported = read_color_png(source, options)
    folders = {part for path in source.with_ending(".png") for part in source.relative(path).parts[:-1]}
    splits = sorted(folder[: -len(_ANNOTATED)] for folder in folders if folder.lower().endswith(_ANNOTATED))

    def picture(frame: ImportedFrame) -> Path | Callable[[], Path] | None:
        places = (f"{split}/{frame.name}{ending}" for split in splits if split for ending in _PICTURE_ENDINGS)
        return next(filter(None, map(source.picture, places)), frame.picture)

    frames = [replace(frame, picture=picture(frame)) for frame in imported.frames]
    return Imported(classes=imported.classes, frames=frames, notes=imported.notes)


def write_camvid(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write label maps in colours with label_colors.txt and the lists of frames.

    Black is void; it is listed only besides a class that is called `background`, in whose colour datumaro
    would show it. A class that is black, or has the colour of another one, gets one of its own.

    Raises:
        DatasetError: A name cannot stand in a line of label_colors.txt, or of a list of frames.
    """
    classes = labelled.classes
    for name in classes.names:
        if name != name.strip() or len(name.splitlines()) != 1 or name == _VOID_NAME:
            raise DatasetError(
                f"the class {name!r} cannot be listed in label_colors.txt; expected a name of one line "
                f"without blanks around it, other than {_VOID_NAME!r}; rename it in classes.toml, or by --map"
            )
    colors = own_colors(classes.colors)
    table = np.zeros((256, 3), np.uint8)
    table[VOID] = VOID_COLOR
    table[: len(colors)] = colors
    void = [(VOID_COLOR, _VOID_NAME)] if BACKGROUND & {name.lower() for name in classes.names} else []
    listed = [*void, *zip(colors, classes.names, strict=True)]
    text = "".join(f"{' '.join(map(str, color))} {name}\n" for color, name in listed)
    (dest / "label_colors.txt").write_text(text, encoding="utf-8", newline="\n")
    lines: dict[str, list[str]] = defaultdict(list)
    for frame in labelled.frames():
        split = frame.split if options.split else "default"
        label_map = f"{split}{_ANNOTATED}/{frame.video}/{frame.stem}.png"
        write_colors(dest / label_map, table[frame.labels()])
        lines[split].append(_line(f"/{split}/{frame.path}", label_map))
        if options.pictures:
            frame.write_picture(dest / split / frame.path)
    for split, of_split in lines.items():
        (dest / f"{split}.txt").write_text("".join(of_split), encoding="utf-8", newline="\n")
    return list(_notes(classes, colors))


def _line(picture: str, label_map: str) -> str:
    """Return the line of a frame: names in quotes where they hold blanks."""
    names = [picture, label_map]
    if '"' in picture or len(picture.splitlines()) != 1:
        raise DatasetError(
            f"the frame {picture!r} cannot be listed; expected a name of one line without quotes; rename the "
            "video"
        )
    if any(character.isspace() for character in picture):
        names = [f'"{name}"' for name in names]
    return " ".join(names) + "\n"


def _notes(classes: ClassSet, colors: Sequence[Color]) -> Iterator[str]:
    changed = [
        name for name, own, color in zip(classes.names, classes.colors, colors, strict=True) if own != color
    ]
    if changed:
        yield f"classes whose colour was black or taken have another one: {shorten(changed)}"
    blank = [name for name in classes.names if any(map(str.isspace, name))]
    if blank:
        yield (
            "datumaro and CVAT split lines of label_colors.txt at each blank, and cannot read those of "
            f"{shorten(map(repr, blank))}; for them give names without, by --map OLD=NEW"
        )


IMPORT_CAMVID = Importer(
    read=read_camvid,
    about='"CamVid 1.0" of CVAT and datumaro: label_colors.txt and SPLITannot/NAME.png',
    keeps="labels, class names and colours; black is void unless a class has it",
    loses="ids of classes",
)
EXPORT_CAMVID = Exporter(
    write=write_camvid,
    about='"CamVid 1.0" of CVAT and datumaro: label_colors.txt, SPLITannot/VIDEO/STEM.png, SPLIT.txt',
    keeps="labels, void (black), class names and colours",
    loses=(
        "ids of classes; a class that is black or has another's colour gets a new one; names with blanks are "
        "read here, but not by datumaro and CVAT, which have no way to write them"
    ),
    lossless=True,
)
