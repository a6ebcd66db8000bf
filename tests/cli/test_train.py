"""Tests of cli/train.py: what one network can be trained on alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from warprefine.datasets.street import write_street
from warprefine.io.checkpoints import read_card


def test_a_trunk_learns_from_single_pictures_of_other_classes(
    warprefine: Callable[..., Any], tmp_path: Path, tiny_data: Path, tiny_recipe: Path
) -> None:
    """`train segmenter` takes stills with classes of their own; another training begins from its weights."""
    stills, first = tmp_path / "stills", tmp_path / "first"
    write_street(stills, videos=3, length=1, start=0, step=1, h=48, w=64)
    classes = stills / "classes.toml"
    classes.write_text(classes.read_text().replace('"sky"', '"heaven"'))
    words = ("--recipe", tiny_recipe, "--threads", 1)
    done = warprefine("train", "segmenter", stills, "--out", first, *words)
    assert done.exit_code == 0, done.output
    weights = first / "checkpoints" / "segmenter.safetensors"
    assert "heaven" in read_card(weights).class_names

    recipe = tmp_path / "second.toml"
    recipe.write_text(
        tiny_recipe.read_text().replace("[segmenter]", f'[segmenter]\nweights = "{weights}"', 1)
    )
    done = warprefine("train", "segmenter", tiny_data, "--out", tmp_path / "second", "--recipe", recipe)

    assert done.exit_code == 0, done.output
    second = read_card(tmp_path / "second" / "checkpoints" / "segmenter.safetensors")
    assert second.recipe["weights"] == str(weights)
    assert "sky" in second.class_names
    assert warprefine("train", "refiner", stills, "--out", tmp_path / "third", *words).exit_code == 2
