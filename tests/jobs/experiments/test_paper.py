"""The recipes for the paper's data sets have the paper's values, each with its place in `paper.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from warprefine.jobs.experiments import recipe as recipe_module
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.recipe.student import load_student_recipe

RECIPES = Path(recipe_module.__file__).parent / "recipes"
DATA_SETS = ("cityscapes", "apolloscape", "kitti", "nyuv2")
SOURCES = ("paper", "published", "ours", "unused")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Values of `paper.toml`: which keys of which recipes, what they have to be, and where that is from."""

    keys: tuple[str, ...]
    recipes: tuple[str, ...]
    source: str
    why: str
    value: Any = None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Entry:
        (source,) = (name for name in SOURCES if name in table)
        assert ("value" in table) is (source != "unused"), table
        assert not set(table) - {"keys", "below", "recipes", "value", source}, table
        tables = [f"{above}." for above in table.get("below", ())] or [""]
        return cls(
            keys=tuple(above + key for above in tables for key in table["keys"]),
            recipes=tuple(table.get("recipes", ["*"])),
            source=source,
            why=table[source],
            value=table.get("value"),
        )

    def covers(self, recipe: str, key: str) -> bool:
        return any(fnmatchcase(recipe, name) for name in self.recipes) and any(
            key.startswith(own[:-1]) if own.endswith("*") else key == own for own in self.keys
        )


ENTRIES = [
    Entry.of(table) for table in tomllib.loads(Path(__file__).with_name("paper.toml").read_text())["entry"]
]


def paper_recipes() -> dict[str, ExperimentRecipe]:
    """Return the shipped recipes for the paper's data sets, by the names of their files."""
    named = {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}
    found = {name: load_experiment_recipe("quality", str(path)) for name, path in named.items()}
    return {name: recipe for name, recipe in found.items() if recipe.data.reader in DATA_SETS}


def values_of(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from values_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if value is None else value


def faults(name: str, values: Mapping[str, Any], entries: Sequence[Entry] = ENTRIES) -> list[str]:
    """Return what a recipe has that the table does not: keys without an entry, and other values."""
    found = []
    for key, value in values.items():
        covering = [entry for entry in entries if entry.covers(name, key)]
        if len(covering) != 1:
            found.append(f"{name}: {key} = {value} is in {len(covering)} entries of paper.toml, expected 1")
        elif covering[0].source != "unused" and covering[0].value != value:
            of = f"{covering[0].source}: {covering[0].why}"
            found.append(f"{name}: {key} = {value}, but {covering[0].value} in paper.toml ({of})")
    return found


@pytest.fixture(scope="module")
def recipes() -> dict[str, ExperimentRecipe]:
    """All recipes for the paper's data sets."""
    return paper_recipes()


def test_every_value_of_every_recipe_is_the_papers(recipes: dict[str, ExperimentRecipe]) -> None:
    """Or is ours, with a reason; a key without an entry is a value that nobody has compared."""
    found = [fault for name, one in recipes.items() for fault in faults(name, dict(values_of(one.to_dict())))]

    assert not found, "\n".join(found)
    assert {recipe.data.reader for recipe in recipes.values()} == set(DATA_SETS)


def test_the_students_recipe_is_that_of_cityscapes() -> None:
    """`warprefine student --recipe paper` has the values of the experiments."""
    values = {f"student.{key}": value for key, value in values_of(load_student_recipe("paper").to_dict())}

    assert faults("cityscapes", values) == []


def test_every_entry_is_of_some_recipe(recipes: dict[str, ExperimentRecipe]) -> None:
    """An entry whose key or recipe is gone would claim what nothing does."""
    keys = {name: [key for key, _ in values_of(one.to_dict())] for name, one in recipes.items()}
    for entry in ENTRIES:
        for own in entry.keys:
            alone = Entry(keys=(own,), recipes=entry.recipes, source=entry.source, why=entry.why)
            assert any(alone.covers(name, key) for name, of_recipe in keys.items() for key in of_recipe), own


def test_another_value_and_an_unknown_key_are_found(recipes: dict[str, ExperimentRecipe]) -> None:
    """The comparison can fail: with a learning rate of another data set, and with a new key."""
    values = dict(values_of(recipes["kitti"].to_dict()))
    values |= {"student.optimisation.learning_rate": 0.01, "student.mood": 1.0}

    found = faults("kitti", values)

    assert len(found) == 2
    assert "student.optimisation.learning_rate = 0.01, but 0.0005 in paper.toml (paper: C.1" in found[0]
    assert "student.mood = 1.0 is in 0 entries" in found[1]


def test_steps_of_the_paper(recipes: dict[str, ExperimentRecipe]) -> None:
    """175 epochs of three times the images labelled by hand, in batches of 8 (table B: 175 x 8925)."""
    pictures = {"cityscapes": 2975, "apolloscape": 2005, "nyuv2": 795, "benchmark-kitti": 200}
    steps = {"cityscapes": 195_235, "apolloscape": 131_579, "nyuv2": 52_172, "benchmark-kitti": 13_125}
    for name, count in pictures.items():
        recipe = recipes[name]
        trainings = (
            recipe.labels.segmenter.main_training(count),
            recipe.labels.refiner.resolved(count).optimisation,
            recipe.student.resolved(count).optimisation,
        )
        assert [training.steps for training in trainings] == 3 * [steps[name]]
        assert len({training.steps_per_drop for training in trainings}) == 1
        assert trainings[0].steps_per_drop == round(3 * count / 8)


def test_recipes_are_written_with_their_epochs(recipes: dict[str, ExperimentRecipe]) -> None:
    """What is recorded beside an experiment has the epochs of all three trainings."""
    assert settings_to_toml(recipes["nyuv2"]).count("epochs = 175.0") == 3
