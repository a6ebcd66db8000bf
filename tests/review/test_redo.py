"""Tests of review/redo.py and review/worker.py: the process that labels gaps again, killed and in trouble.

Its start alone takes seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from warprefine.review.redo import RedoProcess

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
SECONDS = 120
"""How long a test waits at most; a loaded machine takes its time."""


@pytest.fixture
def redo(run: Path) -> Iterator[RedoProcess]:
    """The process of a run, which is woken by the test."""
    process = RedoProcess(run, cache=None, mended=lambda video, frame: None)
    yield process
    process.close()


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_killed_process_is_told_of(redo: RedoProcess) -> None:
    """Where memory is short the system kills it: the page is told that nothing is labelled again."""
    redo.wake()
    assert redo._process is not None
    redo._process.kill()

    wait_for(lambda: redo.problem != "")

    assert redo.problem == "labelling again has ended with -9; the next correction begins it anew"


def test_a_process_that_is_closed_is_no_problem(redo: RedoProcess) -> None:
    """The server ends it, and nobody is told of a problem."""
    redo.wake()
    redo.close()

    assert redo.problem == ""


def test_a_damaged_record_of_what_is_due_does_not_end_the_process(redo: RedoProcess, run: Path) -> None:
    """It is told of with the name of the file, and once the file is gone the process goes on."""
    record = run / "redo" / "0.json"
    record.parent.mkdir()
    record.write_text("damaged")
    redo.wake()

    wait_for(lambda: redo.problem != "")
    process = redo._process
    told = redo.problem
    record.unlink()
    redo.wake()
    wait_for(lambda: redo.problem == "")

    assert "0.json is damaged" in told
    assert redo._process is process
