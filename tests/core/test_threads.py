"""Tests of core/threads.py: every library computes with the threads that were asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import cv2
import numba
import pytest
import torch

from warprefine.core.threads import available_cores, use_threads


@pytest.fixture
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads(), numba.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])
    cv2.setNumThreads(before[2])


@pytest.mark.usefixtures("_threads_as_before")
def test_threads_are_those_that_were_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """Every library that computes gets the same number; more than there are cores is no error, and noted."""
    use_threads(1)
    assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
    assert caplog.messages == []

    use_threads(100_000)
    cores = available_cores()
    assert torch.get_num_threads() == cores
    assert 1 <= numba.get_num_threads() <= cores
    assert cv2.getNumThreads() == 1
    assert caplog.messages == [
        f"--threads 100000: this process may use {cores} cores; computing with {cores}"
    ]


FORKED = """
import os
import torch
from warprefine.core.threads import use_threads
if os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
use_threads(1)
assert torch.get_num_threads() == 1, torch.get_num_threads()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_threads_are_those_that_were_asked_for_in_a_forked_process() -> None:
    """No library's start gives another one all cores again."""
    subprocess.run([sys.executable, "-c", FORKED], check=True)


@pytest.mark.usefixtures("_threads_as_before")
def test_no_number_of_threads_leaves_it_to_the_machine() -> None:
    """Zero keeps what torch found."""
    found = min(2, available_cores())
    torch.set_num_threads(found)

    use_threads(0)

    assert torch.get_num_threads() == found
