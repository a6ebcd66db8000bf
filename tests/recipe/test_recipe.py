"""Tests of recipe/recipe.py: every hyper-parameter in one file, and nothing else in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from warprefine.core.errors import RecipeError
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import (
    PropagationRecipe,
    Recipe,
    RefinerRecipe,
    SegmenterRecipe,
    load_recipe,
    shipped_recipes,
)
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.recipe.student import StudentRecipe
from warprefine.refinement import REFINERS
from warprefine.segmentation import SEGMENTERS

SHARES = st.floats(0, 1)
POSITIVE = st.floats(1e-9, 1e3)
OPTIMISATIONS = st.builds(
    Optimisation,
    steps=st.integers(1, 10**8),
    learning_rate=st.floats(1e-9, 100),
    optimiser=st.sampled_from(["sgd", "adamw"]),
    momentum=st.floats(0, 1, exclude_max=True),
    mixed_precision=st.booleans(),
)
RECIPES = st.builds(
    Recipe,
    segmenter=st.builds(
        SegmenterRecipe,
        network=st.text(st.characters(exclude_categories=["Cc", "Cs"])),
        widths=st.tuples(*[st.integers(4, 999)] * 5),
        optimisation=OPTIMISATIONS,
        adaptation=OPTIMISATIONS,
        augmentation=st.builds(
            Augmentation,
            crop=st.tuples(st.integers(1, 999), st.integers(1, 999)),
            scale=st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)).map(sorted).map(tuple),
            flip=SHARES,
        ),
    ),
    refiner=st.builds(RefinerRecipe, optimisation=OPTIMISATIONS, longest_cycle=st.integers(1, 99)),
    propagation=st.builds(
        PropagationRecipe, tau=st.none() | POSITIVE, tau_candidates=st.lists(POSITIVE, min_size=1).map(tuple)
    ),
)


def loaded(folder: Path, content: str) -> Recipe:
    (folder / "recipe.toml").write_text(content, encoding="utf-8")
    return load_recipe(folder / "recipe.toml")


def models_below(model: BaseModel) -> Iterator[BaseModel]:
    yield model
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from models_below(value)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipe=RECIPES)
def test_a_recipe_comes_back_from_its_file_as_it_was(tmp_path: Path, recipe: Recipe) -> None:
    """Every value, however odd, is written as TOML and read back unchanged."""
    assert loaded(tmp_path, settings_to_toml(recipe)) == recipe


def test_an_empty_file_is_the_default_recipe(tmp_path: Path) -> None:
    """What a file leaves out has its default."""
    assert loaded(tmp_path, "") == Recipe()
    assert loaded(tmp_path, settings_to_toml(Recipe())) == Recipe()


def test_a_partly_given_table_keeps_its_own_defaults(tmp_path: Path) -> None:
    """Each training has defaults of its own; one value given changes that value alone."""
    recipe = loaded(tmp_path, "[segmenter.adaptation]\nsteps = 7\n[refiner.optimisation]\nbatch = 3\n")

    default = Recipe()
    assert recipe.segmenter.adaptation == default.segmenter.adaptation.model_copy(update={"steps": 7})
    assert recipe.refiner.optimisation == default.refiner.optimisation.model_copy(update={"batch": 3})
    assert recipe.segmenter.optimisation == default.segmenter.optimisation
    assert default.segmenter.adaptation.learning_rate != default.segmenter.optimisation.learning_rate


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[segmenter]\nwidth = [4]", r"unknown key 'segmenter\.width'; did you mean 'widths'\?"),
        (
            "[segmenter.optimisation]\nlearning_rat = 1",
            r"unknown key 'segmenter\.optimisation\.learning_rat'; did you mean 'learning_rate'\?",
        ),
        (
            "[propagatoin]\ntau = 1.0",
            r"'propagatoin'; did you mean 'propagation'\? \(there are segmenter, refiner, motion,",
        ),
        (
            "[segmenter.optimisation]\nsteps = 0",
            r"segmenter\.optimisation\.steps = 0: input should be greater",
        ),
        ("[segmenter.optimisation]\noptimiser = 'adam'", r"= 'adam': input should be 'adamw' or 'sgd'"),
        ("[segmenter]\nwidths = [4, 8]", r"segmenter\.widths = \[4, 8\]: tuple should have at least 5 items"),
        ("[segmenter]\nwidths = [4, 8, 8, 8, 1]", r"segmenter\.widths\.4 = 1: .* greater than or equal to 4"),
        (
            "[segmenter.augmentation]\ncrop = [0, 9]",
            r"augmentation\.crop\.0 = 0: input should be greater than or equal to 1",
        ),
        ("[segmenter.augmentation]\nscale = [2.0, 0.5]", r"scale = \[2\.0, 0\.5\]: the smaller comes first"),
        (
            "[segmenter.augmentation]\nscale = [0.0, 0.5]",
            r"scale\.0 = 0\.0: .* greater than or equal to 0\.05",
        ),
        (
            "[segmenter.optimisation]\nlearning_rate = 1e300",
            r"learning_rate = 1e\+300: .* less than or equal to",
        ),
        (
            "[segmenter]\nwidths = [4, 8, 8, 8, 1000000]",
            r"widths\.4 = 1000000: .* less than or equal to 2048",
        ),
        (
            "[refiner]\ncrop = [2048, 2048]\n[refiner.optimisation]\nbatch = 1000",
            r"refiner\.crop = .*: a batch of 1000 crops of 2048 x 2048 pixels has more than 107374",
        ),
        (
            "[segmenter.augmentation]\ncrop = [32, 16]\n[segmenter.adaptation]\nbatch = 1",
            r"segmenter\.augmentation = .*a batch of 1 crop of 32 x 16 pixels leaves a network one value",
        ),
        (
            "[segmenter.augmentation]\ncrop = [8192, 8192]\n[segmenter.adaptation]\nbatch = 20",
            r"segmenter\.augmentation = .*a batch of 20 crops of 8192 x 8192 pixels has more than",
        ),
        ("[refiner]\ncrop = [100, 64]", r"refiner\.crop\.0 = 100: input should be a multiple of 16"),
        ("[propagation]\ntau = 0.0", r"propagation\.tau = 0\.0: input should be greater than 0"),
        ("[propagation]\ntau = inf", r"propagation\.tau = inf: input should be a finite number"),
        ("[propagation]\ntau_candidates = []", r"tau_candidates = \[\]: tuple should have at least 1 item"),
        ("segmenter = 3", r"segmenter = 3: input should be a valid dictionary"),
    ],
)
def test_a_wrong_value_is_told_by_its_place(tmp_path: Path, content: str, message: str) -> None:
    """File, key, value and what it should be are in one line; a wrong key is told the right one."""
    with pytest.raises(RecipeError, match=message) as caught:
        loaded(tmp_path, content)

    assert str(caught.value).startswith(f"{tmp_path / 'recipe.toml'}: ")
    assert "\n" not in str(caught.value)


UNLIMITED = {
    *(
        "checkpoint_every",
        "validate_every",
        "holdout_every",
        "key_frames",
        "clip_norm",
        "tile",
    ),  # as good as never
    *("offsets", "joint_offsets"),  # distances that no frame has
}


def numbers_below(model: BaseModel, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the place and value of every number, and of the last of every list of numbers."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from numbers_below(value, (*place, name))
        elif type(value[-1] if isinstance(value, tuple) and value else value) in {int, float}:
            yield (*place, name), value


@pytest.mark.parametrize(
    "recipe", [Recipe().changed(("propagation", "tau"), 0.1), StudentRecipe()], ids=["run", "student"]
)
def test_absurd_numbers_are_refused(recipe: BaseModel) -> None:
    """Every number that work or memory grows with has a limit, so that a slip is found at once."""
    checked = 0
    for place, value in numbers_below(recipe):
        absurd = type(value[-1] if isinstance(value, tuple) else value)(10**15)
        table: dict[str, Any] = {place[-1]: [*value[:-1], absurd] if isinstance(value, tuple) else absurd}
        for name in reversed(place[:-1]):
            table = {name: table}
        if place[-1] in UNLIMITED:
            type(recipe).model_validate(table)
            continue
        with pytest.raises(ValidationError, match=r"less than|2 or 3|1 or 2"):
            type(recipe).model_validate(table)
        checked += 1
    assert checked > 20


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Whoever made two mistakes hears of both."""
    with pytest.raises(
        RecipeError, match=r"steps = -1: .*; unknown key 'refiner\.crops'; did you mean 'crop'"
    ):
        loaded(tmp_path, "[segmenter.optimisation]\nsteps = -1\n[refiner]\ncrops = [64, 64]")


