"""Tests of recipe/optimisation.py: settings are changed by copying them, and listed as JSON can hold them."""

from __future__ import annotations

import json

import pytest

from warprefine.recipe.plus import CarrySettings, PlusRecipe
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.two_sided_refiner import TwoSidedNetwork, TwoSidedTraining


@pytest.mark.parametrize(
    ("place", "value"), [(("refiner", "loss"), "rmi"), (("plus", "refiner", "synthetic", "share"), 0.5)]
)
def test_a_value_is_changed_at_its_place_alone(place: tuple[str, ...], value: object) -> None:
    """The new settings differ in one value; those that they were made from stay as they were."""
    recipe = Recipe()

    changed = recipe.changed(place, value)

    assert recipe == Recipe()
    expected = recipe.to_dict()
    table = expected
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    assert changed.to_dict() == expected
    assert type(changed) is Recipe


def test_a_table_is_replaced_whole() -> None:
    """A place may be that of a table."""
    carry = CarrySettings(slack=2.5, mode="steps")

    assert Recipe().changed(("plus", "carry"), carry) == Recipe(plus=PlusRecipe(carry=carry))


@pytest.mark.parametrize("place", [("refiner", "loudness"), ("refiner", "loss", "loudness")])
def test_no_setting_is_invented(place: tuple[str, ...]) -> None:
    """A place that does not exist is a mistake in the program."""
    with pytest.raises(AttributeError, match=r"no attribute '(loudness|changed)'"):
        Recipe().changed(place, 3)


def test_settings_are_listed_as_json_holds_them() -> None:
    """What is written to a file and read back is equal to what was listed: no tuples, no objects."""
    listed = Recipe().to_dict()

    assert json.loads(json.dumps(listed)) == listed
    assert Recipe.model_validate(listed) == Recipe()


def test_a_part_is_what_a_base_class_declares() -> None:
    """Of the refiner's settings, those of its shape and those of its training can be listed by themselves."""
    refiner = PlusRecipe().refiner

    assert refiner.part(TwoSidedNetwork) == {
        "network": "auto",
        "widths": [24, 48, 96, 128],
        "features": True,
        "members": 1,
    }
    assert refiner.part(TwoSidedTraining).keys() == refiner.to_dict().keys() - {"enabled", "mirrored"}
