"""Tests of recipe/plus.py: what depends on each setting, and recipes whose settings lie in former places."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from warprefine.core.errors import RecipeError
from warprefine.recipe.optimisation import Settings
from warprefine.recipe.plus import _FORMER, CarrySettings, PlusRecipe
from warprefine.recipe.recipe import Recipe, load_recipe
from warprefine.recipe.synthetic import SyntheticMotion
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe

SHAPE = {"network", "widths", "features", "members"}
USE = {"enabled", "mirrored"}
FORMER: list[tuple[str, tuple[str, ...], Any]] = [
    ('motion = "dis-fast"', ("carry", "motion"), "dis-fast"),
    ('trust = "both"', ("carry", "trust"), "both"),
    ("slack = 2.5", ("carry", "slack"), 2.5),
    ("tau = 0.5", ("carry", "tau"), 0.5),
    ("hard_trust = true", ("carry", "hard_trust"), True),
    ("soft = false", ("carry", "soft"), False),
    ("long_range = true", ("carry", "long_range"), True),
    ("reach = 7", ("choose", "reach"), 7),
    ("sides = 1", ("choose", "sides"), 1),
    ("refine = false", ("refiner", "enabled"), False),
    ("smoothing = 0.5", ("smooth", "decay"), 0.5),
    ("smoothed = 3", ("smooth", "frames"), 3),
    ("confident = 0.8", ("rounds", "confident"), 0.8),
    ("made_share = 0.25", ("rounds", "pseudo_label_share"), 0.25),
    ("stills = 5", ("refiner", "synthetic", "stills"), 5),
    ("variants = 6", ("refiner", "synthetic", "variants"), 6),
    ("synthetic.zoom = 0.1", ("refiner", "synthetic", "motion"), SyntheticMotion(zoom=0.1)),
]
"""Former keys of [plus], each with where it is now and its value."""
REPLACED: list[tuple[str, tuple[str, ...], Any]] = [
    ('carry = "steps"', ("carry", "mode"), "steps"),
    ("rounds = 3", ("rounds", "count"), 3),
    ("refiner.synthetic_share = 0.5", ("refiner", "synthetic", "share"), 0.5),
]
"""Former keys whose names are tables now, or that were in a table already."""


def leaves(settings: Settings, *above: str) -> Iterator[tuple[str, ...]]:
    """List the places of all values below some settings."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield from leaves(value, *above, name)
        else:
            yield (*above, name)


def another_value(place: tuple[str, ...]) -> Any:
    """Return a valid value of a setting that is not its default."""
    table: Any = PlusRecipe()
    for name in place[:-1]:
        table = getattr(table, name)
    value = getattr(table, place[-1])
    declared = type(table).model_fields[place[-1]].annotation
    if get_origin(declared) is Literal:
        return next(other for other in get_args(declared) if other != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return tuple(side + 16 for side in value)
    return value + "-2" if isinstance(value, str) else value + 1


@pytest.mark.parametrize("place", list(leaves(PlusRecipe())), ids=".".join)
def test_settings_are_grouped_by_what_depends_on_them(place: tuple[str, ...]) -> None:
    """Labels, the weights of the refiner and the time per frame each depend on their own settings alone."""
    before, after = PlusRecipe(), PlusRecipe().changed(place, another_value(place))

    assert after != before
    of_carrying, of_refiner = place[0] == "carry", place[0] == "refiner"
    of_labels = place[0] in {"carry", "choose", "smooth"}
    of_training = of_refiner and place[1] not in USE
    of_cost = of_labels or (of_refiner and place[1] in SHAPE | USE)
    assert (after.label_settings != before.label_settings) == of_labels
    assert (after.refiner_settings != before.refiner_settings) == (of_carrying or of_training)
    assert (after.cost_settings != before.cost_settings) == of_cost


def test_settings_that_are_compared_are_plain_values() -> None:
    """They are written to files and compared with what is read back: no object but JSON's in them."""
    plus = PlusRecipe()

    assert plus.label_settings["carry"] == {
        "motion": "dis-sharp",
        "trust": "agreement",
        "slack": 1.5,
        "tau": 0.12,
        "hard_trust": False,
        "mode": "trajectory",
        "soft": True,
        "long_range": False,
    }
    assert plus.label_settings["choose"] == {"reach": 20, "sides": 2}
    assert plus.label_settings["smooth"] == {"decay": 0.9, "frames": 2}
    assert plus.refiner_settings["training"]["widths"] == [24, 48, 96, 128]
    assert plus.cost_settings["refiner"] == {
        "enabled": True,
        "mirrored": True,
        "network": "auto",
        "widths": [24, 48, 96, 128],
        "features": True,
        "members": 1,
    }


def loaded(folder: Path, content: str) -> Recipe:
    (folder / "recipe.toml").write_text(content, encoding="utf-8")
    return load_recipe(folder / "recipe.toml")


def test_every_former_key_is_tried() -> None:
    """The list of this file is complete."""
    assert sorted(line.split(" ")[0].split(".")[0] for line, _, _ in FORMER) == sorted(_FORMER)


@pytest.mark.parametrize(
    ("line", "place", "value"), [*FORMER, *REPLACED], ids=[line for line, _, _ in (*FORMER, *REPLACED)]
)
def test_a_former_key_is_still_accepted(
    tmp_path: Path, line: str, place: tuple[str, ...], value: object
) -> None:
    """A recipe from before the settings were grouped sets what it set then, and nothing else."""
    expected = PlusRecipe().changed(place, value)

    assert expected != PlusRecipe()
    assert loaded(tmp_path, f"[plus]\n{line}\n") == Recipe(plus=expected)


def test_all_former_keys_are_accepted_together(tmp_path: Path) -> None:
    """A run's recipe, which has every key, is read whole; former and present keys may be mixed."""
    lines = [line for line, _, _ in FORMER] + [line for line, _, _ in REPLACED]
    expected = PlusRecipe().changed(("refiner", "void_weight"), 0.5)
    for _, place, value in [*FORMER, *REPLACED]:
        expected = expected.changed(place, value)

    recipe = loaded(tmp_path, "\n".join(["[plus]", *lines, "refiner.void_weight = 0.5"]))

    assert recipe == Recipe(plus=expected)


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        (
            '[plus]\nmotion = "dis-fast"',
            '[plus.carry]\nmotion = "dis-medium"',
            {"carry.motion": "dis-medium"},
        ),
        (
            '[plus.carry]\nmotion = "dis-fast"',
            '[plus]\nmotion = "dis-medium"',
            {"carry.motion": "dis-medium"},
        ),
        (
            '[plus]\ncarry = "steps"',
            '[plus.carry]\nmotion = "dis-fast"',
            {"carry.mode": "steps", "carry.motion": "dis-fast"},
        ),
        (
            "[plus.carry]\nslack = 2.0",
            '[plus]\ncarry = "steps"',
            {"carry.slack": 2.0, "carry.mode": "steps"},
        ),
        (
            "[plus]\nrounds = 3",
            "[plus.rounds]\nconfident = 0.8",
            {"rounds.count": 3, "rounds.confident": 0.8},
        ),
        (
            "[plus.refiner]\nsynthetic_share = 0.3",
            "[plus.refiner.synthetic]\nshare = 0.1",
            {"refiner.synthetic.share": 0.1},
        ),
    ],
)
def test_a_recipe_may_extend_one_with_former_keys(
    tmp_path: Path, below: str, above: str, expected: dict[str, object]
) -> None:
    """The file that extends another overrides it, whichever of them has keys of former versions."""
    (tmp_path / "below.toml").write_text(below)
    plus = PlusRecipe()
    for place, value in expected.items():
        plus = plus.changed(place.split("."), value)

    assert loaded(tmp_path, f'extends = "below.toml"\n{above}\n') == Recipe(plus=plus)


