"""Tests of experiments in several processes, which torchrun starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.jobs.torchrun import torchrun
from warprefine.io.checkpoints import read_card

TINY = Path(__file__).parents[2] / "experiment.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two_ranks.py: the same experiment by one process and by two."""
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(Path(__file__).with_name("two_ranks.py"), folder, "utility")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    """What each of the two processes has found."""
    return [json.loads((folder / f"rank{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


def test_two_processes_find_what_one_would(found: list[dict[str, Any]]) -> None:
    """The mIoU of each student differs by rounding alone; both processes hold the same table."""
    alone, together = (
        found[0][f"{name}/utility"]["tables"]["utility"]["rows"] for name in ("alone", "together")
    )

    assert [row[0] for row in together] == ["baseline", "motion-only", "warp-refine"]
    assert [row[1]["mean"] for row in together] == pytest.approx([row[1]["mean"] for row in alone], abs=0.2)
    assert found[1]["together/utility"] == found[0]["together/utility"]
    assert "alone/utility" not in found[1]


@pytest.mark.parametrize(
    "name",
    [
        "labels/checkpoints/segmenter",
        "labels/checkpoints/refiner",
        "students/baseline-seed3",
        "students/motion-only-seed3",
        "students/warp-refine-seed3",
    ],
)
def test_trainings_are_shared(folder: Path, name: str) -> None:
    """Each network is trained by both, to the weights of one; nothing else is left of the training."""
    alone, together = (folder / who / "utility" / f"{name}.safetensors" for who in ("alone", "together"))

    assert read_card(together).facts["history"]["computed with"][0].endswith("2 processes")
    assert read_card(alone).facts["history"]["computed with"][0].endswith("1 processes")
    weights = load_file(alone)
    for key, value in load_file(together).items():
        torch.testing.assert_close(value, weights[key], rtol=1e-2, atol=5e-3)
    assert not list(together.parent.glob("*.state"))


def test_the_command_runs_under_torchrun(tmp_path: Path) -> None:
    """The first process alone prints and writes the page; one process goes on with what two have made."""
    words = ["-m", "warprefine", "experiment", "relaxation", "--recipe", TINY, "--seeds", 1, "--threads", 1]

    done = torchrun(*words, "--out", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tables, figures and recipe: ") == 1
    assert "B + relaxed" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    weights = list((tmp_path / "out" / "students").glob("*.safetensors"))
    assert len(weights) == 3
    assert all(
        read_card(path).facts["history"]["computed with"][0].endswith("2 processes") for path in weights
    )
