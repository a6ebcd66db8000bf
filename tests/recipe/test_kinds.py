"""Tests of recipe/kinds.py: a recipe that another command takes is recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warprefine.core.errors import RecipeError
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.recipe.kinds import KINDS
from warprefine.recipe.recipe import Recipe, load_recipe
from warprefine.recipe.student import StudentRecipe, load_student_recipe

OF_A_RUN = "[plus.carry]\nsoft = true\n[segmenter]\nnetwork = 'compact'\n"
OF_A_STUDENT = "network = 'compact'\noffsets = [1, 2]\n[optimisation]\nsteps = 3\n"
OF_AN_EXPERIMENT = "seeds = 2\n[data]\nreader = 'camvid'\n[student]\nnetwork = 'compact'\n"


def test_keys_of_a_kind_are_of_its_recipe_alone() -> None:
    """No key stands for two kinds, and each occurs in the recipe."""
    models = (Recipe, StudentRecipe, ExperimentRecipe)
    for kind, model in zip(KINDS, models, strict=True):
        assert kind.keys <= {*model.model_fields}
        assert all(not kind.keys & {*other.model_fields} for other in models if other is not model)


def _experiment(path: Path) -> object:
    return load_experiment_recipe("utility", str(path))


@pytest.mark.parametrize(
    ("load", "content", "message"),
    [
        (load_recipe, OF_A_STUDENT, "is the recipe of a student, which `warprefine student` takes"),
        (load_recipe, "extends = 'paper'\n" + OF_A_STUDENT, "is the recipe of a student"),
        (load_recipe, OF_AN_EXPERIMENT, "of an experiment, which `warprefine experiment` takes"),
        (load_student_recipe, OF_A_RUN, "is the recipe of a run, which `warprefine autolabel`, `train` and"),
        (load_student_recipe, OF_AN_EXPERIMENT, "is the recipe of an experiment"),
        (_experiment, OF_A_RUN, r"is the recipe of a run, .* its tables go below \[labels\]"),
        (_experiment, OF_A_STUDENT, r"is the recipe of a student, .* it goes below \[student\]"),
    ],
)
def test_a_recipe_of_another_kind_is_named(
    tmp_path: Path, load: Callable[[Path], Any], content: str, message: str
) -> None:
    """With the command that takes it, instead of a list of unknown keys."""
    (tmp_path / "recipe.toml").write_text(content)

    with pytest.raises(RecipeError, match=message):
        load(tmp_path / "recipe.toml")
