"""Make the same run twice: undisturbed, and killed at every stage of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from warprefine.evaluation import figures, sections

MOMENTS = (
    ("open", "street-001/frames/000005.jpg", 1),  # checking the data
    ("os.rename", "checkpoints/segmenter.state", 2),
    ("os.rename", "checkpoints/segmenter-fold1.safetensors", 1),
    ("os.rename", "cache/cycle", 5),
    ("os.rename", "checkpoints/refiner.state", 3),
    ("os.rename", "cache/side", 3),
    ("os.rename", "checkpoints/side-refiner.state", 3),
    ("os.rename", "labels/warp-refine/street-001", 4),
    ("os.rename", "labels/warp-refine-plus/street-001", 4),
    ("os.rename", "confidence/oracle/street-001/000003.png", 1),  # copying a key frame
    ("os.rename", "run/report.html", 1),
)
PRIVATE = {"cache", "log.txt", "manifest.sqlite"}


def in_processes(calls: list[tuple[list[str], tuple[str, str, int] | None]]) -> list[tuple[int, int]]:
    """Run the command line in processes of its own, see killing.py; return exit codes and peak memories."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killing.py")],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(code, memory) for code, memory in json.loads(done.stdout)]


@dataclass(frozen=True)
class Runs:
    """Two run folders of the same job, and how each process that worked on them ended."""

    whole: Path
    killed: Path
    codes: list[int]
    data_before: dict[str, str]

    @staticmethod
    def hashes(folder: Path) -> dict[str, str]:
        """Return a hash of every file below a folder that users of a run are meant to look at."""
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {
            path.as_posix(): hashlib.sha256((folder / path).read_bytes()).hexdigest()
            for path in sorted(paths)
            if path.parts[0] not in PRIVATE
        }

    @staticmethod
    def times(folder: Path) -> dict[str, int]:
        """Return when each file below a folder was written."""
        return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def runs(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Every method in one go, and in a run that was killed at each of `MOMENTS` and started again."""
    data_before = Runs.hashes(tiny_data)
    whole, killed = (tmp_path_factory.mktemp(name) / "run" for name in ("whole", "killed"))
    words = ["autolabel", str(tiny_data), "--method=all", "--horizon=3", f"--recipe={tiny_recipe}"]
    words += ["--threads=1", "--out"]
    calls = [([*words, str(whole)], None)]
    calls += [([*words, str(killed)], moment) for moment in (*MOMENTS, None)]
    codes = [code for code, _ in in_processes(calls)]
    return Runs(whole=whole, killed=killed, codes=codes, data_before=data_before)


@pytest.fixture(autouse=True)
def _reports_without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of the time of a small run, and have tests of their own."""
    monkeypatch.setattr(sections, "_chart", lambda draw, alt: "")
    monkeypatch.setattr(figures, "plot_horizon", lambda scores, kind: b"")
    monkeypatch.setattr(figures, "plot_hard_classes", lambda scores, classes, kind: b"")


@pytest.fixture
def processes() -> Callable[..., list[tuple[int, int]]]:
    """Run the command line several times, each in a process of its own."""
    return in_processes


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A data set folder of one's own, to spoil."""
    return shutil.copytree(tiny_data, tmp_path / "data")
