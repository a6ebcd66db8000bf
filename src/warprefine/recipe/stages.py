"""Hyper-parameters of the stages first and best of the main job: what differs from the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator

from warprefine.core.names import nearest_name
from warprefine.recipe.optimisation import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)
FIRST_CHANGES: dict[str, Any] = {
    "plus.refiner.enabled": False,
    "segmenter.network": "lite0-frozen",
    "segmenter.further": False,
    "segmenter.optimisation.steps": 100,
    "segmenter.steps_per_picture": 50,
    "segmenter.features.crops": 48,
    "segmenter.mirrored": False,
}
"""Stage first: both sides and a segmenter that is trained in seconds vote."""
BEST_CHANGES: dict[str, Any] = {
    "plus.rounds.count": 2,
    "plus.refiner.optimisation.steps": 600,
    "segmenter.network": "lite0",
    "segmenter.held_out": "folds",
    "segmenter.optimisation.steps": 1000,
    "segmenter.optimisation.learning_rate": 1e-3,
    "segmenter.optimisation.warmup": 50,
    "segmenter.optimisation.average_decay": 0.99,
    "segmenter.adaptation.steps": 200,
    "segmenter.adaptation.learning_rate": 5e-4,
}
"""Stage best: a trunk that is trained too, longer trainings, two rounds."""


def _dotted(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested tables by dots, as TOML reads keys without quotation marks."""
    joined: dict[str, Any] = {}
    for name, value in changes.items():
        place = f"{prefix}{name}"
        joined |= _dotted(value, f"{place}.") if isinstance(value, Mapping) else {place: value}
    return joined


class StageSettings(Settings):
    """A stage beside the one of the recipe itself, which is called good."""

    enabled: bool = True
    """Whether there is this stage."""
    changes: dict[str, Any] = Field({})
    """What differs from the recipe in this stage: a key with dots, and its value."""

    @classmethod
    def with_present_keys(cls, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a table of a file whose changes are keys with dots, however they are nested."""
        values = super().with_present_keys(table)
        changes = values.get("changes")
        return {**values, "changes": _dotted(changes)} if isinstance(changes, Mapping) else values

    @field_validator("changes", mode="before")
    @classmethod
    def _join_keys(cls, changes: Any) -> Any:
        return _dotted(changes) if isinstance(changes, Mapping) else changes


class StagesRecipe(Settings):
    """The stages of the main job before and after good, which is the recipe as it is."""

    first: StageSettings = StageSettings(changes=FIRST_CHANGES)
    """Labels to look at, as soon as possible."""
    best: StageSettings = StageSettings(changes=BEST_CHANGES)
    """Labels as good as can be, whatever the time."""


NO_CHANGES = StagesRecipe(first=StageSettings(enabled=False), best=StageSettings(enabled=False))
"""What is left to change in the recipe of a stage."""


def overridden(settings: SettingsT, changes: Mapping[str, Any]) -> SettingsT:
    """Return settings with other values at keys with dots.

    Raises:
        ValueError: A key is unknown, or a value out of range; the message has the nearest key.

    Example:
        >>> from warprefine.recipe.plus import PlusRecipe
        >>> overridden(PlusRecipe(), {"refiner.optimisation.steps": 600}).refiner.optimisation.steps
        600
    """
    content = settings.model_dump()
    for key, value in changes.items():
        _set(content, type(settings), key, value)
    try:
        return type(settings).model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        reason = problem["msg"].removeprefix("Value error, ")
        raise ValueError(f"{place} = {problem['input']!r}: {reason}") from error


def _set(content: dict[str, Any], model: type[Settings], key: str, value: Any) -> None:
    """Set a value of nested tables at a key with dots, which has to be one of a model."""
    *above, last = key.split(".")
    for part in above:
        model, content = _table(model, part, key), content[part]
        if model is Settings:
            raise ValueError(f"unknown key {key!r}; {part!r} is a value and has no keys")
    if _table(model, last, key) is not Settings:
        raise ValueError(f"{key!r} is a table; name a key in it, such as {key}.{next(iter(content[last]))}")
    content[last] = value


def _table(model: type[Settings], name: str, key: str) -> type[Settings]:
    """Return the model of the table of a name; `Settings` itself where that is a value."""
    if name not in model.model_fields:
        raise ValueError(f"unknown key {key!r}; for {name!r}, {nearest_name(name, model.model_fields)}")
    default = model.model_fields[name].default
    return type(default) if isinstance(default, Settings) else Settings
