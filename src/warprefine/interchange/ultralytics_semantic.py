"""Read and write ultralytics' semantic data sets: images/SPLIT, masks/SPLIT and data.yaml.

A pixel of a mask is the index of its class, or what label_mapping makes of it; 255 is ignored. The format is
described at docs.ultralytics.com/datasets/semantic.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.interchange.exported import Exported, ExportOptions
from warprefine.interchange.format import Exporter, Importer
from warprefine.interchange.imported import Imported, ImportedFrame, ImportOptions, Positions
from warprefine.interchange.pixels import positions_of_values, value_table, write_values
from warprefine.interchange.records import shown_value
from warprefine.interchange.source import Source
from warprefine.interchange.yolo_data import classes_of, find_data_yaml, read_data_yaml, write_data_yaml

_MASKS = "masks"


def read_ultralytics_semantic(source: Source, options: ImportOptions) -> Imported:
    """Read a folder of index PNGs whose classes and values are those of data.yaml.

    Raises:
        DatasetError: There is no data.yaml, or no mask in its masks_dir.
    """
    del options
    path = find_data_yaml(source)
    if path is None:
        raise DatasetError(
            f"{source.path} holds no data.yaml; expected one, which names the classes; without one, import "
            "it as index-png with --names road,car,..."
        )
    named = source.shown(path)
    content = read_data_yaml(path, named=named)
    classes = classes_of(content, named=named)
    table = _table(content, len(classes), named)
    folder = content.get("masks_dir", _MASKS)
    parts = folder.replace("\\", "/").strip("/").split("/") if isinstance(folder, str) else []
    masks = [one for one in source.with_ending(".png") if _begin(source, one, parts)]
    if not masks:
        raise DatasetError(
            f"{source.path} holds no PNG in masks_dir = {shown_value(folder)}; expected masks as {_MASKS}/"
            "train/VIDEO/STEM.png; polygons in labels/ are of the format yolo-seg"
        )
    frames = [_frame(source, one, parts, table, named) for one in masks]
    return Imported(classes=classes, frames=frames)


def _begin(source: Source, path: Path, folder: list[str]) -> int:
    """Return how many parts of a path end with the folder of masks; 0 if it is not in it."""
    parts = source.relative(path).parts[:-1]
    length = len(folder)
    found = [n + length for n in range(len(parts) - length + 1) if list(parts[n : n + length]) == folder]
    return found[-1] if found and length else 0


def _frame(
    source: Source, path: Path, folder: list[str], table: NDArray[np.int32], listed: str
) -> ImportedFrame:
    name = "/".join(source.relative(path).parts[_begin(source, path, folder) :])[: -len(path.suffix)]
    pictures = (
        source.picture(f"images/{name}{ending}") for ending in (".png", ".jpg", ".jpeg", ".bmp", ".webp")
    )
    return ImportedFrame(
        where=source.shown(path),
        name=name,
        draw=partial(_draw, path, table, source.shown(path), listed),
        picture=next((one for one in pictures if one is not None), None),
    )


def _draw(path: Path, table: NDArray[np.int32], named: str, listed: str, size: tuple[int, int]) -> Positions:
    del size
    return positions_of_values(path, table, named=named, listed=listed)


def _table(content: dict[str, Any], count: int, named: str) -> NDArray[np.int32]:
    """Return the position of each value, after label_mapping; a value that it lacks stands for itself."""
    # ultralytics trains one class as 1 on a background of 0.
    own = value_table([1], void=[0]) if count == 1 else value_table(range(count))
    mapping = content.get("label_mapping")
    if mapping is None:
        return own
    if not isinstance(mapping, dict):
        _refuse_mapping(mapping, named)
    table = own.copy()
    for value, target in mapping.items():
        wanted = VOID if target is None or target == "ignore_label" else target
        if isinstance(wanted, str) and wanted.strip().isdecimal() and len(wanted) < 6:
            wanted = int(wanted)
        if type(value) is not int or type(wanted) is not int or value > 65535 or not 0 <= wanted <= VOID:
            _refuse_mapping({value: target}, named)
        if value >= 0:
            table[value] = own[wanted]
    return table


def _refuse_mapping(found: object, named: str) -> NoReturn:
    raise DatasetError(
        f"{named} has label_mapping = {shown_value(found)}; expected pixel values with indices of classes or "
        "ignore_label; correct it there"
    )


def write_ultralytics_semantic(labelled: Exported, dest: Path, options: ExportOptions) -> list[str]:
    """Write masks/SPLIT/VIDEO/STEM.png, images/SPLIT/VIDEO/NAME and data.yaml.

    A pixel is the position of its class and 255 void; a single class is 1, as ultralytics has it.
    """
    names = labelled.classes.names
    for frame in labelled.frames():
        labels = frame.labels()
        if len(names) == 1:
            labels = np.where(labels == VOID, VOID, 1).astype(np.uint8)
        write_values(dest / _MASKS / frame.split / frame.video / f"{frame.stem}.png", labels)
        if options.pictures:
            frame.write_picture(dest / "images" / frame.split / frame.path)
    write_data_yaml(dest / "data.yaml", names, split=options.split, further={"masks_dir": _MASKS})
    return []


IMPORT_ULTRALYTICS_SEMANTIC = Importer(
    read=read_ultralytics_semantic,
    about="ultralytics' semantic data sets: data.yaml, index PNGs in masks/",
    keeps="labels, class names; label_mapping; 255 and ignore_label are void",
    loses="nothing that the masks have: they have no colours and no ids",
)
EXPORT_ULTRALYTICS_SEMANTIC = Exporter(
    write=write_ultralytics_semantic,
    about="masks/SPLIT/VIDEO/STEM.png, images/ and data.yaml",
    keeps="labels, void (255), class names",
    loses="colours, ids: values are positions",
    lossless=True,
    pictures=True,
)
