"""Tests of recipe/student.py: the paper's mix and length of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import RecipeError
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.student import StudentRecipe, load_student_recipe, shipped_student_recipes


def test_the_paper_on_cityscapes() -> None:
    """175 epochs of 3 · 2975 samples in batches of 8 are 195 235 steps; the rate falls once an epoch."""
    recipe = load_student_recipe(Path("paper")).resolved(2975)

    assert recipe.epoch_length(2975) == 8925
    assert recipe.optimisation.steps == 195_235
    assert recipe.optimisation.steps_per_drop == 1116


def test_accumulated_batches_count_for_one_step() -> None:
    """With 4 batches of 2 a step, 2 epochs of 24 samples are 6 steps."""
    recipe = StudentRecipe(epochs=2, optimisation=Optimisation(batch=2, accumulate=4))

    assert recipe.resolved(8).optimisation.steps == 6


def test_without_epochs_the_steps_decide() -> None:
    """A recipe that names no epochs is left as it is."""
    recipe = StudentRecipe(optimisation=Optimisation(steps=7))

    assert recipe.resolved(100) == recipe


@pytest.mark.parametrize(
    ("covered", "coarse", "shares"),
    [
        (0.0, False, (1.0, 0.0, 0.0)),
        (1.0, False, (0.3, 0.7, 0.0)),
        (1.0, True, (0.35, 0.3, 0.35)),
        (0.0, True, (0.5, 0.0, 0.5)),
        (0.5, False, (0.65, 0.35, 0.0)),
    ],
)
def test_shares_of_an_epoch(covered: float, coarse: bool, shares: tuple[float, float, float]) -> None:
    """70 % is pseudo-labelled, 30 % where there are coarse labels, which have half of the rest.

    Where half of the images have pseudo-labelled neighbours, it is half of that.
    """
    assert StudentRecipe().shares(covered=covered, coarse=coarse) == pytest.approx(shares)


def test_the_papers_shares_whatever_is_covered() -> None:
    """Unless asked to be even, 70 % is pseudo-labelled as soon as anything is."""
    recipe = StudentRecipe(even=False)

    assert recipe.shares(covered=0.1, coarse=False) == pytest.approx((0.3, 0.7, 0.0))
    assert recipe.shares(covered=0.0, coarse=False) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("name", shipped_student_recipes())
def test_recipes_that_come_along_can_be_read(name: str) -> None:
    """Each is a recipe of a student."""
    assert isinstance(load_student_recipe(Path(name)), StudentRecipe)


def test_a_mistake_in_a_recipe(tmp_path: Path) -> None:
    """An unknown key is told with the nearest real one."""
    path = tmp_path / "mine.toml"
    path.write_text("ofsets = [2]")

    with pytest.raises(RecipeError, match=r"unknown key 'ofsets'.*'offsets'"):
        load_student_recipe(path)
