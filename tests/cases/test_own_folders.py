"""A run's own outputs are healed, two processes do not hurt one another, and the data are not touched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from warprefine.io import atomic
from warprefine.io.locks import locked

_THIS = Path(__file__).parent


def _drafts(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".warprefine-draft-")]


@pytest.mark.parametrize("damage", ["empty", "cut", "deleted"])
def test_own_files_that_are_damaged_are_made_again(
    tiny_data: Path, motion_only: Any, tmp_path: Path, damage: str
) -> None:
    """Label maps and confidences, of a key frame too (damaged-own-label-not-healed)."""
    run = tmp_path / "run"
    motion_only(tiny_data, run, "--horizon=1")
    files = [
        run / f"{kind}/motion-only/street-000/00000{number}.png"
        for kind in ("labels", "confidence")
        for number in (2, 3)
    ]
    whole = [file.read_bytes() for file in files]
    for file, content in zip(files, whole, strict=True):
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
        if damage == "deleted":
            file.unlink()

    called = motion_only(tiny_data, run, "--horizon=1")

    assert called.code == 0
    assert [file.read_bytes() for file in files] == whole


@pytest.mark.parametrize("command", ["autolabel", "student", "predict"])
def test_drafts_of_killed_processes_are_cleared(
    tiny_data: Path, motion_only: Any, warprefine: Any, tmp_path: Path, command: str
) -> None:
    """Every command that writes into a folder clears those of its predecessors (drafts-left-behind)."""
    out = tmp_path / "out"
    calls = {
        "autolabel": lambda: motion_only(tiny_data, out, "--horizon=1"),
        "student": lambda: warprefine(
            *("student", tmp_path / "run", "--out", out, "--method=none", "--threads=1"),
            f"--recipe={tmp_path / 'student.toml'}",
        ),
        "predict": lambda: warprefine(
            *("predict", tmp_path / "trained/checkpoints/segmenter.safetensors"),
            *(tiny_data / "videos/street-000/frames", "--out", out, "--threads=1"),
        ),
    }
    if command == "student":
        motion_only(tiny_data, tmp_path / "run", "--horizon=1")
        (tmp_path / "student.toml").write_text(
            "widths = [8, 8, 8, 8, 8]\n[optimisation]\nsteps = 1\nbatch = 2\nwarmup = 1\n"
            "[augmentation]\ncrop = [32, 48]\n"
        )
    if command == "predict":
        warprefine(
            *("train", "segmenter", tiny_data, "--out", tmp_path / "trained", "--horizon=1", "--threads=1"),
            f"--recipe={_THIS.parent / 'tiny.toml'}",
        )
    (out / "below").mkdir(parents=True)
    atomic.draft_of(out / "below/a.png").touch()
    (out / "below/.mine.part").touch()

    called = calls[command]()

    assert called.code == 0, called.text
    assert _drafts(out) == []
    assert (out / "below/.mine.part").exists()


def test_drafts_of_killed_conversions_are_cleared(warprefine: Any, nyuv2: Any, tmp_path: Path) -> None:
    """A conversion that goes on clears them too (drafts-left-behind)."""
    folder, out = nyuv2(tmp_path / "nyu"), tmp_path / "out"
    out.mkdir()
    atomic.draft_of(out / "train").mkdir()

    called = warprefine("convert", "nyuv2", folder, "--out", out, "--border=2")

    assert called.code == 0, called.text
    assert _drafts(out) == []


def test_a_folder_that_another_process_writes_into_is_refused(
    tiny_data: Path, motion_only: Any, warprefine: Any, nyuv2: Any, tmp_path: Path
) -> None:
    """Runs and conversions, whatever the numbers of the processes (two-containers-, two-converts-...)."""
    nyuv2(tmp_path / "nyu")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    holder.stdout.readline()
    try:
        calls = (
            motion_only(tiny_data, tmp_path / "out"),
            warprefine("convert", "nyuv2", tmp_path / "nyu", "--out", tmp_path / "out"),
        )
    finally:
        holder.communicate()

    for called in calls:
        assert called.code == 2
        assert re.search(r"out is in use by process \d+ on .*; wait until it has ended", called.text)
    with locked(tmp_path / "out"):
        pass  # it is free again


_HOLDER = """
import sys
from pathlib import Path
from warprefine.io.locks import locked
with locked(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("place", ["videos/new", "videos/street-000", "new", "."])
def test_a_run_inside_the_data_is_refused(
    tiny_data: Path, motion_only: Any, tmp_path: Path, place: str
) -> None:
    """Nothing is written there (out-inside-the-data)."""
    data = shutil.copytree(tiny_data, tmp_path / "data")
    before = sorted(data.rglob("*"))

    called = motion_only(data, data / place)

    assert called.code == 2
    assert "expected a folder of its own, outside the data" in called.text
    assert sorted(data.rglob("*")) == before


def test_data_inside_the_run_is_refused(tiny_data: Path, motion_only: Any, tmp_path: Path) -> None:
    """Whoever deletes the run would delete the data (out-inside-the-data)."""
    shutil.copytree(tiny_data, tmp_path / "run/data")

    assert motion_only(tmp_path / "run/data", tmp_path / "run").code == 2
