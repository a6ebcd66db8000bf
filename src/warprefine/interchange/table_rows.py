"""Read the rows of tables that hold pictures: Parquet, Arrow, and lists of files, as Hugging Face has them.

A picture is a struct {bytes, path}, or bytes alone. Rows are read as they are needed, a few at a time and in
order, so that only some of them are in memory.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warprefine.core.errors import DatasetError, shorten
from warprefine.core.names import printable
from warprefine.interchange.packages import package
from warprefine.interchange.records import MOST_BYTES, shown_value
from warprefine.interchange.source import Source
from warprefine.io.foreign import DECODER_ERRORS, check_file, reason
from warprefine.io.text import read_text

_ROWS = 16
"""Rows in memory at a time; with 4K pictures of 20 MB each they are 320 MB."""
_NEEDED_FOR = "reading Parquet and Arrow"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A picture in a table: its bytes, or the path of a file; neither where there is none."""

    content: bytes | None = None
    path: str | None = None


@dataclass(kw_only=True, eq=False)
class Table:
    """A table with pictures.

    Attributes:
        where: How messages name it.
        folder: The folder that paths in it begin at.
        texts: Columns of texts and whole numbers, as texts; "" where there is none.
        pictures: Names of the columns of pictures.
        paths: The path that each picture has, "" where it has none, by column.
        classes: Names of classes that the table itself has; empty if there are none.
        count: The number of rows.
        read: Returns the picture of a column and a row.
    """

    where: str
    folder: Path
    texts: Mapping[str, Sequence[str]]
    pictures: Sequence[str]
    paths: Mapping[str, Sequence[str]]
    count: int
    read: Callable[[str, int], Cell]
    classes: Sequence[str] = ()


def read_tables(source: Source) -> list[Table]:
    """Return the tables of an export: metadata.jsonl or metadata.csv, else all Parquet, else all Arrow files.

    Raises:
        DatasetError: There is none, one is damaged, or pyarrow is missing.
    """
    lists = source.called("metadata.jsonl", "metadata.csv")
    if lists:
        return [_listed(path, source.shown(path)) for path in lists]
    for ending, read in ((".parquet", _parquet), (".arrow", _arrow)):
        if files := source.with_ending(ending):
            return [read(path, source.shown(path)) for path in files]
    found = shorten(map(source.shown, source.files)) or "nothing"
    raise DatasetError(
        f"{source.path} holds {found}; expected data/*.parquet, *.arrow or metadata.jsonl of a Hugging Face "
        "data set"
    )


@contextmanager
def _arrow_errors(where: str) -> Iterator[None]:
    arrow = package("pyarrow", needed_for=_NEEDED_FOR)
    try:
        yield
    except (*DECODER_ERRORS, arrow.lib.ArrowException) as error:
        raise DatasetError(
            f"{where} cannot be read: {printable(reason(error))}; expected a table of a Hugging Face data "
            "set; download or write it again"
        ) from error


Batches = Callable[[Sequence[str]], Iterator[Any]]
"""Yields record batches of some columns, named as in Parquet ("image.path"), from the first row on."""


def _parquet(path: Path, where: str) -> Table:
    arrow = package("pyarrow", needed_for=_NEEDED_FOR)
    parquet = package("pyarrow.parquet", needed_for=_NEEDED_FOR)
    check_file(path, expected="a Parquet file", error_class=DatasetError)
    with _arrow_errors(where):
        # `pre_buffer` would keep whole columns in memory. The metadata of columns is not looked at: pyarrow
        # ends the process where that is damaged.
        file = parquet.ParquetFile(path, memory_map=False, pre_buffer=False)
        schema = file.schema_arrow

    def batches(columns: Sequence[str]) -> Iterator[Any]:
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(columns), use_threads=False):
            batch.validate(full=True)
            yield batch

    return _of_batches(path, where, schema, batches, arrow)


def _arrow(path: Path, where: str) -> Table:
    arrow = package("pyarrow", needed_for=_NEEDED_FOR)
    check_file(path, expected="an Arrow file", error_class=DatasetError)

    def opened() -> Any:
        with path.open("rb") as file:
            is_file = file.read(6) == b"ARROW1"
        mapped = arrow.memory_map(str(path))
        return arrow.ipc.open_file(mapped) if is_file else arrow.ipc.open_stream(mapped)

    def batches(columns: Sequence[str]) -> Iterator[Any]:
        reader = opened()
        names = list(dict.fromkeys(column.split(".", maxsplit=1)[0] for column in columns))
        numbers = range(reader.num_record_batches) if hasattr(reader, "num_record_batches") else None
        found = map(reader.get_batch, numbers) if numbers is not None else iter(reader)
        for batch in found:
            # What lies in the file is taken as it is, without a copy: offsets may lead outside.
            batch.validate(full=True)
            kept = batch.select(names)
            for start in range(0, len(kept), _ROWS):
                yield kept.slice(start, _ROWS)

    with _arrow_errors(where):
        schema = opened().schema
    return _of_batches(path, where, schema, batches, arrow)