def test_a_present_key_counts_beside_a_former_one(tmp_path: Path) -> None:
    """A file that has both has been edited where the settings are now."""
    recipe = loaded(tmp_path, '[plus]\nmotion = "dis-fast"\n[plus.carry]\nmotion = "dis-medium"\n')

    assert recipe.plus.carry.motion == "dis-medium"


def test_former_keys_leave_what_is_given_unchanged() -> None:
    """Tables and settings that are given beside a former key keep their values, and stay as they are."""
    given: dict[str, Any] = {"carry": {"slack": 2.5}, "refiner": {"synthetic_share": 0.5}, "tau": 0.5}
    before = deepcopy(given)

    plus = PlusRecipe.model_validate(given)

    assert given == before
    assert (plus.carry.slack, plus.carry.tau, plus.refiner.synthetic.share) == (2.5, 0.5, 0.5)
    by_settings = {"carry": CarrySettings(slack=2.5), "refiner": TwoSidedRefinerRecipe(void_weight=0.5)}
    plus = PlusRecipe.model_validate({**by_settings, "tau": 0.5, "stills": 3})
    assert (plus.carry.slack, plus.carry.tau) == (2.5, 0.5)
    assert (plus.refiner.void_weight, plus.refiner.synthetic.stills) == (0.5, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[plus]\nsmoth = 1", r"unknown key 'plus\.smoth'; did you mean 'smooth'\?"),
        ("[plus]\nslck = 1.0", r"unknown key 'plus\.slck'; .*carry, choose, refiner, smooth, rounds"),
        ("[plus.carry]\nslck = 1.0", r"unknown key 'plus\.carry\.slck'; did you mean 'slack'\?"),
        ("[plus.carry]\nreach = 7", r"unknown key 'plus\.carry\.reach'; "),
        (
            "[plus.refiner]\nsynthetic_shar = 0.5",
            r"'plus\.refiner\.synthetic_shar'; did you mean 'synthetic'",
        ),
        ("[plus]\nslack = -1.0", r"plus\.carry\.slack = -1\.0: input should be greater than 0"),
        ("[plus]\nrounds = 0", r"plus\.rounds\.count = 0: input should be greater than or equal to 1"),
        ('[plus]\ncarry = "step"', r"plus\.carry\.mode = 'step': input should be 'trajectory' or 'steps'"),
        ("[plus]\nsynthetic.zom = 0.1", r"'plus\.refiner\.synthetic\.motion\.zom'; did you mean 'zoom'"),
        ("plus = 3", r"plus = 3: input should be a valid dictionary"),
    ],
)
def test_a_mistake_under_plus_is_told_by_its_present_place(
    tmp_path: Path, content: str, message: str
) -> None:
    """An unknown key is an error that names the nearest, and a wrong value is told where it belongs now."""
    with pytest.raises(RecipeError, match=message):
        loaded(tmp_path, content)
