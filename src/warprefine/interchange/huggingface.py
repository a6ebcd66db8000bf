"""Read Hugging Face data sets for segmentation: a picture and a label map in each row.

Read are Parquet files, what `save_to_disk` writes (Arrow), and image folders with metadata.jsonl. The package
`datasets` is not needed: pyarrow reads the same files, and nothing of the data set is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from warprefine.core.errors import DatasetError, LabelError, WarpRefineError, shorten
from warprefine.core.names import printable
from warprefine.interchange.format import Importer
from warprefine.interchange.imported import (
    NO_LABEL,
    ClassList,
    FileClass,
    Imported,
    ImportedFrame,
    ImportOptions,
    Positions,
)
from warprefine.interchange.pixels import positions_of_values, value_table, write_values
from warprefine.interchange.records import read_record
from warprefine.interchange.source import Source
from warprefine.interchange.table_rows import Cell, Table, read_tables
from warprefine.io.pictures import with_picture

_LABELS = (
    "label", "labels", "annotation", "annotations", "mask", "masks", "semantic_segmentation", "segmentation",
    "segmentation_mask", "label_map", "gt",
)  # fmt: skip
_PICTURES = ("image", "pixel_values", "img", "picture")
_VIDEOS = ("video", "video_name", "clip")
_FRAMES = ("frame", "frame_name", "stem", "file_name", "image_path", "image_id", "id")
_INDEX = "index"
_TIFF = (b"II*\0", b"MM\0*")
_LOSSLESS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "zstd", "lzma")
_LARGEST_INDEX = 10**9
_LARGEST_ID = 65_535


@dataclass(frozen=True, kw_only=True, eq=False)
class _Columns:
    """The columns of a table that hold label maps, pictures ("" if there are none), and names."""

    label: str
    picture: str
    video: str
    frame: str
    index: str


def read_huggingface(source: Source, options: ImportOptions) -> Imported:
    """Read a Hugging Face data set; all of its splits and shards are taken.

    Names of frames are those of the columns `video` and `frame`, else the paths of the pictures. Names of the
    classes are those of `--names`, else of id2label.json or config.json, of the features, or of the project.

    Raises:
        DatasetError: There is no table, or it has no label maps, no names of frames or no names of classes.
    """
    tables = read_tables(source)
    classes, table, listed = _classes(source, options, tables)
    frames: list[ImportedFrame] = []
    empty = 0
    for one in tables:
        columns = _columns(one)
        found = [_frame(source, one, columns, row, (table, listed)) for row in range(one.count)]
        frames += [frame for frame in found if frame is not None]
        empty += found.count(None)
    notes = [f"{source.path}: {empty} rows have no label map"] if empty else []
    return Imported(classes=classes, frames=frames, notes=notes)


def _columns(table: Table) -> _Columns:
    """Return what the columns of a table are."""
    labels = [name for name in table.pictures if name.lower() in _LABELS]
    pictures = [name for name in _PICTURES if name in table.pictures]
    others = [name for name in table.pictures if name not in pictures]
    labels = labels or (others if len(others) == 1 and pictures else [])
    if len(labels) != 1:
        listed = shorten([*table.pictures, *table.texts]) or "nothing"
        raise DatasetError(
            f"{table.where} has the columns {listed}; expected one of label maps, called label or "
            "annotation; rename it"
        )
    (label,) = labels
    picture = next((name for name in pictures if name != label), "")
    frame = next((name for name in _FRAMES if name in table.texts), "")
    video = next((name for name in _VIDEOS if name in table.texts), "")
    index = _INDEX if _INDEX in table.texts else ""
    named = frame or index or any(table.paths.get(picture, ())) or any(table.paths.get(label, ()))
    if not named:
        raise DatasetError(
            f"{table.where} has the columns {shorten([*table.pictures, *table.texts])}, and pictures without "
            "path: nothing says which frame a row is; expected columns video and frame, as the order of "
            "rows is no name; add them"
        )
    return _Columns(label=label, picture=picture, video=video, frame=frame, index=index)


def _frame(
    source: Source, table: Table, columns: _Columns, row: int, values: tuple[NDArray[np.int32], str]
) -> ImportedFrame | None:
    """Return the frame of a row; None if it has no label map."""
    where = f"{table.where}, row {row}"
    paths = [table.paths[name][row] for name in (columns.picture, columns.label) if name in table.paths]
    if columns.label in table.paths and not paths[-1] and table.read(columns.label, row).content is None:
        return None
    paths = [path for path in paths if path]
    video = table.texts[columns.video][row] if columns.video else ""
    frame = table.texts[columns.frame][row] if columns.frame else ""
    named = f"{video}/{frame}" if video and frame else frame
    names = [name for name in (named, *paths) if name]
    shown = f"{where} {names[0]!r}" if names else where
    return ImportedFrame(
        where=printable(shown)[:200],
        name=names[0] if names else "",
        also=names[1:] if not named else (),
        video=video or None,
        index=_index(table, columns, row, where),
        draw=partial(
            _draw,
            partial(_label, source, table, columns.label, row),
            *values,
            f"{table.where}, row {row}, {columns.label}",
        ),
        picture=partial(_picture, source, table, columns.picture, row) if columns.picture else None,
    )


def _index(table: Table, columns: _Columns, row: int, where: str) -> int | None:
    text = table.texts[columns.index][row] if columns.index else ""
    if not text:
        return None
    if not text.isdecimal() or int(text[:12]) >= _LARGEST_INDEX:
        raise DatasetError(
            f"{where} has {columns.index} = {printable(text)[:40]!r}; expected the number of a frame from 0"
        )
    return int(text)


def _draw(
    read: Callable[[], Path], values: NDArray[np.int32], listed: str, where: str, size: tuple[int, int]
) -> Positions:
    del size
    path = read()
    with _named(path, where):
        return positions_of_values(path, values, named=where, listed=listed)


def _label(source: Source, table: Table, column: str, row: int) -> Path:
    """Unpack the label map of a row into a PNG."""
    where = f"{table.where}, row {row}, {column}"
    path = _file(source, table, table.read(column, row), where, to=source.scratch / "label.png")
    with path.open("rb") as file:
        is_tiff = file.read(4) in _TIFF
    if is_tiff:
        with _named(path, where):
            values = with_picture(path, partial(_tiff_values, where=where), error_class=LabelError)
        path = source.scratch / "tiff.png"
        write_values(path, values)
    return path


def _tiff_values(picture: ImageFile.ImageFile, *, where: str) -> NDArray[np.uint8]:
    """Return the values of a TIFF, in which `datasets` keeps label maps that have a palette."""
    compression = str(picture.info.get("compression"))
    if picture.mode not in ("P", "L") or compression not in _LOSSLESS:
        raise LabelError(
            f"{where} is a TIFF in {picture.mode}, packed as {compression}; expected an index PNG, which "
            "keeps values exact; write it again as PNG"
        )
    return np.array(picture)


def _picture(source: Source, table: Table, column: str, row: int) -> Path:
    """Unpack the picture of a row."""
    where = f"{table.where}, row {row}, {column}"
    cell = table.read(column, row)
    ending = PurePosixPath((cell.path or "").replace("\\", "/")).suffix.lower()
    ending = ending if ending.lstrip(".").isalnum() and len(ending) < 6 else ".png"
    # A folder for each: pictures of one folder are frames of one video.
    folder = Path(tempfile.mkdtemp(dir=source.scratch))
    return _file(source, table, cell, where, to=folder / f"picture{ending}")


def _file(source: Source, table: Table, cell: Cell, where: str, *, to: Path) -> Path:
    """Return the file of a picture; one that lies in the table is written to `to`."""
    if cell.content is not None:
        to.write_bytes(cell.content)
        return to
    if not cell.path:
        raise DatasetError(f"{where} holds no picture; expected one in each row; leave the row out")
    parts = PurePosixPath(cell.path.replace("\\", "/"))
    path = table.folder / parts
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0] or not path.is_file():
        raise DatasetError(
            f"{where} is the file {printable(cell.path)[:200]!r}, which does not lie beside {table.where}; "
            "expected a path below its folder, or the bytes of the picture; write it again with them"
        )
    if not path.resolve().is_relative_to(source.root.resolve()):
        raise DatasetError(f"{where} is the file {printable(cell.path)[:200]!r}, a link that leads elsewhere")
    return path


@contextmanager
def _named(path: Path, where: str) -> Iterator[None]:
    """Name the row in messages instead of the file that its picture was unpacked to."""
    try:
        yield
    except WarpRefineError as error:
        raise type(error)(str(error).replace(str(path), where)) from error


def _classes(
    source: Source, options: ImportOptions, tables: Sequence[Table]
) -> tuple[list[FileClass], NDArray[np.int32], str]:
    """Return the classes, the positions of the values, and what lists them."""
    listed, entries = _listed(source, options, tables)
    classes = ClassList(where=listed, void_names=NO_LABEL)
    for number, name in entries:
        classes.add(name, id=number)
    found = classes.found
    if listed == "classes.toml":
        assert options.project is not None
        colors = options.project.colors
        found = [FileClass(name=one.name, color=color) for one, color in zip(found, colors, strict=True)]
    shift = 1 if options.reduce_zero_label else 0
    values = [number + shift for number, _ in entries]
    return found, value_table(values, void=[0] if shift else []), listed


def _listed(
    source: Source, options: ImportOptions, tables: Sequence[Table]
) -> tuple[str, list[tuple[int, str]]]:
    """Return what lists the classes, and the value and the name of each."""
    if options.names:
        return "--names", [*enumerate(options.names)]
    beside = source.below(source.root)
    for name in ("id2label.json", "config.json"):
        for path in [one for one in beside if one.name.lower() == name][:1]:
            named = source.shown(path)
            content = read_record(path, expected='names of classes by value: {"0": "road"}', named=named)
            if name == "id2label.json" or content.has("id2label"):
                record = content if name == "id2label.json" else content.record("id2label")
                for key in record.values:
                    if not (key.isascii() and key.isdecimal() and int(key[:9]) <= _LARGEST_ID):
                        record.refuse(
                            f"has {key[:40]!r}; expected values from 0 to {_LARGEST_ID}", cure="correct it"
                        )
                return named, sorted((int(key), record.text(key)) for key in record.values)
    lists = {tuple(table.classes) for table in tables if table.classes}
    if len(lists) == 1:
        return f"the features of {tables[0].where}", [*enumerate(lists.pop())]
    if options.project is not None:
        return "classes.toml", [*enumerate(options.project.names)]
    raise DatasetError(
        f"{source.path} has no id2label.json, and nothing else that names the classes; expected "
        '{"0": "road", ...}; write one, or say --names road,car,... in the order of the values'
    )


IMPORT_HUGGINGFACE = Importer(
    read=read_huggingface,
    about="a Hugging Face data set: Parquet, save_to_disk or image folder, with id2label.json",
    keeps="labels of all splits; 255 is void; class names and ids; --reduce-zero-label, --names",
    loses="colours; splits",
)
