"""Read settings from a TOML file, and write them as TOML; an unknown key is an error."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from warprefine.core.errors import RecipeError
from warprefine.core.names import nearest_name
from warprefine.io.admission import admitted_name
from warprefine.io.text import read_toml
from warprefine.recipe.kinds import other_kind
from warprefine.recipe.optimisation import Settings

_MOST_EXTENDED = 16
_LONGEST_KEY = 60
SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(path: Path | str, defaults: SettingsT, *, shipped: Mapping[str, Path]) -> SettingsT:
    """Read settings from a TOML file, or from a shipped one by its name.

    A file with `extends = "OTHER.toml"` overrides values of that file, which lies in the same folder, or of a
    shipped one, by its name.

    Args:
        path: A file, or the name of a shipped one; a file takes precedence.
        defaults: The values of keys that the file leaves out.
        shipped: Shipped files by name.

    Raises:
        RecipeError: The file is missing, is not TOML, has an unknown key or a value out of range.
    """
    path = Path(path)
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        path = shipped.get(str(path), path)
    expected = f"a recipe in TOML, or a shipped one: {', '.join(shipped)}"
    content = _content(path, type(defaults), expected, shipped=shipped)
    try:
        return type(defaults).model_validate(_merged(defaults.model_dump(), content))
    except ValidationError as error:
        problems = [_explain(problem, type(defaults)) for problem in error.errors()]
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise RecipeError(f"{path}: {'; '.join(problems[:3])}{more}") from error


def _content(
    path: Path,
    model: type[Settings],
    expected: str,
    above: tuple[Path, ...] = (),
    *,
    shipped: Mapping[str, Path],
) -> dict[str, Any]:
    """Read a file, with keys of former versions moved, merged over the file that it extends, if any.

    Args:
        above: The files that extend it, the first one first.
        shipped: Shipped files by name.
    """
    content = read_toml(path, expected=expected, error_class=RecipeError)
    below = content.pop("extends", None)
    content = model.with_present_keys(content)
    if other := other_kind(content, model.model_fields):
        raise RecipeError(f"{path} is the recipe of {other.name}, which {other.commands}")
    if below is None:
        return content
    if not isinstance(below, str) or below == path.name:
        raise RecipeError(f"{path} extends {below!r}; expected the name of another recipe in its folder")
    extended = path.parent / admitted_name(below, source=path, error_class=RecipeError)
    if below in shipped and not extended.is_file():
        extended = shipped[below]
    above = (*above, path)
    if extended in above:
        circle = " extends ".join(file.name for file in (*above[above.index(extended) :], extended))
        raise RecipeError(f"recipes of {path.parent} go round in a circle: {circle}; let one extend none")
    if len(above) > _MOST_EXTENDED:
        raise RecipeError(f"{above[0]} extends more than {_MOST_EXTENDED} recipes, one by another; join some")
    expected = f"the recipe that {path} extends"
    return _merged(_content(extended, model, expected, above, shipped=shipped), content)


def settings_to_toml(settings: BaseModel, prefix: str = "") -> str:
    """Return settings as TOML, each value below a comment that explains it."""
    own, tables = [], []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            heading = f"{prefix}{name}"
            tables.append(f"[{heading}]\n{settings_to_toml(value, heading + '.')}")
        elif isinstance(value, dict):
            pairs = "".join(f"{_toml(key)} = {_toml(entry)}\n" for key, entry in value.items())
            tables.append(f"# {field.description}\n[{prefix}{name}]\n{pairs}\n")
        else:
            unset = "# " if value is None else ""
            own.append(f"# {field.description}\n{unset}{name} = {_toml(value)}\n")
    return "".join(own) + "\n" + "".join(tables)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Override default values with those of a file; a partly given table keeps its other values."""
    merged = dict(base)
    for key, value in over.items():
        below = base.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _toml(value: object) -> str:
    if value is None:
        return "(chosen from the data)"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return json.dumps(value, ensure_ascii=False)  # TOML has no surrogate pairs


def _explain(problem: Any, model: type[BaseModel]) -> str:
    """Describe in one line what is wrong with a key or value."""
    place = [_shortened(str(part)) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        message = str(problem["msg"]).removeprefix("Value error, ")
        if message.startswith("under ["):  # names its place itself
            return message
        message = message.lower()
        return f"{'.'.join(place)} = {short_repr(problem['input'])}: {message}"
    for part in place[:-1]:
        model = type(model.model_fields[part].default)
    return f"unknown key {'.'.join(place)!r}; {nearest_name(place[-1], model.model_fields)}"


def _shortened(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."
