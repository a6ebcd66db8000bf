"""Tests of io/published.py: weights from elsewhere are read, and no code with them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from warprefine.core.errors import CheckpointError
from warprefine.io.published import read_published

WEIGHTS = {"conv.weight": torch.arange(4.0), "conv.bias": torch.ones(2)}
WRAPPED = {f"module.{name}": values for name, values in WEIGHTS.items()}


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        WRAPPED,
        {"state_dict": WRAPPED, "epoch": 175, "mean_iu": np.float64(0.847), "command": "train.py"},
        {"state_dict": WEIGHTS, "best": np.float32(1.5), "args": argparse.Namespace(lr=0.1)},
        {"model": {"state_dict": WEIGHTS}, "optimizer": {"lr": 0.1}},
    ],
    ids=["bare", "wrapped", "with scores", "with options", "nested"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_usual_containers_are_opened(tmp_path: Path, content: Any, *, zipped: bool) -> None:
    """Weights are found beside what training programs keep with them, in new files and in old ones."""
    path = tmp_path / "published.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)

    found = read_published(path)

    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], values) for name, values in WEIGHTS.items())


def test_safetensors_are_read(tmp_path: Path) -> None:
    """The safe format is as good as PyTorch's."""
    save_file(WRAPPED, tmp_path / "published.safetensors")

    assert read_published(tmp_path / "published.safetensors").keys() == WEIGHTS.keys()


class _Code:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_code_in_a_file_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that refers to a function is refused with that function's name, and it is not called."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": WEIGHTS, "extra": _Code()}, tmp_path / "bad.pth")

    with pytest.raises(CheckpointError, match=r"bad\.pth would run posix\.mkdir; expected tensors") as error:
        read_published(tmp_path / "bad.pth")

    assert "\n" not in str(error.value)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, name: str, share: float) -> None:
    """Whatever is left of a file, the error is one line that names it."""
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(WEIGHTS, path)
    else:
        save_file(WEIGHTS, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(CheckpointError, match=r"broken\.\w+ is damaged, or no checkpoint of") as error:
        read_published(path)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [([1, 2], "holds list, expected tensors by name"), ({"epoch": 3}, "holds epoch, expected tensors")],
)
def test_a_file_without_weights_is_told(tmp_path: Path, content: Any, words: str) -> None:
    """A sound file that holds something else is refused by what it holds."""
    torch.save(content, tmp_path / "other.pth")

    with pytest.raises(CheckpointError, match=words):
        read_published(tmp_path / "other.pth")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A name that stands for no file is said to."""
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist; expected a published checkpoint"):
        read_published(tmp_path / "none.pth")
