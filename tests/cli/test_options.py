"""Tests of cli/options.py and core/memory.py: what options mean before a command begins."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from warprefine.cli import options
from warprefine.cli import run as cli_run
from warprefine.cli.options import chosen_methods, open_further
from warprefine.core.errors import DatasetError, RecipeError, RunFolderError
from warprefine.core.memory import keep_freed_memory
from warprefine.propagation.methods import METHODS


def test_all_stands_for_every_method() -> None:
    """Beside other names it still selects all, in the usual order; a misspelt name stays a mistake."""
    assert chosen_methods(["all"]) == tuple(METHODS)
    assert chosen_methods(["oracle", "all"]) == tuple(METHODS)
    assert chosen_methods(["oracle", "motion-only"]) == ("motion-only", "oracle")
    with pytest.raises(RecipeError, match="no method is called 'al'; "):
        chosen_methods(["all", "al"])


def test_further_data_are_named_by_reader_split_and_root(tiny_data: Path) -> None:
    """A root may hold colons itself."""
    (further,) = open_further([f"folder:train:{tiny_data}"])

    assert [video.name for video in further.videos] == ["street-000", "street-001"]
    assert open_further([]) == []
    with pytest.raises(DatasetError, match=r"C:\\data does not exist"):
        open_further(["folder:train:C:\\data"])


def test_further_data_without_a_reader_are_refused() -> None:
    """The message shows how it is meant."""
    with pytest.raises(
        DatasetError, match=r"--also-train 'data/camvid' is not READER:SPLIT:ROOT; expected for ex"
    ):
        open_further(["data/camvid"])


def test_memory_is_kept_only_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere nothing is touched, and nothing goes wrong."""
    loaded: list[object] = []

    class Library:
        def __init__(self, name: object) -> None:
            loaded.append(name)

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    assert loaded == []

    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert loaded == [None]


@pytest.mark.parametrize(("word", "horizon"), [("1", 1), ("250", 250), ("all", "all")])
def test_the_horizon_is_a_number_of_frames_or_all(
    warprefine: Any, data: Path, monkeypatch: pytest.MonkeyPatch, word: str, horizon: Any
) -> None:
    """`--horizon all` labels every frame."""
    found: list[Any] = []

    def started(*_: object, **options: Any) -> None:
        found.append(options["horizon"])
        raise RunFolderError("enough")

    monkeypatch.setattr(cli_run, "start", started)
    warprefine("autolabel", data, "--out", data.parent / "run", "--horizon", word)

    assert found == [horizon]


@pytest.mark.parametrize("word", ["0", "-1", "ten", "1.5", "²", "9" * 5000, "alle"])
def test_any_other_horizon_is_refused(warprefine: Any, tiny_data: Path, tmp_path: Path, word: str) -> None:
    """Exit code 2, before anything is written."""
    result = warprefine("autolabel", tiny_data, "--out", tmp_path / "run", "--horizon", word)

    assert result.exit_code == 2
    assert "neither a number" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("word", "seconds"), [("90s", 90), ("5m", 300), ("1.5h", 5400), ("45", 45), ("0.5", 0.5)]
)
def test_a_time_limit_has_a_unit_or_is_in_seconds(word: str, seconds: float) -> None:
    """Seconds, minutes or hours."""
    assert options._seconds(word) == seconds


@pytest.mark.parametrize("word", ["", "m", "5 parsecs", "-3", "0", "0m", "1e9", "nan", "5d", "٣"])
def test_what_is_no_time_is_refused(word: str) -> None:
    """The message has the forms that are read."""
    with pytest.raises(typer.BadParameter, match="is no time; give a number of seconds, or one"):
        options._seconds(word)


def test_calibrating_keeps_what_a_recipe_says(tmp_path: Path) -> None:
    """--calibrate fills in key frames and steps; those of a recipe stay."""
    assert options.read_recipe(None, None).propagation.calibration_key_frames == 0
    filled = options.read_recipe(None, None, calibrate=True).propagation
    assert (filled.calibration_key_frames, filled.calibration_steps) == (8, 800)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[propagation]\ncalibration_key_frames = 3\ncalibration_steps = 40\n")
    given = options.read_recipe(recipe, None, calibrate=True).propagation
    assert (given.calibration_key_frames, given.calibration_steps) == (3, 40)


@pytest.mark.parametrize(
    ("word", "size"), [("500MB", 500_000_000), ("1.5gb", 1_500_000_000), ("2TB", 2 * 10**12)]
)
def test_a_cache_size_has_a_unit(word: str, size: int) -> None:
    """As disks are sold: 1 GB is 10^9 bytes."""
    assert options._bytes(word) == size


@pytest.mark.parametrize("word", ["20", "20G", "0MB", "20 GiB"])
def test_anything_else_is_no_cache_size(word: str) -> None:
    """A number without a unit could mean anything."""
    with pytest.raises(typer.BadParameter, match="is no size; give a number with its unit, such as 500MB"):
        options._bytes(word)
