"""Tests of core/network_spec.py: a network can be built again from its card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from torch import nn

from warprefine.core.network_spec import NetworkSpec


class Plain(nn.Module):
    """A network whose shape the recipe decides."""

    def __init__(self, class_count: int, *, widths: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        self.shape = (class_count, widths)


class Own(nn.Module):
    """A network whose shape does not follow from the recipe alone."""

    def __init__(self, class_count: int, *, source: str = "", shape: str = "") -> None:
        super().__init__()
        self.shape = (class_count, shape or f"as in {source}")

    @property
    def settings(self) -> dict[str, Any]:
        return {"shape": self.shape[1]}


@dataclass
class Recipe:
    """Fields of a recipe, of which networks use some."""

    widths: tuple[int, ...] = (4, 8)
    source: str = "folder"
    unused: int = 3


def test_a_network_takes_its_own_settings_from_the_recipe_and_nothing_else() -> None:
    """Only the named fields of a recipe reach the constructor."""
    built = NetworkSpec(make=Plain, settings=("widths",)).from_recipe(Recipe(), 5)

    assert isinstance(built, Plain)
    assert built.shape == (5, (4, 8))


def test_names_of_classes_reach_the_networks_that_match_them() -> None:
    """A network that is not said to take names is built without them."""
    spec = NetworkSpec(make=lambda count, **given: (count, given), takes_names=True)

    assert spec.from_recipe(Recipe(), 1, class_names=["road"]) == (1, {"class_names": ["road"]})
    assert NetworkSpec(make=Plain).from_recipe(Recipe(), 1, class_names=["road"]).shape == (1, (1,))


def test_a_card_brings_back_the_same_shape() -> None:
    """Recorded settings survive JSON, which has no tuples."""
    spec = NetworkSpec(make=Plain, settings=("widths",))
    card = json.loads(json.dumps(spec.describe(spec.from_recipe(Recipe(), 5), Recipe())))

    again = spec.from_card(card, 5)

    assert isinstance(again, Plain)
    assert again.shape == (5, (4, 8))


def test_settings_of_initial_weights_go_before_the_recipe() -> None:
    """The settings that weights were trained with shape their network, and stand on its card."""
    spec = NetworkSpec(make=Plain, settings=("widths",))

    built = spec.from_recipe(Recipe(), 5, init_from={"widths": [2, 3]})

    assert isinstance(built, Plain)
    assert built.shape == (5, (2, 3))
    assert spec.describe(built, Recipe(), init_from={"widths": [2, 3]}) == {"widths": [2, 3]}


def test_a_network_may_describe_itself() -> None:
    """A network's own settings go before the recipe's fields, which may not be there later."""
    spec = NetworkSpec(make=Own, settings=("source",))
    card = spec.describe(spec.from_recipe(Recipe(), 2), Recipe())

    again = spec.from_card(card, 2)

    assert card == {"shape": "as in folder"}
    assert isinstance(again, Own)
    assert again.shape == (2, "as in folder")
