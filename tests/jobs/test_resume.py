"""Tests of the promise that a run survives everything: kill -9, a full disk, somebody's tidying up."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

PRIVATE = {"cache", "log.txt", "manifest.sqlite"}


def content(run: Path) -> dict[str, bytes]:
    """Return every file of a run that its user is meant to look at."""
    paths = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return {path.as_posix(): (run / path).read_bytes() for path in paths if path.parts[0] not in PRIVATE}


def test_a_killed_run_ends_as_if_nothing_had_happened(runs: Any) -> None:
    """Killed at eight stages and started again each time, a run gives the same files, byte for byte."""
    whole, killed = content(runs.whole), content(runs.killed)

    assert runs.codes == [0, *[-signal.SIGKILL] * (len(runs.codes) - 2), 0]
    assert {name.split("/")[0] for name in whole} == {
        "checkpoints",
        "confidence",
        "job.json",
        "labels",
        "metrics.csv",
        "metrics.json",
        "recipe.toml",
        "report.html",
        "tau.json",
    }
    assert killed.keys() == whole.keys()
    assert [name for name in whole if killed[name] != whole[name]] == []


def test_nothing_half_written_is_left_behind(runs: Any) -> None:
    """What the killed processes were writing is cleared away by those that came after."""
    assert [path for path in runs.killed.rglob("*") if path.suffix in {".part", ".state"}] == []
