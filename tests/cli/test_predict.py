"""Tests of cli/predict.py: a clip without labels is labelled from the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from warprefine import load_recipe, open_dataset
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.training.segmenter import build_segmenter


@pytest.fixture
def model(tiny_data: Path, tiny_recipe: Path, tmp_path: Path) -> Path:
    """A segmenter that has learned nothing."""
    settings, classes = load_recipe(tiny_recipe).segmenter, open_dataset(tiny_data).classes
    card = Card(
        part="segmenter",
        network="compact",
        class_names=classes.names,
        settings={"widths": list(settings.widths)},
        recipe={},
        facts={},
    )
    path = tmp_path / "segmenter.safetensors"
    save_checkpoint(path, build_segmenter(settings, len(classes), seed=7), card)
    return path


def test_a_clip_is_labelled_and_the_folders_are_named(
    warprefine: Any, model: Path, data: Path, tmp_path: Path
) -> None:
    """With the numbers and colours of the data, if its classes are given; again, nothing is left to do."""
    words = ("predict", model, data / "videos/street-000/frames", "--out", tmp_path / "out")
    words = (*words, "--classes", data / "classes.toml")

    for _ in range(2):
        result = warprefine(*words)

        assert result.exit_code == 0, result.output
        assert "7 of 7 frames labelled" in result.stdout
        for kind in ("labels", "confidence", "overlay"):
            assert f"{kind}: {tmp_path / 'out' / kind}" in result.stdout
            assert len(list((tmp_path / "out" / kind).iterdir())) == 7
    assert open_dataset(data).classes.names[0] in (tmp_path / "out/classes.toml").read_text()
    assert "labelling: done, 7 of 7" in (tmp_path / "out/log.txt").read_text()


def test_frames_that_cannot_be_read_are_named(
    warprefine: Any, model: Path, data: Path, tmp_path: Path
) -> None:
    """One line and exit code 1; the others are labelled."""
    (data / "videos/street-000/frames/000004.jpg").write_bytes(b"")

    result = warprefine("predict", model, data / "videos/street-000", "--out", tmp_path / "out")

    assert result.exit_code == 1
    assert "6 of 7 frames labelled" in result.stdout
    assert re.fullmatch(r"error: 1 of the frames cannot be read: frame 4: .*000004\.jpg .*\n", result.stderr)


def test_a_model_that_is_none_is_refused(warprefine: Any, data: Path, tmp_path: Path) -> None:
    """One line and exit code 2."""
    result = warprefine(
        "predict", data / "classes.toml", data / "videos/street-000", "--out", tmp_path / "out"
    )

    assert result.exit_code == 2
    assert re.fullmatch(r"error: .*classes\.toml is not a checkpoint of warprefine.*\n", result.stderr)
