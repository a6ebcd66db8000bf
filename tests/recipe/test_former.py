"""Tests of recipe/former.py: what a recipe of an earlier version stands for in keys that it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from warprefine.recipe.former import FORMER_VALUES, with_former_values
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.stages import overridden

KEYS = Path(__file__).with_name("keys.txt")


def keys_of(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict) and name != "changes":
            yield from keys_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_key_of_the_recipe_has_a_former_value_or_is_known_to_have_none() -> None:
    """A new key is decided: its value that gives what was done before, in recipe/former.py, or a line here.

    Without the value, run folders of earlier versions are refused.
    """
    without = KEYS.read_text(encoding="utf-8").split()

    assert sorted(keys_of(Recipe().to_dict())) == sorted([*without, *FORMER_VALUES])


def test_former_values_are_values_of_the_recipe() -> None:
    """Each can be set, so a user can go on with an older run folder."""
    recipe = overridden(Recipe(), FORMER_VALUES).to_dict()

    assert [key for key in keys_of(recipe) if key in FORMER_VALUES] == [
        "segmenter.epoch_factor",
        "segmenter.epochs",
        "segmenter.strict_classes",
        "segmenter.relaxed_until",
        "segmenter.relaxed_scale",
        "segmenter.optimisation.recompute",
        "segmenter.steps_per_picture",
        "segmenter.tile",
        "segmenter.further",
        "segmenter.adaptation.recompute",
        "segmenter.held_out",
        "refiner.epoch_factor",
        "refiner.epochs",
        "refiner.optimisation.recompute",
        "refiner.scale",
        "refiner.blur",
        "refiner.class_uniform",
        "refiner.tile",
        "motion.ignore_outside",
        "motion.optimisation.recompute",
        "propagation.calibration_key_frames",
        "propagation.calibration_steps",
        "propagation.stop_at_cuts",
        "propagation.cut_sensitivity",
        "plus.refiner.members",
        "plus.refiner.left_out",
        "plus.refiner.optimisation.recompute",
    ]


def test_former_values_fill_what_is_missing_alone() -> None:
    """What was recorded stays, as do the tables that were given, and tables that are missing or damaged."""
    recorded = {"segmenter": {"further": False, "folds": 3}, "plus": 7}

    complete = with_former_values(recorded)

    assert complete == {
        "segmenter": {
            "further": False,
            "folds": 3,
            "held_out": "folds",
            "steps_per_picture": 100_000_000,
            "epoch_factor": 3.0,
            "epochs": 0.0,
            "tile": 0,
            "strict_classes": [],
            "relaxed_until": 1.0,
            "relaxed_scale": 1.0,
        },
        "plus": 7,
    }
    assert recorded == {"segmenter": {"further": False, "folds": 3}, "plus": 7}


def test_steps_were_not_limited_by_pictures_before() -> None:
    """The former value leaves the main training as long as it was, with one picture, too."""
    recipe = Recipe(**with_former_values({"segmenter": {}})).segmenter

    assert recipe.main_training(1) == recipe.optimisation
    assert Recipe().segmenter.main_training(1) != Recipe().segmenter.optimisation
