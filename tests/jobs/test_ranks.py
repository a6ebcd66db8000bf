"""Tests of the trainings of a run in several processes, which torchrun starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.jobs.torchrun import torchrun
from warprefine import open_dataset
from warprefine.cli.commands import app
from warprefine.io.checkpoints import read_card

PARTS = {
    "segmenter": "together",
    "motion": "together",
    "refiner": "refined",
    "two-sided-refiner": "refined",
}
"""Where two processes have trained each part."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two_ranks.py: the same networks trained by one process and by two."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(Path(__file__).with_name("two_ranks.py"), folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def found(trained: Path) -> list[dict[str, Any]]:
    """What each of the two processes has noted."""
    return [torch.load(trained / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("part", list(PARTS))
def test_two_processes_train_what_one_would(trained: Path, part: str) -> None:
    """Each draws its share of the samples that one would draw: losses, validation and weights agree."""
    alone, together = (
        trained / name / "checkpoints" / f"{part}.safetensors" for name in ("alone", PARTS[part])
    )
    histories = [read_card(path).facts["history"] for path in (alone, together)]

    assert histories[0]["computed with"][0].endswith("1 processes")
    assert histories[1]["computed with"][0].endswith("2 processes")
    for curve in ("loss", "validation"):
        assert len(histories[0][curve]) == len(histories[1][curve])
        for (step, one), (other_step, two) in zip(histories[0][curve], histories[1][curve], strict=True):
            assert step == other_step
            assert two == pytest.approx(one, rel=1e-3, abs=1e-4)
    weights = load_file(alone)
    for name, value in load_file(together).items():
        torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-3)


def test_the_segmenter_is_validated(trained: Path) -> None:
    """The comparison of validation scores is not one of nothing."""
    card = read_card(trained / "together" / "checkpoints" / "segmenter.safetensors")

    assert card.facts["history"]["validation"]


def test_samples_are_computed_once(found: list[dict[str, Any]]) -> None:
    """Cycles and sides are shared out: no key is computed by both, and each process computes some."""
    for kind in ("cycle/", "side/"):
        first, second = ({key for key in rank["puts"] if key.startswith(kind)} for rank in found)
        assert first
        assert second
        assert first.isdisjoint(second)


def test_nothing_is_left_of_the_trainings(trained: Path) -> None:
    """Checkpoints alone are there: no state, and no draft of a second writer."""
    for name in ("together", "refined"):
        files = list((trained / name / "checkpoints").iterdir())
        assert {path.suffix for path in files} == {".safetensors"}


def test_a_batch_that_cannot_be_shared_is_told_before_samples_are_computed(
    found: list[dict[str, Any]],
) -> None:
    """Hours of cycles in vain are spared."""
    for rank in found:
        assert "a batch of 3 cannot be shared evenly by 2 processes" in rank["message"]


def test_all_processes_label(trained: Path, found: list[dict[str, Any]]) -> None:
    """Each labels units of its own; labels, confidence and scores are those of one process."""
    alone, together = trained / "labelled-alone", trained / "labelled"
    files = {path.relative_to(alone) for path in alone.glob("*/motion-only/**/*.png")}

    assert len(files) >= 2 * 2 * 4
    assert files == {path.relative_to(together) for path in together.glob("*/motion-only/**/*.png")}
    for file in files:
        assert (together / file).read_bytes() == (alone / file).read_bytes()
    assert (together / "metrics.json").read_bytes() == (alone / "metrics.json").read_bytes()
    first, second = (set(rank["written"]) for rank in found)
    assert first
    assert second


def test_a_time_limit_stops_all_processes_and_keeps_what_is_labelled(
    trained: Path, found: list[dict[str, Any]]
) -> None:
    """The first process records a frame before it looks at the clock; the others are told."""
    all_frames = list((trained / "labelled" / "labels").rglob("*.png"))

    assert found[0]["early"] == found[1]["early"]
    assert 0 < len(found[0]["early"]) < len(all_frames)


def test_the_command_trains_under_torchrun(tiny_data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    """The first process alone prints; one process goes on with what two have trained."""
    words = ["train", "segmenter", tiny_data, "--out", tmp_path / "run", "--recipe", tiny_recipe]
    words += ["--threads", "1"]
    path = tmp_path / "run" / "checkpoints" / "segmenter.safetensors"

    done = torchrun("-m", "warprefine", *words)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights: ") == 1
    assert read_card(path).facts["history"]["computed with"][0].endswith("2 processes")
    trained_by_two = path.read_bytes()
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 0
    assert path.read_bytes() == trained_by_two


def test_processes_label_what_all_have_trained(tiny_data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    """Trainings of two rounds and those for calibration are shared; scores and report come from the first."""
    recipe, out = tmp_path / "recipe.toml", tmp_path / "run"
    text = tiny_recipe.read_text(encoding="utf-8").replace(
        "[propagation]", "[propagation]\ncalibration_key_frames = 2\ncalibration_steps = 2"
    )
    recipe.write_text(
        f"{text}\n[plus.rounds]\ncount = 2\n[stages.first]\nenabled = false\n", encoding="utf-8"
    )
    words = ["autolabel", tiny_data, "--out", out, "--recipe", recipe, "--horizon", 2, "--threads", 1]

    done = torchrun("-m", "warprefine", *words, "--method", "warp-refine-plus")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1
    assert (out / "report.html").exists()
    weights = sorted(out.glob("**/*.safetensors"))
    parents = {path.parent.parent.relative_to(out).as_posix() for path in weights}
    assert parents >= {".", "rounds/1", "rounds/1/adapted", "held_out/fold0"}
    for path in weights:
        assert read_card(path).facts["history"]["computed with"][0].endswith("2 processes")
    assert not list(out.glob("**/*.state"))
    for video in open_dataset(tiny_data).videos:
        labelled = {path.stem for path in (out / "labels" / "warp-refine-plus" / video.name).iterdir()}
        assert labelled == set(video.stems[1:6])
