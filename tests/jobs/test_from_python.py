"""Tests of `evaluate` and `train_student`: what the commands do, in one call from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from warprefine import FinishedRun, StudentRecipe, autolabel, evaluate, open_dataset, train_student
from warprefine.core.errors import DeviceError, RunFolderError
from warprefine.metrics.network_scores import NetworkScores
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation

RECIPE = StudentRecipe(
    widths=(4, 4, 4, 4, 4),
    offsets=(1, 2),
    joint_offsets=(1,),
    optimisation=Optimisation(steps=2, batch=2, warmup=0),
    augmentation=Augmentation(crop=(32, 32)),
)


@pytest.fixture(scope="module")
def finished(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run whose videos are labelled by motion and by the truth."""
    out = tmp_path_factory.mktemp("library") / "run"
    methods = ("motion-only", "oracle")
    return autolabel(open_dataset(tiny_data), out, horizon=2, methods=methods, motion="dis-ultrafast")


def test_a_run_is_scored_from_its_files(finished: FinishedRun) -> None:
    """The scores are those of the run; with VOID as a class they are others."""
    root = finished.run.root

    assert evaluate(root) == evaluate(str(root)) == finished.scores
    assert evaluate(root, void_as_class=True)["motion-only"] != finished.scores["motion-only"]


def test_only_a_run_can_be_scored(tmp_path: Path) -> None:
    """A folder of something else is told apart."""
    with pytest.raises(RunFolderError, match=r"holds no job\.json; expected a folder made by"):
        evaluate(tmp_path)


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({}, "motion-only"),
        ({"method": "oracle"}, "oracle"),
        ({"pseudo_labels": False}, None),
        ({"method": "oracle", "pseudo_labels": False}, None),
    ],
    ids=["by default", "a method", "by hand", "by hand, whatever the method"],
)
def test_a_student_learns_from_the_labels_that_are_named(
    finished: FinishedRun, tmp_path: Path, options: dict[str, Any], method: str | None
) -> None:
    """By default from those that are meant to be used; without pseudo-labels from hand-made ones alone."""
    scores = train_student(str(finished.run.root), str(tmp_path), recipe=RECIPE, **options)

    assert scores is None
    assert json.loads((tmp_path / "student.json").read_text())["method"] == method
    assert (tmp_path / "student-seed0.safetensors").is_file()


def test_a_student_is_tested_where_there_are_test_data(
    finished: FinishedRun, tiny_data: Path, tmp_path: Path
) -> None:
    """The scores are returned and written, and progress is reported under the student's name."""
    tasks: set[str] = set()

    scores = train_student(
        finished.run.root,
        tmp_path,
        method="oracle",
        recipe=RECIPE,
        test=open_dataset(tiny_data),
        seed=3,
        progress=lambda task, *_, **__: tasks.add(task),
    )

    assert scores == NetworkScores.read(tmp_path / "student-seed3.json")
    assert "training student-seed3" in tasks


def test_coarse_labels_are_a_source_of_their_own(
    finished: FinishedRun, tiny_data: Path, tmp_path: Path
) -> None:
    """They show in the weights, and belong to what the folder is about."""
    plain, coarse = tmp_path / "plain", tmp_path / "coarse"
    options: dict[str, Any] = {"method": "oracle", "recipe": RECIPE}
    train_student(finished.run.root, plain, **options)
    train_student(finished.run.root, coarse, **options, coarse=open_dataset(tiny_data, key_frames="0::2"))

    name = "student-seed0.safetensors"
    assert (plain / name).read_bytes() != (coarse / name).read_bytes()
    assert json.loads((coarse / "student.json").read_text())["coarse"]["key_frames"] == "0::2"


def test_a_student_needs_a_run_and_a_device(finished: FinishedRun, tmp_path: Path) -> None:
    """Both are checked before anything is written."""
    with pytest.raises(RunFolderError, match="is no folder; expected one that"):
        train_student(tmp_path / "none", tmp_path / "out", recipe=RECIPE)
    with pytest.raises(DeviceError, match="device 'quantum' cannot be used here"):
        train_student(finished.run.root, tmp_path / "out", recipe=RECIPE, device="quantum")

    assert list(tmp_path.iterdir()) == []
