"""Tests of cli/corrections.py and cli/review.py: corrections are listed and copied, the page is opened."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine import FinishedRun, open_dataset
from warprefine.cli import review
from warprefine.jobs.corrections import save_correction


@pytest.fixture
def corrected(warprefine: Any, data: Path, tmp_path: Path) -> Path:
    """A run of `data` in which a frame was corrected."""
    run = tmp_path / "run"
    assert warprefine("propagate", data, "--out", run, "--method", "motion-only").exit_code == 0
    finished = FinishedRun.open(run)
    labels = torch.full((1, 48, 64), 2, dtype=torch.uint8)
    save_correction(finished.dataset.videos[0], 5, labels, classes=finished.dataset.classes, root=run)
    return run


def test_corrections_are_listed_and_copied(
    warprefine: Any, content: Any, corrected: Path, data: Path, tmp_path: Path
) -> None:
    """Without an option nothing is written; with one, a label map for each correction."""
    before = content(data)
    listed = warprefine("corrections", corrected)
    assert listed.stdout.splitlines() == [
        "street-000               frame      5 (000005)",
        "1 frame corrected",
    ]
    assert content(data) == before

    copied = warprefine("corrections", corrected, "--copy-to", data)

    assert copied.stdout.splitlines()[-2] == "1 label map copied"
    assert f"`warprefine autolabel {data} --out {corrected} --retrain`" in copied.stdout
    assert open_dataset(data).videos[0].key_frames == (3, 5)


def test_label_maps_are_overwritten_on_request_alone(
    warprefine: Any, corrected: Path, data: Path, tmp_path: Path
) -> None:
    """Another label map of the frame is an error, and is replaced with the option."""
    other = shutil.copytree(data, tmp_path / "other")
    labels = other / "videos" / "street-000" / "labels"
    shutil.copy(labels / "000003.png", labels / "000005.png")

    refused = warprefine("corrections", corrected, "--copy-to", other)
    replaced = warprefine("corrections", corrected, "--copy-to", other, "--overwrite")

    assert refused.exit_code == 2
    assert "add --overwrite" in refused.stderr
    assert replaced.stdout.splitlines()[-2] == "1 label map copied"


def test_the_page_needs_its_extra(warprefine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without FastAPI the message says what to install."""
    monkeypatch.setattr(review, "find_spec", lambda name: None)

    refused = warprefine("review", tmp_path)

    assert refused.exit_code == 2
    assert "pip install -e '.[review]'" in refused.stderr


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="not installed: extra [review]")
def test_a_folder_that_is_no_run_is_refused(warprefine: Any, tmp_path: Path) -> None:
    """Nothing is written into a folder that no run has made."""
    refused = warprefine("review", tmp_path, "--no-browser")

    assert refused.exit_code == 2
    assert "expected a folder made by `warprefine autolabel`" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="not installed: extra [review]")
def test_a_port_that_is_in_use_is_named(warprefine: Any, corrected: Path) -> None:
    """The message names the port and the option."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = warprefine("review", corrected, "--no-browser", "--port", port)

    assert refused.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in refused.stderr
