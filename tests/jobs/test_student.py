"""Tests of jobs/student.py: a student of a finished run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from warprefine import autolabel, load_recipe, open_dataset
from warprefine.cluster.processes import ProcessEngine
from warprefine.core.errors import LabelError, RunFolderError
from warprefine.datasets.class_file import read_classes, write_classes
from warprefine.jobs.student import StudentJob, train_on_run, usual_method
from warprefine.jobs.students import train_students_on_runs
from warprefine.metrics.network_scores import NetworkScores
from warprefine.recipe.network import Augmentation
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.student import StudentRecipe

RECIPE = StudentRecipe(
    widths=(4, 4, 4, 4, 4),
    offsets=(1, 2),
    joint_offsets=(1,),
    optimisation=Optimisation(steps=4, batch=2, warmup=0, checkpoint_every=2),
    augmentation=Augmentation(crop=(32, 32)),
)


@pytest.fixture(scope="module")
def run(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose videos are labelled by motion and by the truth."""
    out = tmp_path_factory.mktemp("labelled") / "run"
    methods = ("motion-only", "oracle")
    autolabel(open_dataset(tiny_data), out, horizon=2, methods=methods, recipe=load_recipe(tiny_recipe))
    return out


@pytest.fixture
def job(run: Path, tiny_data: Path, tmp_path: Path) -> StudentJob:
    """A student of the oracle's labels, tested on the key frames."""
    return StudentJob(
        run=run,
        out=tmp_path / "student",
        method="oracle",
        recipe=RECIPE,
        test=open_dataset(tiny_data),
        device=torch.device("cpu"),
    )


def test_a_student_is_trained_tested_and_written_down(job: StudentJob) -> None:
    """Weights, scores, curves and the recipe lie in its folder."""
    scores = train_on_run(job)

    assert scores == NetworkScores.read(job.out / "student-seed0.json")
    for name in ("student-seed0.safetensors", "metrics.jsonl", "recipe.toml", "student.json"):
        assert (job.out / name).exists()


@pytest.mark.parametrize("method", ["oracle", "motion-only", None])
def test_students_of_several_seeds_do_not_depend_on_the_engine(
    job: StudentJob, tmp_path: Path, method: str | None
) -> None:
    """Trained in turn or by other processes, weights and scores are the same, and so are the curves."""
    jobs = [replace(job, method=method, seed=seed, out=tmp_path / "here") for seed in (0, 1)]

    here = train_students_on_runs(jobs)
    elsewhere = train_students_on_runs(
        [replace(one, out=tmp_path / "elsewhere") for one in jobs], engine=ProcessEngine(workers=2)
    )

    assert here == elsewhere
    assert len(here) == 2
    weights, curves = (
        [
            {path.name: read(path) for path in (tmp_path / name).glob(pattern)}
            for name in ("here", "elsewhere")
        ]
        for pattern, read in (
            ("*.safetensors", Path.read_bytes),
            ("metrics.jsonl", lambda path: sorted(path.read_text().splitlines())),
        )
    )
    assert weights[0] == weights[1]
    assert curves[0] == curves[1]
    assert len(weights[0]) == 2


def test_a_student_learns_from_the_labels_that_are_meant_to_be_used(run: Path, tmp_path: Path) -> None:
    """By default ours are taken, else the paper's; never the oracle's, whatever the run has."""
    assert usual_method(run) == "motion-only"
    for method in ("warp-refine", "warp-refine-plus", "oracle"):
        (tmp_path / "labels" / method).mkdir(parents=True)

    assert usual_method(tmp_path) == "warp-refine-plus"


def test_a_run_without_labels_trains_no_student(tmp_path: Path) -> None:
    """The message names what is missing, also for a folder that is not there."""
    with pytest.raises(RunFolderError, match="holds no labels yet; run `warprefine autolabel`"):
        usual_method(tmp_path)
    with pytest.raises(RunFolderError, match="none is no folder; expected one that `warprefine autolabel`"):
        usual_method(tmp_path / "none")


@pytest.mark.parametrize("method", ["motion-only", None])
def test_other_labels_make_another_student(job: StudentJob, method: str | None) -> None:
    """What it learns from shows in its weights."""
    train_on_run(job)
    other = replace(job, method=method, out=job.out.with_name("other"), test=None)
    assert train_on_run(other) is None

    assert other.weights.read_bytes() != job.weights.read_bytes()


def test_a_student_writes_nothing_into_the_run(job: StudentJob) -> None:
    """Propagated images of motion-only lie in its own folder."""
    before = {path: path.stat().st_mtime_ns for path in job.run.rglob("*")}

    train_on_run(replace(job, method="motion-only", test=None))

    assert {path: path.stat().st_mtime_ns for path in job.run.rglob("*")} == before
    assert list((job.out / "joint").rglob("*.png")) != []


def test_a_folder_that_is_no_run(job: StudentJob, tmp_path: Path) -> None:
    """Nothing is written into a folder that somebody mistook for a run."""
    with pytest.raises(RunFolderError, match="is no folder; expected one that"):
        train_on_run(replace(job, run=tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_of_other_students_is_refused(job: StudentJob) -> None:
    """Another method in the same folder would mix up their weights."""
    train_on_run(job)

    with pytest.raises(
        RunFolderError, match="holds a student with method = 'oracle', but this command says None"
    ):
        train_on_run(replace(job, method=None))


def test_test_data_need_the_classes_of_the_run(job: StudentJob, tiny_data: Path, tmp_path: Path) -> None:
    """Classes in another order would be compared wrongly."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    classes = read_classes(data / "classes.toml")
    turned = replace(classes, names=classes.names[::-1])
    write_classes(data / "classes.toml", turned)

    with pytest.raises(LabelError, match="expected the same classes in the same order"):
        train_on_run(replace(job, test=open_dataset(data)))


def test_two_processes_train_one_student(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    """Started by torchrun, both share the batch, one writes, and the test counts every picture once."""
    recipe = tmp_path / "student.toml"
    recipe.write_text(
        "widths = [4, 4, 4, 4, 4]\noffsets = [1]\n[optimisation]\nsteps = 2\nbatch = 2\n"
        "[augmentation]\ncrop = [32, 32]\n"
    )
    words = ["student", run, "--method", "oracle", "--recipe", recipe, "--out", tmp_path / "out"]
    words += ["--test", f"folder:train:{tiny_data}", "--threads", "1"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "--standalone",
            "-m",
            "warprefine",
        ]
        + [str(word) for word in words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights: ") == 1
    assert NetworkScores.read(tmp_path / "out" / "student-seed0.json").pixel_accuracy >= 0
