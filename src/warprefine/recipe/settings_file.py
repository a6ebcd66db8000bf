"""Read settings from a TOML file, and write them as TOML; an unknown key is an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from warprefine.core.errors import RecipeError
from warprefine.core.names import nearest_name
from warprefine.recipe.optimisation import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(path: Path | str, defaults: SettingsT, *, shipped: Mapping[str, Path]) -> SettingsT:
    """Read settings from a TOML file, or from a shipped one by its name.

    A file with `extends = "OTHER.toml"` overrides values of that file, which lies in the same folder.

    Args:
        path: A file, or the name of a shipped one; a file takes precedence.
        defaults: The values of keys that the file leaves out.
        shipped: Shipped files by name.

    Raises:
        RecipeError: The file is missing, is not TOML, has an unknown key or a value out of range.
    """
    path = Path(path)
    if not path.is_file():
        path = shipped.get(str(path), path)
    content = _content(path, type(defaults), f"a recipe in TOML, or a shipped one: {', '.join(shipped)}")
    try:
        return type(defaults).model_validate(_merged(defaults.model_dump(), content))
    except ValidationError as error:
        problems = "; ".join(_explain(problem, type(defaults)) for problem in error.errors())
        raise RecipeError(f"{path}: {problems}") from error


def _content(path: Path, model: type[Settings], expected: str) -> dict[str, Any]:
    """Read a file, with keys of former versions moved, merged over the file that it extends, if any."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path} does not exist; expected {expected}") from None
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}; expected a recipe in TOML") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}; mend that line") from error
    below = content.pop("extends", None)
    content = model.with_present_keys(content)
    if below is None:
        return content
    if not isinstance(below, str) or path.parent / below == path:
        raise RecipeError(f"{path} extends {below!r}; expected the name of another recipe in its folder")
    return _merged(_content(path.parent / below, model, f"the recipe that {path} extends"), content)


def settings_to_toml(settings: BaseModel, prefix: str = "") -> str:
    """Return settings as TOML, each value below a comment that explains it."""
    own, tables = [], []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            heading = f"{prefix}{name}"
            tables.append(f"[{heading}]\n{settings_to_toml(value, heading + '.')}")
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
    place = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ").lower()
        return f"{'.'.join(place)} = {problem['input']!r}: {message}"
    for part in place[:-1]:
        model = type(model.model_fields[part].default)
    return f"unknown key {'.'.join(place)!r}; {nearest_name(place[-1], model.model_fields)}"
