"""Tests of core/progress_line.py: progress as one line, where somebody looks."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from warprefine.core import progress
from warprefine.core.progress import silent
from warprefine.core.progress_line import ProgressLine, shown_progress


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter one leaves nothing of the longer one; none is longer than the terminal."""
    clock = iter([100.0, 100.1, 101.0, 102.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setenv("COLUMNS", "30")
    file = io.StringIO()
    line = ProgressLine(file)
    line.forecast("1:00 left")

    line("training", 1, 9, "loss 3.000")
    line("training", 2, 9, "too soon")
    line.forecast("")
    line("propagating", 1, 9, "a\x1bb")
    line("rest", 1, 9)
    line.end()

    assert file.getvalue().split("\r")[1:] == [
        "training: 1 of 9 loss 3.000 ·",
        "propagating: 1 of 9 a\\x1bb   ",
        "rest: 1 of 9              ",
        " " * 12,
        "",
    ]


def test_progress_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a script and a program without a console get none."""
    for file in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", file)
        with shown_progress() as shown:
            assert shown is silent

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown_progress() as shown:
        shown("training", 1, 2)
    assert "training: 1 of 2" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


def test_progress_is_shown_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook is no terminal, but has a kernel; IPython in a script has none."""
    for kernel, shows in ((object(), True), (None, False)):
        shell = SimpleNamespace(kernel=kernel)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        with shown_progress() as shown:
            assert (shown is not silent) == shows
