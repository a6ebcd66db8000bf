"""Set the number of threads that all libraries compute with."""

from __future__ import annotations

import logging
import os
from functools import cache

import cv2
import numba
import torch

log = logging.getLogger(__name__)


def use_threads(threads: int) -> None:
    """Set the number of CPU threads of numba, torch and OpenCV; 0 leaves it as torch has it.

    There are at most as many as cores: with more, oneDNN's AVX512 kernels write beyond their memory.
    """
    cores = available_cores()
    if threads > cores:
        log.warning("--threads %d: this process may use %d cores; computing with %d", threads, cores, cores)
    count = min(threads or torch.get_num_threads(), cores)
    # First numba: in a forked process its start resets OpenMP, which torch computes with, to all cores.
    numba.set_num_threads(min(count, _most_numba_threads()))
    torch.set_num_threads(count)
    cv2.setNumThreads(1)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _most_numba_threads() -> int:
    """Return numba's threads, read before any are set: it starts them once and cannot have more later."""
    return numba.get_num_threads()
