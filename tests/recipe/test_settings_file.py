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


def test_what_is_extended_has_to_be_there(tmp_path: Path) -> None:
    """The message names the file that asked for it."""
    path = write(tmp_path, mine='extends = "gone.toml"')

    with pytest.raises(
        RecipeError, match=r"gone\.toml does not exist; expected the recipe that .*mine\.toml"
    ):
        load_recipe(path)


@pytest.mark.parametrize("named", ["3", '"mine.toml"'])
def test_what_cannot_be_extended(tmp_path: Path, named: str) -> None:
    """A recipe extends another file, by name."""
    path = write(tmp_path, mine=f"extends = {named}")

    with pytest.raises(RecipeError, match="expected the name of another recipe in its folder"):
        load_recipe(path)


def test_a_folder_of_a_recipes_name_is_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that comes along is found although a folder has its name."""
    (tmp_path / "pretrained").mkdir()
    monkeypatch.chdir(tmp_path)

    assert load_recipe(Path("pretrained")).segmenter.network == "lite0"
