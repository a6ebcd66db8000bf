"""Read and write Roboflow's semantic masks: SPLIT/NAME_mask.png beside NAME.jpg, with SPLIT/_classes.csv.

NAME is that of the picture, as STEM_png.rf.HASH. The line "0, background" of _classes.csv is what nobody has
labelled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from warprefine.core.errors import DatasetError, shorten
from warprefine.core.tensors import VOID
from warprefine.datasets.files import PICTURE_ENDINGS
from warprefine.interchange.exported import Exported, ExportedFrame, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import (
    BACKGROUND,
    NO_LABEL,
    ClassList,
    Imported,
    ImportedFrame,
    ImportOptions,
    Positions,
)
from warprefine.interchange.pixels import positions_of_values, value_table, write_values
from warprefine.interchange.source import Source
from warprefine.io.images import read_frame
from warprefine.io.text import read_text

_LIST = "_classes.csv"
_MASK = "_mask.png"
_HEADING = "Pixel Value, Class"
_HASHED = re.compile(r"(.+?)(?:_(?:png|jpe?g|bmp|webp|tiff?))?\.rf\.\w+", re.IGNORECASE)
_MOST_CLASSES = 254
_QUALITY = 95


def read_roboflow_masks(source: Source, options: ImportOptions) -> Imported:
    """Read Roboflow's semantic masks; each folder has a _classes.csv of its own.

    Raises:
        DatasetError: There is no such file, it lists a value or a class twice, or there are no masks.
    """
    del options
    lists = source.called(_LIST)
    if not lists:
        raise DatasetError(
            f"{source.path} holds no {_LIST}; expected one in each folder of masks, such as train/{_LIST}, "
            "as Roboflow's 'Semantic Segmentation Masks' has it"
        )
    classes = ClassList(where=str(source.path), void_names=NO_LABEL | BACKGROUND)
    frames: list[ImportedFrame] = []
    for path in lists:
        table = _values(source, path, classes)
        masks = [
            one for one in source.files if one.parent == path.parent and one.name.lower().endswith(_MASK)
        ]
        frames += [_frame(source, one, table, source.shown(path)) for one in masks]
    if not frames:
        raise DatasetError(f"{source.path} holds no mask; expected NAME{_MASK} beside {_LIST}")
    found = classes.found
    if any(one.name.lower() in NO_LABEL for one in found):
        # What has no label is listed: background is a class then.
        found = [replace(one, is_void=one.name.lower() in NO_LABEL) for one in found]
    return Imported(classes=found, frames=frames)


def _values(source: Source, path: Path, classes: ClassList) -> NDArray[np.int32]:
    """Return the positions of the values that a file lists; a class of an earlier file is the same."""
    named = source.shown(path)
    text = read_text(path, expected=f"lines as {_HEADING!r}", error_class=DatasetError)
    found: dict[int, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        value, _, name = line.partition(",")
        if not line.strip() or (number == 1 and not value.strip().isdecimal()):
            continue
        name = _unquoted(name.strip())
        if not re.fullmatch(r"[0-9]{1,5}", value.strip()) or int(value) > 65535 or not name:
            raise DatasetError(
                f"{named}, line {number}, is {line.strip()[:80]!r}; expected a pixel value from 0 and the "
                "name of its class, such as '1, road'; correct it there"
            )
        if int(value) in found:
            raise DatasetError(
                f"{named} lists the value {int(value)} twice; expected each once; correct it there"
            )
        position = classes.position(name)
        if position in found.values():
            raise DatasetError(
                f"{named} lists the class {name!r} twice; expected each once; correct it there"
            )
        found[int(value)] = position
    if not found:
        raise DatasetError(f"{named} lists no classes; expected lines as '1, road' below {_HEADING!r}")
    table = value_table([])
    for pixel, position in found.items():
        table[pixel] = position
    return table


def _unquoted(name: str) -> str:
    """Return a name without the quotes of CSV."""
    inner = name[1:-1]
    quoted = len(name) > 1 and name[0] == name[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else name


def _frame(source: Source, path: Path, table: NDArray[np.int32], listed: str) -> ImportedFrame:
    picture_stem = path.name[: -len(_MASK)]
    match = _HASHED.fullmatch(picture_stem)
    name = match[1] if match else picture_stem
    pictures = [path.with_name(f"{picture_stem}{ending}") for ending in sorted(PICTURE_ENDINGS)]
    return ImportedFrame(
        where=source.shown(path),
        name=name,
        draw=partial(_draw, path, table, source.shown(path), listed),
        picture=next((one for one in pictures if one.is_file()), None),
    )


def _draw(path: Path, table: NDArray[np.int32], named: str, listed: str, size: tuple[int, int]) -> Positions:
    del size
    return positions_of_values(path, table, named=named, listed=listed)


def write_roboflow_masks(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write SPLIT/VIDEO__STEM_png.rf.HASH.jpg with its mask, and SPLIT/_classes.csv; SPLIT is train or valid.

    The first class has the value 1, and 0 is void.

    Raises:
        DatasetError: The name of a class cannot stand in a line of _classes.csv, or there are too many.
    """
    names = labelled.classes.names
    _check(names)
    lowered = {name.lower() for name in names}
    void = next(
        name for name in ("background", "unlabeled", "void", "ignored", "ignore") if name not in lowered
    )
    lines = [f"{value}, {_quoted(name)}\n" for value, name in enumerate((void, *names))]
    table = np.zeros(256, np.uint8)
    table[: len(names)] = np.arange(1, len(names) + 1)
    table[VOID] = 0
    folders = {"train": dest / "train", "val": dest / "valid"}
    for split in ("train", "val") if options.split else ("train",):
        folders[split].mkdir(parents=True, exist_ok=True)
        text = f"{_HEADING}\n{''.join(lines)}"
        (folders[split] / _LIST).write_text(text, encoding="utf-8", newline="\n")
    for frame in labelled.frames():
        base = folders[frame.split] / _hashed(frame)
        write_values(base.with_name(base.name + _MASK), table[frame.labels()])
        if options.pictures:
            _write_picture(base.with_name(f"{base.name}.jpg"), frame)
    return [] if options.pictures else ["readers of this format expect NAME.jpg beside each mask: --pictures"]


