"""Build a network by its name: from a recipe's fields, or again from what its checkpoint's card says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Described(Protocol):
    """A network whose shape does not follow from the recipe alone; it says itself how to build it again."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return keyword arguments of its constructor, as JSON can hold them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How to build a network that users call by a name.

    Attributes:
        make: Called with counts by position and with settings by keyword.
        settings: Which of the recipe's fields are its keyword arguments.
    """

    make: Callable[..., nn.Module]
    settings: tuple[str, ...] = ()

    def from_recipe(
        self, recipe: object, *counts: int, begun_from: Mapping[str, Any] | None = None
    ) -> nn.Module:
        """Build a network from the fields of a recipe.

        Args:
            begun_from: Settings of the weights that it is to begin from, which go before the recipe's.
        """
        return self.make(*counts, **self._given(recipe, begun_from))

    def from_card(self, settings: Mapping[str, Any], *counts: int) -> nn.Module:
        """Build a network of the shape that `describe` wrote down."""
        return self.make(*counts, **_from_json(settings))

    def describe(
        self, network: nn.Module, recipe: object, *, begun_from: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the settings that a network was built with, for a checkpoint's card."""
        if isinstance(network, Described):
            return network.settings
        given = self._given(recipe, begun_from)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def _given(self, recipe: object, begun_from: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: getattr(recipe, name) for name in self.settings} | _from_json(begun_from or {})


def _from_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists back into tuples, which JSON does not know."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
