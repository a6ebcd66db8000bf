"""Tests of cli/weights.py: published weights are imported, and the card of any checkpoint is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.datasets.class_file import write_classes
from warprefine.motion.raft import RAFT
from warprefine.motion.raft_parts import published_name
from warprefine.segmentation.resnext import RESNETS, DilatedResNet


@pytest.fixture
def raft(tmp_path: Path) -> Path:
    """A published checkpoint of RAFT."""
    network = RAFT("small")
    count = len(network.layout.gru_kernels)
    weights = {published_name(own, gru_count=count): value for own, value in network.state_dict().items()}
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "raft.pth")
    return tmp_path / "raft.pth"


def test_import_and_show_say_the_same(warprefine: Any, raft: Path, tmp_path: Path) -> None:
    """Both print the same card: the network, its source and its licence."""
    out = tmp_path / "raft.safetensors"

    imported = warprefine("weights", "import", raft, "--as", "raft", "--out", out)
    shown = warprefine("weights", "show", out)

    assert (imported.exit_code, shown.exit_code) == (0, 0), imported.output
    assert imported.stdout == shown.stdout
    assert f"{out}: motion, raft" in shown.stdout
    assert "source: raft.pth" in shown.stdout
    assert "licence: BSD-3-Clause" in shown.stdout


def test_imported_motion_labels_a_video(warprefine: Any, raft: Path, tiny_data: Path, tmp_path: Path) -> None:
    """A checkpoint is named in place of an estimator."""
    out = tmp_path / "raft.safetensors"
    warprefine("weights", "import", raft, "--as", "raft", "--out", out)

    words = ("propagate", tiny_data, "--out", tmp_path / "run", "--horizon=1", "--method=motion-only")
    done = warprefine(*words, "--motion", out)

    assert done.exit_code == 0, done.output
    assert (tmp_path / "run/labels/motion-only").is_dir()


def test_a_published_file_that_was_not_imported_is_told_how(
    warprefine: Any, raft: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """A .pth file in place of a motion estimator ends in one line that names the command."""
    words = ("propagate", tiny_data, "--out", tmp_path / "run", "--horizon=1", "--method=motion-only")

    done = warprefine(*words, "--motion", raft)

    assert done.exit_code == 2
    assert "`warprefine weights import`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_a_file_does_not_hold_is_told(warprefine: Any, raft: Path, tmp_path: Path) -> None:
    """Weights of another network end in one line, and nothing is written."""
    out = tmp_path / "out.safetensors"

    done = warprefine("weights", "import", raft, "--as", "sdcnet", "--out", out)

    assert done.exit_code == 2
    assert "there is no tensor conv1.0.weight among" in done.stderr
    assert not out.exists()


def test_names_of_classes_go_with_what_scores_them(warprefine: Any, tmp_path: Path) -> None:
    """A trunk scores nothing, so names for its classes are refused; without them it is imported."""
    trunk = DilatedResNet(RESNETS["resnet50"])
    torch.save(
        {trunk._imagenet_name(own): value for own, value in trunk.state_dict().items()}, tmp_path / "t.pth"
    )
    write_classes(tmp_path / "classes.toml", ClassSet(names=("a", "b"), colors=((0, 0, 0), (1, 1, 1))))
    words = ("weights", "import", tmp_path / "t.pth", "--as", "resnet50", "--out", tmp_path / "t.safetensors")

    refused = warprefine(*words, "--classes", tmp_path / "classes.toml")
    taken = warprefine(*words)

    assert (refused.exit_code, taken.exit_code) == (2, 0)
    assert "scores 0 classes, but 2 names are given" in refused.stderr
    assert "t.safetensors: trunk, resnet50" in taken.stdout