def _check(names: Sequence[str]) -> None:
    if len(names) > _MOST_CLASSES:
        raise DatasetError(f"there are {len(names)} classes; expected up to {_MOST_CLASSES}, as 0 is void")
    wrong = [name for name in names if name != name.strip() or len(name.splitlines()) != 1]
    if wrong:
        raise DatasetError(
            f"{_LIST} cannot list {shorten(map(repr, wrong))}; expected names of one line without blanks "
            "around them; rename them in classes.toml, or by --map"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if '"' in name or "," in name else name


def _hashed(frame: ExportedFrame) -> str:
    ending = frame.picture_name.rpartition(".")[2]
    number = hashlib.sha256(frame.path.encode()).hexdigest()[:32]
    return f"{frame.flat_name}_{ending}.rf.{number}"


def _write_picture(path: Path, frame: ExportedFrame) -> None:
    if frame.picture is not None and frame.picture.suffix.lower() in (".jpg", ".jpeg"):
        frame.write_picture(path)
    else:
        # A picture file may be of another size than those of its video, which `pixels` refuses.
        pixels = read_frame(frame.picture)[0].permute(1, 2, 0).numpy() if frame.picture else frame.pixels()
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            path, format="JPEG", quality=_QUALITY, subsampling="4:4:4"
        )


IMPORT_ROBOFLOW_MASKS = Importer(
    read=read_roboflow_masks,
    about="Roboflow's 'Semantic Segmentation Masks': folders with _classes.csv and NAME_mask.png",
    keeps="labels, class names; background is void unless the project has such a class",
    loses="nothing that the masks have: they have no colours and no ids",
)
EXPORT_ROBOFLOW_MASKS = Exporter(
    write=write_roboflow_masks,
    about="train/VIDEO__STEM_png.rf.HASH_mask.png with its .jpg, train/_classes.csv",
    keeps="labels, class names; void is the value 0",
    loses="colours, ids; pictures become JPEG",
    lossless=True,
    pictures=True,
)
