"""Read and write classes.toml: the names, colours and file ids of the classes of a data set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from warprefine.core.classes import ClassSet, Color
from warprefine.core.errors import DatasetError, LabelError
from warprefine.core.names import nearest_name
from warprefine.datasets.palette import distinct_colors
from warprefine.io.atomic import write_text
from warprefine.io.text import read_toml

_TOP_KEYS = ("class", "void_ids")
_CLASS_KEYS = ("name", "color", "id", "merged_ids", "category")
_EXPECTED = "a file that lists the classes, a [[class]] table with name and color for each"


def read_classes(path: Path) -> ClassSet:
    r"""Read a class set from a TOML file.

    The file holds one `[[class]]` table for each class, in order, with `name` and, where wanted, `color`
    ([r, g, b] or "#rrggbb", else one is chosen), `id` (the number in label files, else the position),
    `merged_ids` (further numbers that mean this class) and `category`; `void_ids` stands above them.

    Raises:
        DatasetError: The file is missing or no TOML; a key is unknown, missing or of the wrong
            kind; names or ids occur twice.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "classes.toml"
        ...     text = '[[class]]\nname = "road"\ncolor = "#804080"\n[[class]]\nname = "car"\n'
        ...     _ = path.write_text(text)
        ...     read_classes(path).colors
        ((128, 64, 128), (0, 114, 178))
    """
    content = read_toml(path, expected=_EXPECTED, error_class=DatasetError)
    _check_keys(path, content, _TOP_KEYS, where="at the top")
    tables = content.get("class")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise DatasetError(f"{path} holds no classes; expected a [[class]] table with a name for each")
    for number, table in enumerate(tables):
        _check_class(path, table, where=f"in class {table.get('name', number)!r}")
    void_ids = _numbers(path, content.get("void_ids", []), where="void_ids")
    try:
        return ClassSet(
            names=tuple(table["name"] for table in tables),
            colors=distinct_colors([_color(path, table) for table in tables]),
            file_ids=tuple(_of_all(path, tables, "id")),
            merged_ids=_merged(tables),
            void_ids=tuple(void_ids),
            categories=tuple(_of_all(path, tables, "category")),
        )
    except LabelError as error:
        raise DatasetError(f"{path}: {error}") from error


def write_classes(path: Path, classes: ClassSet) -> None:
    """Write a class set so that `read_classes` returns an equal one."""
    lines = [f"void_ids = {list(classes.void_ids)}", ""] if classes.void_ids else []
    for position, name in enumerate(classes.names):
        lines += ["[[class]]", f"name = {_quoted(name)}", f"color = {list(classes.colors[position])}"]
        if classes.file_ids:
            lines.append(f"id = {classes.file_ids[position]}")
        if classes.merged_ids and classes.merged_ids[position]:
            lines.append(f"merged_ids = {list(classes.merged_ids[position])}")
        if classes.categories:
            lines.append(f"category = {_quoted(classes.categories[position])}")
        lines.append("")
    write_text(path, "\n".join(lines))


def _check_keys(path: Path, table: Mapping[str, Any], allowed: Iterable[str], *, where: str) -> None:
    for key in table:
        if key not in allowed:
            raise DatasetError(
                f"{path} has an unknown key {short_repr(key)} {where}; {nearest_name(key, allowed)}"
            )


def _check_class(path: Path, table: Mapping[str, Any], *, where: str) -> None:
    _check_keys(path, table, _CLASS_KEYS, where=where)
    if "name" not in table:
        raise DatasetError(f"{path} has no name {where}; expected one for each class")
    for key in ("name", "category"):
        if not isinstance(table.get(key, ""), str):
            raise DatasetError(
                f"{path} has {key} = {short_repr(table[key])} {where}; expected a text in quotes"
            )
    _numbers(path, [table.get("id", 0)], where=f"id {where}")
    _numbers(path, table.get("merged_ids", []), where=f"merged_ids {where}")


def _color(path: Path, table: Mapping[str, Any]) -> Color | None:
    value, where = table.get("color"), f"in class {table['name']!r}"
    if value is None:
        return None
    if isinstance(value, str):
        channels = [*bytes.fromhex(value[1:])] if re.fullmatch("#[0-9a-fA-F]{6}", value) else []
    else:
        channels = _numbers(path, value, where=f"color {where}")
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise DatasetError(
            f"{path} has color = {value!r} {where}; expected [red, green, blue], each 0 to 255, or a text "
            'such as "#ff8000"'
        )
    red, green, blue = channels
    return red, green, blue


def _numbers(path: Path, values: object, *, where: str) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise DatasetError(f"{path} has {short_repr(values)} for {where}; expected whole numbers")
    return values


def _of_all(path: Path, tables: list[dict[str, Any]], key: str) -> list[Any]:
    """Return the value of `key` in every class; empty if no class has it."""
    with_key = [table for table in tables if key in table]
    if with_key and len(with_key) < len(tables):
        without = next(table["name"] for table in tables if key not in table)
        raise DatasetError(
            f"{path} has no {key} in class {without!r}, but others have one; give one to each or none"
        )
    return [table[key] for table in with_key]


def _merged(tables: list[dict[str, Any]]) -> tuple[tuple[int, ...], ...]:
    merged = tuple(tuple(table.get("merged_ids", ())) for table in tables)
    return merged if any(merged) else ()


def _quoted(text: str) -> str:
    # TOML's escapes are JSON's; in addition TOML requires one for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
