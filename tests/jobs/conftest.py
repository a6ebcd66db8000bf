"""Make the same run twice: undisturbed, and killed at every stage of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

MOMENTS = (
    ("open", "street-001/frames/000005.jpg", 1),  # checking the data
    ("os.rename", "checkpoints/segmenter.state", 2),
    ("os.rename", "checkpoints/segmenter-fold1.safetensors", 1),
    ("os.rename", "cache/cycle", 5),
    ("os.rename", "checkpoints/refiner.state", 3),
    ("os.rename", "labels/warp-refine/street-001", 4),
    ("os.rename", "confidence/oracle/street-001/000003.png", 1),  # copying a key frame
    ("os.rename", "run/report.html", 1),
)


@dataclass(frozen=True)
class Runs:
    """Two run folders of the same job, and how each process that worked on them ended."""

    whole: Path
    killed: Path
    codes: list[int]


@pytest.fixture(scope="session")
def runs(tiny_data: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One run in one go, and one that was killed at each of `MOMENTS` and started again."""
    whole, killed = (tmp_path_factory.mktemp(name) / "run" for name in ("whole", "killed"))
    words = ["autolabel", str(tiny_data), "--horizon=3", f"--recipe={tiny_recipe}", "--threads=1", "--out"]
    calls = [([*words, str(whole)], None)]
    calls += [([*words, str(killed)], moment) for moment in (*MOMENTS, None)]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killing.py")],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Runs(whole=whole, killed=killed, codes=json.loads(done.stdout))
