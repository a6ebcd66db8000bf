"""Tests of core/progress.py: progress as lines of text."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from warprefine import Progress, print_progress
from warprefine.core import progress as module
from warprefine.core.progress import ProgressLines


def test_progress_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first, one after each interval, and the last of each task."""
    clock = iter([100.0, 101.0, 122.0, 123.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines: list[str] = []
    progress = ProgressLines(lines.append)

    for done in range(1, 4):
        progress("training", done, 4, f"loss {done}")
    progress("training", 4, 4)

    assert lines == ["training: 1 of 4 loss 1", "training: 3 of 4 loss 3, 11 s left", "training: 4 of 4"]


def test_the_time_that_is_left_counts_from_where_a_task_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is resumed at half does not look twice as fast; each task has its own pace."""
    clock = iter([1.0, 11.0, 21.0, 1001.0, 1006.0, 1007.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines: list[str] = []
    progress = ProgressLines(lines.append, interval=0.0)

    for done in (500, 510, 520):
        progress("training", done, 1000)
    for done in (1, 2, 2):
        progress("propagating", done, 3, "drive")

    assert lines == [
        "training: 500 of 1000",
        "training: 510 of 1000, 8:10 min left",
        "training: 520 of 1000, 8:00 min left",
        "propagating: 1 of 3 drive",
        "propagating: 2 of 3 drive, 5 s left",
        "propagating: 2 of 3 drive, 6 s left",
    ]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_progress_can_be_printed_anywhere(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """`progress=print_progress` is all that a script needs; names of clips are only shown."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr("sys.stdout", file)

    print_progress("propagating", 4, 4, "車\x1b[2J\udcff")

    shown = {"ascii": "?", "utf-8": "車"}[encoding]
    assert file.buffer.getvalue().decode(encoding) == f"propagating: 4 of 4 {shown}\\x1b[2J\\xff\n"
    assert isinstance(print_progress, Progress)