def _of_batches(path: Path, where: str, schema: Any, batches: Batches, arrow: Any) -> Table:
    """Return the table of a schema, after one pass over all that is no picture."""
    types = arrow.types
    with _arrow_errors(where):
        names = [str(name) for name in schema.names]
        if len(set(names)) != len(names):
            raise DatasetError(f"{where} has a column twice: {shorten(names)}; expected each name once")
        kinds = {name: schema.field(name).type for name in names}
        texts = [
            name
            for name, kind in kinds.items()
            if types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind)
        ]
        structs = [
            name
            for name, kind in kinds.items()
            if types.is_struct(kind)
            and {"bytes", "path"} <= {kind.field(n).name for n in range(kind.num_fields)}
        ]
        binaries = [
            name for name, kind in kinds.items() if types.is_binary(kind) or types.is_large_binary(kind)
        ]
        found: dict[str, list[str]] = {name: [] for name in texts}
        paths: dict[str, list[str]] = {name: [] for name in structs}
        count = 0
        for batch in batches([*texts, *(f"{name}.path" for name in structs), *binaries[:1]]):
            count += len(batch)
            for name in texts:
                found[name] += ["" if value is None else str(value) for value in batch[name].to_pylist()]
            for name in structs:
                values = batch[name].field("path").to_pylist() if len(batch) else []
                paths[name] += ["" if value is None else str(value) for value in values]
        metadata = dict(schema.metadata or {})
    reading = _Reading(where=where, batches=batches)
    return Table(
        where=where,
        folder=path.parent,
        texts=found,
        pictures=[*structs, *binaries],
        paths=paths,
        count=count,
        read=reading.cell,
        classes=_class_names(metadata.get(b"huggingface", b"")),
    )


@dataclass(kw_only=True, eq=False)
class _Reading:
    """Reads pictures of a table, each column from its first row to its last."""

    where: str
    batches: Batches
    _running: dict[str, tuple[Iterator[Any], int, Any]] = field(default_factory=dict)

    def cell(self, column: str, row: int) -> Cell:
        """Return the picture of a column and a row; going back begins at the first row again."""
        with _arrow_errors(self.where):
            rows, start, batch = self._running.pop(column, (None, 0, None))
            if rows is None or row < start:
                rows, start, batch = self.batches([column]), 0, None
            while batch is None or row >= start + len(batch):
                start += 0 if batch is None else len(batch)
                batch = next(rows)
            self._running[column] = rows, start, batch
            value = batch[column][row - start].as_py()
        if isinstance(value, dict):
            return Cell(content=value.get("bytes"), path=value.get("path"))
        return Cell(content=value)


def _class_names(metadata: bytes) -> list[str]:
    """Return the names of the column `classes`, where its features have them."""
    try:
        feature = json.loads(metadata)["info"]["features"]["classes"]
        feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        names = feature["names"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []


def _listed(path: Path, where: str) -> Table:
    """Return the table of an image folder: columns file_name and X_file_name, with paths beside it."""
    text = read_text(path, expected="a list of files", error_class=DatasetError, most_bytes=MOST_BYTES)
    rows = _csv_rows(text, where) if path.suffix.lower() == ".csv" else _json_rows(text, where)
    names = list(dict.fromkeys(name for row in rows for name in row))
    pictures = {
        name: "image" if name == "file_name" else name.removesuffix("_file_name")
        for name in names
        if name.endswith("file_name")
    }
    paths = {column: [row.get(name, "") for row in rows] for name, column in pictures.items()}
    return Table(
        where=where,
        folder=path.parent,
        texts={name: [row.get(name, "") for row in rows] for name in names if name not in pictures},
        pictures=[*paths],
        paths=paths,
        count=len(rows),
        read=lambda column, row: Cell(path=paths[column][row] or None),
    )


def _json_rows(text: str, where: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except DECODER_ERRORS as error:
            raise DatasetError(
                f"{where}, line {number}, is no JSON: {printable(reason(error))}; expected an object"
            ) from error
        if not isinstance(row, dict):
            raise DatasetError(f"{where}, line {number}, is {shown_value(row)}; expected an object in braces")
        rows.append({key: str(value) for key, value in row.items() if isinstance(value, str | int)})
    return rows


def _csv_rows(text: str, where: str) -> list[dict[str, str]]:
    try:
        found = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DatasetError(
            f"{where} is no CSV: {reason(error)}; expected a heading with file_name"
        ) from error
    return [{key: value for key, value in row.items() if key and isinstance(value, str)} for row in found]
