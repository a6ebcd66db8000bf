"""Call the command line within the test's own process."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from warprefine.cli.commands import app
from warprefine.report import figures, sections


def invoke(*words: object) -> Any:
    """Call `warprefine` with these words; return its exit code, stdout and stderr."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def warprefine() -> Callable[..., Any]:
    """The command line as a function."""
    return invoke


@pytest.fixture(autouse=True)
def _reports_without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of the time of a small run, and have tests of their own."""
    monkeypatch.setattr(sections, "_chart", lambda draw, alt: "")
    monkeypatch.setattr(figures, "plot_horizon", lambda scores, kind: b"")
    monkeypatch.setattr(figures, "plot_hard_classes", lambda scores, classes, kind: b"")


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A data set folder of one's own, to spoil."""
    return shutil.copytree(tiny_data, tmp_path / "data")


def content_of(folder: Path) -> dict[str, str]:
    """Return a hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def content() -> Callable[[Path], dict[str, str]]:
    """What a folder holds, to be compared with what it held before."""
    return content_of


@pytest.fixture(scope="session")
def trained(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run in which `train refiner` was called, and what the call printed."""
    run = tmp_path_factory.mktemp("trained") / "run"
    called = invoke("train", "refiner", tiny_data, "--out", run, "--horizon=3", "--recipe", tiny_recipe)
    return run, called
