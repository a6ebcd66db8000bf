"""Build a network by its name: from a recipe's fields, or again from the card of its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

NetworkT_co = TypeVar("NetworkT_co", covariant=True)


@runtime_checkable
class Described(Protocol):
    """A network whose shape does not follow from the recipe alone; it supplies its own settings."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return keyword arguments of its constructor, as JSON can hold them."""
        ...


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(Generic[NetworkT_co]):
    """How to build a network that users choose by a name.

    Attributes:
        make: Called with counts by position and with settings by keyword.
        settings: Which of the recipe's fields are its keyword arguments.
        takes_names: Whether it is built with `class_names`, to match them with those of its weights.
        imported: Whether it is meant to begin from published weights, which users import.

    Example:
        >>> from warprefine.segmentation import SEGMENTERS
        >>> SEGMENTERS["compact"].settings
        ('widths',)
    """

    make: Callable[..., NetworkT_co]
    settings: tuple[str, ...] = ()
    takes_names: bool = False
    imported: bool = False

    def from_recipe(
        self,
        recipe: object,
        *counts: int,
        init_from: Mapping[str, Any] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> NetworkT_co:
        """Build a network from the fields of a recipe.

        Args:
            counts: Numbers of classes and, for refiners, of feature channels.
            init_from: Settings of the weights that it is initialised from; they override the recipe's.
            class_names: Names of the classes, for networks that match them.
        """
        names = {"class_names": class_names} if self.takes_names else {}
        return self.make(*counts, **self._arguments(recipe, init_from), **names)

    def from_card(self, settings: Mapping[str, Any], *counts: int) -> NetworkT_co:
        """Build a network of the shape that `describe` recorded."""
        return self.make(*counts, **_from_json(settings))

    def describe(
        self, network: object, recipe: object, *, init_from: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the settings that a network was built with, for a checkpoint's card."""
        if isinstance(network, Described):
            return network.settings
        arguments = self._arguments(recipe, init_from)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}

    def _arguments(self, recipe: object, init_from: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: getattr(recipe, name) for name in self.settings} | _from_json(init_from or {})


def _from_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn lists back into tuples, which JSON does not have."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
