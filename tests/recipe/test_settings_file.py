"""Tests of recipe/settings_file.py: one recipe may be laid over another."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import RecipeError
from warprefine.recipe.recipe import Recipe, load_recipe


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / "mine.toml"


def test_a_recipe_is_laid_over_the_one_it_extends(tmp_path: Path) -> None:
    """What it says goes first, then what the other says, then the defaults; also through two files."""
    path = write(
        tmp_path,
        mine='extends = "middle.toml"\n[refiner]\nlongest_cycle = 3\n',
        middle='extends = "bottom.toml"\n[refiner]\nlongest_cycle = 4\nloss = "rmi"\n',
        bottom='[refiner]\nloss = "cross-entropy"\n[propagation]\ntau = 0.5\n',
    )
    recipe = load_recipe(path)

    assert recipe.refiner.longest_cycle == 3
    assert recipe.refiner.loss == "rmi"
    assert recipe.propagation.tau == 0.5
    assert recipe.segmenter == Recipe().segmenter


def test_a_recipe_may_extend_a_shipped_one_by_its_name(tmp_path: Path) -> None:
    """From any folder; a file of that name beside it takes precedence."""
    path = write(tmp_path, mine='extends = "scratch"\n[segmenter.optimisation]\nsteps = 7\n')
    recipe = load_recipe(path)
    assert (recipe.segmenter.network, recipe.segmenter.optimisation.steps) == ("compact", 7)
    assert recipe.segmenter.adaptation == load_recipe("scratch").segmenter.adaptation

    (tmp_path / "scratch").write_text("[segmenter]\nfolds = 5\n")
    assert load_recipe(path).segmenter.folds == 5
    assert load_recipe(path).segmenter.network == Recipe().segmenter.network


def test_what_is_extended_has_to_be_there(tmp_path: Path) -> None:
    """The message names the file that asked for it."""
    path = write(tmp_path, mine='extends = "gone.toml"')

    with pytest.raises(
        RecipeError, match=r"there is no file .*gone\.toml; expected the recipe that .*mine\.toml"
    ):
        load_recipe(path)


@pytest.mark.parametrize("named", ["3", '"mine.toml"'])
def test_what_cannot_be_extended(tmp_path: Path, named: str) -> None:
    """A recipe extends another file, by name."""
    path = write(tmp_path, mine=f"extends = {named}")

    with pytest.raises(RecipeError, match="expected the name of another recipe in its folder"):
        load_recipe(path)


def test_recipes_that_extend_each_other_are_told(tmp_path: Path) -> None:
    """A circle of any length is one line that names its members."""
    path = write(tmp_path, mine='extends = "b.toml"', b='extends = "c.toml"', c='extends = "b.toml"')

    with pytest.raises(
        RecipeError, match=r"in a circle: b\.toml extends c\.toml extends b\.toml; let one extend none$"
    ):
        load_recipe(path)


def test_no_recipe_extends_others_without_end(tmp_path: Path) -> None:
    """A chain of hundreds is told before it fills the stack."""
    chain = {f"r{number}": f'extends = "r{number + 1}.toml"' for number in range(40)}
    path = write(tmp_path, mine='extends = "r0.toml"', **chain)

    with pytest.raises(RecipeError, match=r"mine\.toml extends more than 16 recipes"):
        load_recipe(path)


@pytest.mark.parametrize("named", ["../other.toml", "/etc/other.toml", r"x\u0000", ".", ""])
def test_no_recipe_reaches_out_of_its_folder(tmp_path: Path, named: str) -> None:
    """What a recipe extends lies beside it, and has a name that a file can have."""
    path = write(tmp_path, mine=f'extends = "{named}"')

    with pytest.raises(RecipeError, match=r"mine\.toml names '.*'; expected the name of a file or folder"):
        load_recipe(path)


def test_a_recipe_saved_by_another_editor_is_read(tmp_path: Path) -> None:
    """With a byte order mark, or in UTF-16."""
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "mine.toml").write_text("[propagation]\ntau = 0.5\n", encoding=encoding)
        assert load_recipe(tmp_path / "mine.toml").propagation.tau == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 3000 + "]" * 3000, "nested deeper than 64 levels"),
        ("seed = " + "9" * 5000, "a number of thousands of digits"),
        ("seed = 0x" + "f" * 5000, "a number of more than 64 bits"),
        ("propagation" + ".a" * 2000 + " = 1", "nested deeper than 64 levels"),
    ],
)
def test_absurd_values_are_one_short_line(tmp_path: Path, text: str, words: str) -> None:
    """Neither deep nesting nor thousands of digits end in a traceback, or fill the screen."""
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(write(tmp_path, mine=text))

    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_wrong_values_are_shown_in_short(tmp_path: Path) -> None:
    """A list of thousands in place of a number is not printed in full."""
    path = write(tmp_path, mine=f"[propagation]\ntau = {list(range(5000))}")

    with pytest.raises(RecipeError, match=r"propagation\.tau = \[0, 1, 2, 3, 4, 5, \.\.\.\]"):
        load_recipe(path)


def test_a_folder_of_a_recipes_name_is_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that comes along is found although a folder has its name."""
    (tmp_path / "pretrained").mkdir()
    monkeypatch.chdir(tmp_path)

    assert load_recipe(Path("pretrained")).segmenter.network == "lite0"
