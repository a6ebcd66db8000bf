"""Tests of core/memory.py: what is freed can be used again, and given back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from warprefine.core.memory import keep_freed_memory, return_freed_memory


def resident_mb() -> float:
    fields = Path("/proc/self/statm").read_text("utf-8").split()
    return int(fields[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_memory_that_is_kept_for_the_next_step_is_given_back_at_rest() -> None:
    """Large blocks that were freed stay with the process, until it is told that it will not need them."""
    keep_freed_memory()
    blocks = [np.ones(2_000_000) for _ in range(20)]
    full = resident_mb()
    blocks.clear()
    kept = resident_mb()

    return_freed_memory()

    assert full - kept < 100
    assert full - resident_mb() > 200
