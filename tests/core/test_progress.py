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
    clock = iter([100.0, 100.0, 101.0, 121.0, 121.0, 122.0, 122.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines: list[str] = []
    progress = ProgressLines(lines.append)

    for done in range(1, 4):
        progress("training", done, 4, f"loss {done}")
    progress("training", 4, 4)

    assert lines == ["training: 1 of 4 loss 1", "training: 3 of 4 loss 3", "training: 4 of 4"]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_progress_can_be_printed_anywhere(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """`progress=print_progress` is all that a script needs; names of clips are only shown."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr("sys.stdout", file)

    print_progress("propagating", 4, 4, "車\x1b[2J\udcff")

    shown = {"ascii": "?", "utf-8": "車"}[encoding]
    assert file.buffer.getvalue().decode(encoding) == f"propagating: 4 of 4 {shown}\\x1b[2J\\xff\n"
    assert isinstance(print_progress, Progress)
