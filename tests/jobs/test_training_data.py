"""Tests of jobs/training_data.py: a run notices that its networks were trained on other data."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.errors import RunFolderError
from warprefine.core.precision import name_of, native_precision
from warprefine.datasets import open_dataset
from warprefine.io.run import RunFolder
from warprefine.jobs.autolabel import autolabel
from warprefine.jobs.start import start
from warprefine.jobs.training_data import trained_key_frames
from warprefine.recipe.recipe import load_recipe


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_data, tmp_path / "data")


def run(data: Path, out: Path, tiny_recipe: Path, **options: Any) -> dict[str, bytes]:
    """Label by the segmenter alone; return the label maps by name."""
    recipe = load_recipe(tiny_recipe)
    autolabel(open_dataset(data), out, horizon=1, methods=["semantic-only"], recipe=recipe, **options)
    return {path.name: path.read_bytes() for path in (out / "labels").rglob("*.png")}


def add_a_label(data: Path) -> None:
    video = data / "videos/street-000"
    shutil.copyfile(video / "labels/000003.png", video / "labels/000005.png")


def test_networks_trained_on_other_labels_are_reported(
    data: Path, tmp_path: Path, tiny_recipe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The screen and the report say what changed and how to mend it, at every later call."""
    run(data, tmp_path / "run", tiny_recipe)
    weights = (tmp_path / "run/checkpoints/segmenter.safetensors").read_bytes()
    assert "the data changed" not in caplog.text
    add_a_label(data)

    for _ in range(2):
        caplog.clear()
        run(data, tmp_path / "run", tiny_recipe)

        assert "were trained (label maps added: 1); frames are labelled with the old networks" in caplog.text
        assert "add --retrain to train them on the data as they are now" in caplog.text
        assert "label maps added: 1" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert (tmp_path / "run/checkpoints/segmenter.safetensors").read_bytes() == weights


def test_places_of_key_frames_outlast_corrections(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """A later call does not count anew what the networks were trained on."""
    out = tmp_path / "run"
    run(data, out, tiny_recipe)
    before = trained_key_frames(RunFolder(out), open_dataset(data))
    correction = out / "corrections/street-000/000000.png"
    correction.parent.mkdir(parents=True)
    shutil.copyfile(data / "videos/street-000/labels/000003.png", correction)

    run(data, out, tiny_recipe)

    assert trained_key_frames(RunFolder(out), open_dataset(data)) == before
    assert len(before) == 2


def test_retrained_networks_are_those_of_a_fresh_run(data: Path, tmp_path: Path, tiny_recipe: Path) -> None:
    """After it nothing is reported, and a second call changes nothing."""
    run(data, tmp_path / "run", tiny_recipe)
    add_a_label(data)

    found = run(data, tmp_path / "run", tiny_recipe, retrain=True)

    assert found == run(data, tmp_path / "fresh", tiny_recipe)
    written = (tmp_path / "run/checkpoints/segmenter.safetensors").stat().st_mtime_ns
    assert run(data, tmp_path / "run", tiny_recipe, retrain=True) == found
    assert (tmp_path / "run/checkpoints/segmenter.safetensors").stat().st_mtime_ns == written


def test_a_copy_with_other_times_is_the_same_data(
    data: Path, tmp_path: Path, tiny_recipe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Label maps are compared by content."""
    run(data, tmp_path / "run", tiny_recipe)
    for path in data.rglob("*.png"):
        path.touch()

    run(data, tmp_path / "run", tiny_recipe)

    assert "the data changed" not in caplog.text


@pytest.mark.parametrize("damaged", ["", "[]", '{"labels": [], "frames": 3, "classes": "a"}'])
def test_damaged_records_of_a_run_are_made_again(
    data: Path, tmp_path: Path, tiny_recipe: Path, caplog: pytest.LogCaptureFixture, damaged: str
) -> None:
    """Where it is not known what networks were trained on, the message says so."""
    found = run(data, tmp_path / "run", tiny_recipe)
    for name in ("trained_on.json", "computed_with.json", "labelled_data.json"):
        (tmp_path / "run" / name).write_text(damaged)

    assert run(data, tmp_path / "run", tiny_recipe) == found

    assert re.search(r"the networks of .* were trained \(perhaps: .*trained_on\.json is damaged", caplog.text)
    assert run(data, tmp_path / "run", tiny_recipe, retrain=True) == found
    caplog.clear()
    run(data, tmp_path / "run", tiny_recipe)
    assert "damaged" not in caplog.text


def test_a_changed_label_map_of_the_same_size_and_time_is_noticed(
    data: Path, tmp_path: Path, tiny_recipe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Copying tools keep times, and pictures without compression have equal sizes."""
    path = data / "videos/street-000/labels/000003.png"
    labels = np.array(Image.open(path))
    Image.fromarray(labels).save(path, compress_level=0)
    run(data, tmp_path / "run", tiny_recipe)
    before = path.stat()
    Image.fromarray(labels[::-1].copy()).save(path, compress_level=0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size

    run(data, tmp_path / "run", tiny_recipe)

    assert "label maps changed: 1" in caplog.text


def test_changed_frames_and_classes_are_named(
    data: Path, tmp_path: Path, tiny_recipe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A frame that is used, a label map and the class table each have their words."""
    run(data, tmp_path / "run", tiny_recipe)
    video = data / "videos/street-000"
    first, second, *_ = sorted((video / "frames").iterdir())[2:]
    shutil.copyfile(first, second)
    shutil.copyfile(data / "videos/street-001/labels/000003.png", video / "labels/000003.png")
    table = data / "classes.toml"
    table.write_text(table.read_text(encoding="utf-8").replace("128", "129"), encoding="utf-8")

    run(data, tmp_path / "run", tiny_recipe)

    assert "label maps changed: 1, frames changed: 1, another class table" in caplog.text


def test_a_run_that_goes_on_with_other_threads_says_so(
    data: Path, tmp_path: Path, tiny_recipe: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last bits depend on them; a run that goes on as before says nothing."""
    run(data, tmp_path / "run", tiny_recipe)
    run(data, tmp_path / "run", tiny_recipe)
    assert "was computed with" not in caplog.text
    path = tmp_path / "run/computed_with.json"
    path.write_text(path.read_text().replace('"threads": ', '"threads": 9'))

    run(data, tmp_path / "run", tiny_recipe)

    assert re.search(r"run was computed with threads 9\d+, now \d+: what is made now may differ", caplog.text)


def test_a_run_keeps_the_precision_that_it_was_begun_with(data: Path, tmp_path: Path) -> None:
    """Whatever is native to the processor on which it goes on; the first call records it."""
    first = start(open_dataset(data), tmp_path / "run", training=False).precision
    path = tmp_path / "run/computed_with.json"
    assert json.loads(path.read_text())["precision"] == name_of(native_precision(torch.device("cpu")))
    other = torch.bfloat16 if first == torch.float32 else torch.float32
    path.write_text(path.read_text().replace(name_of(first), name_of(other)))

    assert start(open_dataset(data), tmp_path / "run", training=False).precision == other


def test_old_networks_that_cannot_be_deleted_stop_the_run(
    data: Path, tmp_path: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise they would be taken for networks of the new data; the next call deletes them."""
    run(data, tmp_path / "run", tiny_recipe)
    add_a_label(data)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", refuse)
        with pytest.raises(RunFolderError, match=r"cannot write .*checkpoints: Input/output error"):
            run(data, tmp_path / "run", tiny_recipe, retrain=True)

    found = run(data, tmp_path / "run", tiny_recipe, retrain=True)
    assert found == run(data, tmp_path / "fresh", tiny_recipe)
