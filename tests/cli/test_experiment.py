"""Tests of cli/experiment.py and cli/student.py: an experiment in one command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from warprefine.jobs.experiments import EXPERIMENTS, disk
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings

TINY = Path(__file__).parents[1] / "experiment.toml"


def test_an_experiment_prints_its_tables(warprefine: Callable[..., Any], tmp_path: Path) -> None:
    """The table of the terminal is that of the page; recipe and claim lie beside it."""
    out = tmp_path / "out"
    done = warprefine("experiment", "quality", "--recipe", TINY, "--out", out, "--threads", 1)

    assert done.exit_code == 0, done.output
    assert "k=3" in done.stdout
    assert "disk: about 0.0 GB: 0.0 of labels" in " ".join(done.stdout.split())
    assert "warp-refine" in done.stdout
    for name in ("results.md", "recipe.toml", "experiment.json", "log.txt", "tables/hard-classes.csv"):
        assert (out / name).exists()


def test_a_run_of_an_experiment_can_teach_a_student(warprefine: Callable[..., Any], tmp_path: Path) -> None:
    """The labels of an experiment are a run like any other."""
    out, student = tmp_path / "out", tmp_path / "student"
    assert warprefine("experiment", "quality", "--recipe", TINY, "--out", out, "--threads", 1).exit_code == 0
    recipe = tmp_path / "student.toml"
    recipe.write_text(
        "widths = [4, 4, 4, 4, 4]\noffsets = [1]\n[optimisation]\nsteps = 2\nbatch = 2\n"
        "[augmentation]\ncrop = [32, 32]\n"
    )
    done = warprefine(
        "student", out / "labels", "--recipe", recipe, "--out", student, "--seeds", 2, "--threads", 1,
        "--test", f"folder:train:{out / 'data' / 'train'}",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "±" in done.stdout
    assert (student / "student-seed1.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("experiment", "qualty"), "no experiment is called 'qualty'"),
        (("experiment", "quality", "--recipe", "nothing"), "has no recipe 'nothing'"),
        (("experiment", "quality", "--recipe", "small"), "name its folder with --data"),
        (
            ("experiment", "quality", "--initial-weights", "compact"),
            "is not NETWORK=FILE; expected for example",
        ),
        (("experiment", "quality", "--initial-weights", "compat=x"), "no segmenter is called 'compat'"),
        (("experiment", "relaxation", "--other-weights", "gone.safetensors"), "gone.safetensors"),
        (("student", "nowhere", "--method", "warp-refin"), "no method is called 'warp-refin'"),
        (("student", "nowhere"), "is no folder"),
        (("student", "nowhere", "--method", "all"), "no method is called 'all'"),
        (("student", "nowhere", "--recipe", "papr"), "there is no file papr; expected a recipe"),
    ],
)
def test_mistakes_end_in_one_line(
    warprefine: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """What is wrong, in a line, and exit code 2."""
    done = warprefine(*words, "--out", tmp_path / "out", "--threads", 1)

    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_names_every_experiment(warprefine: Callable[..., Any]) -> None:
    """The help of the command lists what there is to run."""
    shown = warprefine("experiment", "--help").stdout

    assert all(name in shown for name in EXPERIMENTS)


def test_a_plan_is_printed_and_nothing_is_done(warprefine: Callable[..., Any], tmp_path: Path) -> None:
    """As tables, or as JSON with hours at the throughputs that are given; no folder is made."""
    out = tmp_path / "out"
    words = ("experiment", "quality", "--recipe", TINY, "--out", out, "--plan", "--threads", 1)
    shown, slow, fast = (
        warprefine(*words, *more) for more in ((), ("--json",), ("--json", "--train-rate", 0.2))
    )

    assert shown.exit_code == 0, shown.output
    assert "labels/refiner" in shown.stdout
    assert "frames to label" in shown.stdout
    assert "disk: about 0.0 GB: 0.0 of labels" in " ".join(shown.stdout.split())
    before, after = (json.loads(one.stdout)["totals"] for one in (slow, fast))
    assert before["trainings"] == 4
    assert after["training_hours"] == pytest.approx(before["training_hours"] / 2)
    assert not out.exists()


def test_a_full_disk_is_told_before_the_work(
    warprefine: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --no-disk-check the experiment goes on all the same."""
    begun = []

    def run(context: ExperimentContext) -> Findings:
        begun.append(context.out)
        return Findings()

    monkeypatch.setitem(EXPERIMENTS, "quality", replace(EXPERIMENTS["quality"], run=run))
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 10)
    words = ("experiment", "quality", "--recipe", TINY, "--out", tmp_path / "out", "--threads", 1)

    refused, forced = warprefine(*words), warprefine(*words, "--no-disk-check")

    assert refused.exit_code == 2
    assert "0.0 GB are free there" in refused.stderr
    assert "go on with --no-disk-check" in refused.stderr
    assert forced.exit_code == 0, forced.output
    assert begun == [tmp_path / "out"]
