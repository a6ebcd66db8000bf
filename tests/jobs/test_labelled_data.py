"""Tests of jobs/labelled_data.py: labels of a run are not used with other data than they were made from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from warprefine import FinishedRun, autolabel, load_recipe, open_dataset, train_student
from warprefine.core.errors import RunFolderError
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.student import StudentRecipe

VIDEO = "videos/street-000"
STUDENT = StudentRecipe(
    widths=(4, 4, 4, 4, 4),
    offsets=(1, 2),
    optimisation=Optimisation(steps=1, batch=2, warmup=0),
    augmentation=Augmentation(crop=(32, 32)),
)


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_data, tmp_path / "data")


@pytest.fixture
def run(data: Path, tmp_path: Path, tiny_recipe: Path) -> Callable[..., Path]:
    """Label the data as they are, by some methods."""

    def label(*methods: str) -> Path:
        recipe = load_recipe(tiny_recipe)
        autolabel(open_dataset(data), tmp_path / "run", horizon=2, methods=methods, recipe=recipe)
        return tmp_path / "run"

    return label


def change_a_frame(data: Path) -> None:
    shutil.copyfile(data / VIDEO / "frames/000000.jpg", data / VIDEO / "frames/000004.jpg")


def test_labels_of_other_data_are_not_used(data: Path, tmp_path: Path, run: Callable[..., Path]) -> None:
    """Neither to train on, nor to score, nor to look at, until the frames are labelled again."""
    folder = run("motion-only")
    change_a_frame(data)
    uses = (
        lambda: list(FinishedRun.open(folder).labels("street-000")),
        lambda: FinishedRun.open(folder).evaluate(),
        lambda: train_student(folder, tmp_path / "student", recipe=STUDENT),
    )

    for use in uses:
        with pytest.raises(
            RunFolderError, match=r"changed since .* labelled them with motion-only \(street-0"
        ):
            use()

    assert list(FinishedRun.open(folder).labels("street-001"))
    run("motion-only")
    assert list(FinishedRun.open(folder).labels("street-000"))


def test_labels_of_a_method_that_was_not_run_again_are_old(data: Path, run: Callable[..., Path]) -> None:
    """The methods that were are up to date."""
    run("motion-only", "oracle")
    change_a_frame(data)
    folder = run("motion-only")

    assert list(FinishedRun.open(folder).labels("street-000", "motion-only"))
    with pytest.raises(RunFolderError, match=r"again, with --method oracle"):
        list(FinishedRun.open(folder).labels("street-000", "oracle"))


def test_a_student_of_old_labels_is_not_taken_for_one_of_new_labels(
    data: Path, tmp_path: Path, run: Callable[..., Path]
) -> None:
    """Its folder belongs to the labels that it was trained on."""
    folder = run("motion-only")
    train_student(folder, tmp_path / "student", recipe=STUDENT)
    train_student(folder, tmp_path / "student", recipe=STUDENT)
    change_a_frame(data)
    run("motion-only")

    with pytest.raises(RunFolderError, match=r"holds a student with trained_on = .* choose another --out"):
        train_student(folder, tmp_path / "student", recipe=STUDENT)
    with pytest.raises(RunFolderError, match="is the folder of the run, which a student only reads"):
        train_student(folder, folder, recipe=STUDENT)


def test_scores_and_truth_go_with_the_truth(data: Path, run: Callable[..., Path]) -> None:
    """A run whose truth was taken away has no scores, and no labels that were truth."""
    folder = run("motion-only", "oracle")
    assert (folder / "labels/oracle").exists()
    for truth in data.glob("videos/*/truth"):
        shutil.rmtree(truth)

    run("motion-only", "oracle")

    names = {path.name for path in folder.rglob("*")}
    assert names.isdisjoint({"metrics.json", "metrics.csv", "oracle"})
    assert FinishedRun.open(folder).methods == ("motion-only",)
