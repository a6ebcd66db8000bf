"""Tests of core/kinds.py: a network can be built again from what its card says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from torch import nn

from warprefine.core.kinds import Kind


class Plain(nn.Module):
    """A network whose shape the recipe decides."""

    def __init__(self, class_count: int, *, widths: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        self.said = (class_count, widths)


class Own(nn.Module):
    """A network that knows its shape better than the recipe does."""

    def __init__(self, class_count: int, *, source: str = "", shape: str = "") -> None:
        super().__init__()
        self.said = (class_count, shape or f"as in {source}")

    @property
    def settings(self) -> dict[str, Any]:
        return {"shape": self.said[1]}


@dataclass
class Recipe:
    """Fields that networks may ask for."""

    widths: tuple[int, ...] = (4, 8)
    source: str = "folder"
    unused: int = 3


def test_a_network_takes_from_the_recipe_what_it_asks_for_and_nothing_else() -> None:
    """Only the named fields of a recipe reach the constructor."""
    built = Kind(make=Plain, settings=("widths",)).from_recipe(Recipe(), 5)

    assert isinstance(built, Plain)
    assert built.said == (5, (4, 8))


def test_a_card_brings_back_the_same_shape() -> None:
    """What is written down survives JSON, which knows no tuples."""
    kind = Kind(make=Plain, settings=("widths",))
    card = json.loads(json.dumps(kind.describe(kind.from_recipe(Recipe(), 5), Recipe())))

    again = kind.from_card(card, 5)

    assert isinstance(again, Plain)
    assert again.said == (5, (4, 8))


def test_weights_to_begin_from_go_before_the_recipe() -> None:
    """What weights were trained with shapes their network, and its card says so."""
    kind = Kind(make=Plain, settings=("widths",))

    built = kind.from_recipe(Recipe(), 5, begun_from={"widths": [2, 3]})

    assert isinstance(built, Plain)
    assert built.said == (5, (2, 3))
    assert kind.describe(built, Recipe(), begun_from={"widths": [2, 3]}) == {"widths": [2, 3]}


def test_a_network_may_describe_itself() -> None:
    """What a network says of its shape goes before the recipe's fields, which may not be there later."""
    kind = Kind(make=Own, settings=("source",))
    card = kind.describe(kind.from_recipe(Recipe(), 2), Recipe())

    again = kind.from_card(card, 2)

    assert card == {"shape": "as in folder"}
    assert isinstance(again, Own)
    assert again.said == (2, "as in folder")