@pytest.mark.parametrize("content", ["steps == 3", "[segmenter", "a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: str) -> None:
    """The parser's own words say what is wrong and where."""
    with pytest.raises(
        RecipeError, match=r"recipe\.toml is no TOML file: .*(line|end of document).*; correct it there"
    ):
        loaded(tmp_path, content)


def test_a_picture_is_no_recipe(tmp_path: Path) -> None:
    """Bytes that are no text at all are told as such."""
    (tmp_path / "recipe.toml").write_bytes(b"\x89PNG\xff")

    with pytest.raises(RecipeError, match=r"recipe\.toml is no text in UTF-8: line 1 holds the byte 0x89"):
        load_recipe(tmp_path / "recipe.toml")


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    """A file that is not there and a folder in its place are told by name."""
    with pytest.raises(RecipeError, match=r"there is no file .*no\.toml; expected a recipe in TOML"):
        load_recipe(tmp_path / "no.toml")
    with pytest.raises(RecipeError, match=r"is a folder; expected a recipe in TOML"):
        load_recipe(tmp_path)


def test_every_hyper_parameter_is_explained() -> None:
    """Each field has one line that says what it is, in the source and in the written file."""
    text = settings_to_toml(Recipe())
    lines = text.splitlines()

    for model in models_below(Recipe()):
        for name, field in type(model).model_fields.items():
            assert field.description, f"{type(model).__name__}.{name}"
            assert "\n" not in field.description
            if not isinstance(getattr(model, name), BaseModel):
                assert f"# {field.description}" in lines


def test_what_is_chosen_from_the_data_is_left_open() -> None:
    """A value that nobody set is written as a comment, so that the file can be read back."""
    text = settings_to_toml(Recipe(propagation=PropagationRecipe(tau=None)))

    assert "\n# tau = (chosen from the data)\n" in text
    assert "tau" not in tomllib.loads(text)["propagation"]


def test_a_recipe_does_not_change() -> None:
    """What a network was trained with stays what it was."""
    settings_made: Any = Recipe()

    with pytest.raises(ValidationError, match="Instance is frozen"):
        settings_made.segmenter.folds = 3


def test_a_shipped_recipe_is_taken_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes that come along are known by name; a file of that name goes first."""
    monkeypatch.chdir(tmp_path)
    assert load_recipe(Path("pretrained")).segmenter.network == "lite0"

    (tmp_path / "pretrained").write_text("[propagation]\ntau = 0.25\n")
    assert load_recipe(Path("pretrained")) == Recipe(propagation=PropagationRecipe(tau=0.25))


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_every_shipped_recipe_is_read(name: str) -> None:
    """A recipe that comes along names only what there is."""
    recipe = load_recipe(Path(name))

    assert recipe != Recipe()
    assert recipe.segmenter.network in SEGMENTERS
    assert recipe.refiner.network in REFINERS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[stages.first.changes]\n"plus.refinr.enabled" = false',
            r"\[stages\.first\.changes\]: unknown key 'plus\.refinr\.enabled'; for 'refinr', did you",
        ),
        (
            '[stages.best.changes]\n"segmenter.optimisation.steps" = 0',
            r"under \[stages\.best\.changes\]: segmenter\.optimisation\.steps = 0: Input should be greater",
        ),
        (
            '[stages.best.changes]\n"plus.refiner" = 3',
            r"'plus\.refiner' is a table; name a key in it, such as",
        ),
        ('[stages.best.changes]\n"plus.rounds.count.x" = 3', r"'count' is a value and has no keys"),
        ('[stages.first.changes]\n"stages.best.enabled" = "?"', r"stages\.best\.enabled = '\?'"),
        ("[stages.worst]\nenabled = true", r"unknown key 'stages\.worst'; did you mean"),
    ],
)
def test_what_a_stage_changes_is_checked(tmp_path: Path, content: str, message: str) -> None:
    """An unknown key has the nearest name, and values have the limits that they have in the recipe."""
    with pytest.raises(RecipeError, match=message):
        loaded(tmp_path, content)


def test_a_stage_has_a_recipe_of_its_own(tmp_path: Path) -> None:
    """Keys may be nested as TOML does without quotation marks; what is not named stays."""
    recipe = loaded(
        tmp_path, "[stages.first.changes]\nplus.smooth.frames = 1\nsegmenter.optimisation.steps = 7"
    )

    first = recipe.for_stage("first")
    assert (first.plus.smooth.frames, first.segmenter.optimisation.steps) == (1, 7)
    assert not first.plus.refiner.enabled
    assert recipe.for_stage("good") is recipe
    assert recipe.for_stage("best").plus.rounds.count == 2
    assert recipe.stages.first.changes["plus.smooth.frames"] == 1


def test_from_scratch_there_is_no_stage_first() -> None:
    """Stage best trains longer from random weights, and nothing that comes from other data."""
    recipe = load_recipe("scratch")

    assert not recipe.has_stage("first")
    assert recipe.has_stage("good")
    assert recipe.for_stage("best").segmenter.network == "compact"
    assert load_recipe("pretrained").for_stage("best").segmenter.network == "lite0"
