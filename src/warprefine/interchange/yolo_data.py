"""Read and write data.yaml, in which ultralytics' data sets name their classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warprefine.core.errors import DatasetError
from warprefine.interchange.imported import ClassList, FileClass, ImportOptions
from warprefine.interchange.packages import package
from warprefine.interchange.records import shown_value
from warprefine.interchange.source import Source
from warprefine.io.foreign import DECODER_ERRORS, reason
from warprefine.io.text import read_text

_MOST_BYTES = 1 << 20
_DEEPEST = 20
_MOST_BRACKETS = 500
_EXPECTED = "a data.yaml with the names of the classes"


def find_data_yaml(source: Source) -> Path | None:
    """Return data.yaml or the only other YAML file of an export; None if there is none.

    Raises:
        DatasetError: There are several.
    """
    near = source.below(source.root) if source.file is not None else source.files
    found = [path for path in near if path.name.lower() in ("data.yaml", "data.yml")]
    found = found or [path for path in near if path.suffix.lower() in (".yaml", ".yml")]
    return source.only(found, expected="one data.yaml") if found else None


def read_data_yaml(path: Path, *, named: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; one with aliases is refused.

    Raises:
        DatasetError: It is missing, larger than a MiB, damaged, or no mapping.
    """
    yaml = package("yaml", needed_for="data.yaml")
    text = read_text(path, expected=_EXPECTED, error_class=DatasetError, most_bytes=_MOST_BYTES)
    try:
        plain = _is_plain(yaml, text)
        content = yaml.safe_load(text) if plain else None
    except (yaml.YAMLError, *DECODER_ERRORS) as error:
        raise DatasetError(
            f"{named} is no YAML file that can be read: {reason(error)}; expected {_EXPECTED}; correct it "
            "there"
        ) from error
    if not plain:
        raise DatasetError(
            f"{named} has aliases, or more than {_DEEPEST} levels; expected {_EXPECTED}; write them as "
            "a plain list there"
        )
    if not isinstance(content, dict):
        raise DatasetError(f"{named} holds {shown_value(content)}; expected {_EXPECTED}")
    return content


def _is_plain(yaml: Any, text: str) -> bool:
    """Return whether YAML has no aliases, which fill the memory, and few levels.

    PyYAML takes quadratic time for levels of brackets, so that they are counted before: an opening bracket in
    a text counts as well.
    """
    if any(line.count("[") + line.count("{") > _MOST_BRACKETS for line in text.splitlines()):
        return False
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
            return False
    return True


def classes_of(content: dict[str, Any], *, named: str) -> list[FileClass]:
    """Return the classes of a data.yaml in the order of their indices.

    Raises:
        DatasetError: names is missing, no list and no mapping from 0, or has anything but texts.
    """
    names = content.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatasetError(
            f"{named} has names = {shown_value(names)}; expected a list, or a mapping from 0, of the "
            "names of all classes; correct it there"
        )
    classes = ClassList(where=named)
    for name in names:
        if type(name) in (int, float):
            name = str(name)  # noqa: PLW2901
        if not isinstance(name, str):
            raise DatasetError(
                f"{named} has {shown_value(name)} among its names; expected texts; write it in quotes there"
            )
        classes.add(name)
    return classes.found


def named_classes(options: ImportOptions) -> list[FileClass]:
    """Return the classes of `--names`."""
    classes = ClassList(where="--names")
    for name in options.names:
        classes.add(name)
    return classes.found


def write_data_yaml(path: Path, names: Sequence[str], *, split: bool, further: dict[str, Any]) -> None:
    """Write data.yaml; without a split, validation takes the pictures of training.

    There is no `path`: ultralytics takes the folder of the file then, and else the one it was started in.
    """
    yaml = package("yaml", needed_for="data.yaml")
    content = {
        "train": "images/train",
        "val": "images/val" if split else "images/train",
        "nc": len(names),
        "names": dict(enumerate(names)),
        **further,
    }
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
