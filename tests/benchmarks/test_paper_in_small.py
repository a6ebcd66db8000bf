"""Tests of benchmarks/paper_in_small.py: the experiments run to their tables on data in official layouts."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from warprefine.cli.commands import app

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SIZE = (64, 96)
FOUND = {
    ("quality", "apolloscape"): "tables/miou-by-distance.json",
    ("utility", "apolloscape"): "tables/utility.json",
    ("utility", "nyuv2"): "tables/utility.json",
    ("utility", "cityscapes"): "tables/utility.json",
    ("horizon", "nyuv2"): "tables/horizon.json",
    ("benchmark", "cityscapes"): "tables/classes.json",
    ("benchmark", "nyuv2"): "tables/gains.json",
    ("benchmark", "kitti-folds"): "tables/grid.json",
    ("benchmark", "kitti"): "submission.zip",
    ("architectures", "cityscapes"): "tables/architectures.json",
    ("relaxation", "cityscapes"): "tables/relaxation.json",
    ("pictures", "apolloscape"): "figures/",
    ("pictures", "cityscapes"): "figures/",
    ("pictures", "kitti"): "figures/",
    ("cycle-length", "apolloscape"): "tables/cycle-length.json",
    ("motion", "apolloscape"): "tables/motion.json",
}
"""What each experiment leaves behind: a table with rows, or files."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, found as Python finds it when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("paper_in_small")


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a data set of each layout."""
    return tmp_path_factory.mktemp("layouts")


@pytest.mark.parametrize(("experiment", "name"), list(FOUND))
def test_every_recipe_of_the_paper_runs_to_its_table(
    small: Any, layouts: Path, tmp_path: Path, experiment: str, name: str
) -> None:
    """The documented command, with the shipped recipe but for its sizes, ends in tables with numbers."""
    reader = next(one for one in small.LAYOUTS if name.startswith(one))
    data, recipe, out = layouts / reader, tmp_path / "small.toml", tmp_path / "out"
    if not data.exists():
        small.LAYOUTS[reader].write(data, SIZE)
    text = small.small_recipe(name, SIZE, own=False, steps=1, batch=1)
    if name == "kitti-folds":  # students of every method, fold and point of the grid would take a minute
        text = text.replace("seeds = 1", 'seeds = 1\nmethods = ["warp-refine"]')
    recipe.write_text(text, encoding="utf-8")
    words = small.experiment_words(experiment, recipe, data, out, threads=1)

    done = CliRunner().invoke(app, [str(word) for word in words])

    assert done.exit_code == 0, done.output
    found = out / FOUND[experiment, name]
    if found.suffix == ".json":
        assert json.loads(found.read_text(encoding="utf-8"))["rows"]
    else:
        assert any(found.glob("*.png")) if found.is_dir() else found.stat().st_size


def test_no_row_is_left_out(small: Any) -> None:
    """They are those of the table in docs/reproducing.md."""
    assert {(experiment, name) for _, experiment, name in small.ROWS} == {*FOUND}
