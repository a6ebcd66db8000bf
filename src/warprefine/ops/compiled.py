"""Compile loops over pixels; what was compiled lies in the user's cache folder, not beside the source."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import numba
from torch import Tensor

_WITHOUT_LOOPS = ContextVar("_WITHOUT_LOOPS", default=False)


def cache_folder() -> Path:
    """Return the folder of compiled code: in the user's cache, beside the source, or a temporary one.

    The first of them that can be written is taken. What lies there is run, so that no folder will do in which
    other users can write.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "warprefine" / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        pass
    beside = Path(__file__).parent / "__pycache__"
    if os.access(beside, os.W_OK):
        return beside
    temporary = tempfile.mkdtemp(prefix="warprefine-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary)


_config: Any = numba.config
if not _config.CACHE_DIR:  # else the user has chosen one by NUMBA_CACHE_DIR
    _config.CACHE_DIR = str(cache_folder())

compiled = partial(numba.njit, parallel=True, cache=True, nogil=True)
"""Decorator of a function that is compiled once per machine and runs on all threads."""
compiled_serially = partial(numba.njit, cache=True, nogil=True)
"""The same of a function that runs on the thread that calls it, beside others that do so."""


def has_loops(values: Tensor) -> bool:
    """Return whether compiled loops compute with a tensor: on the CPU they do, on other devices torch does.

    Example:
        >>> import torch
        >>> has_loops(torch.zeros(1)), has_loops(torch.zeros(1, device="meta"))
        (True, False)
    """
    return values.device.type == "cpu" and not _WITHOUT_LOOPS.get()


@contextmanager
def without_loops() -> Iterator[None]:
    """Compute with torch alone on the CPU too, as on other devices, in the thread that enters this.

    Example:
        >>> import torch
        >>> with without_loops():
        ...     has_loops(torch.zeros(1))
        False
    """
    token = _WITHOUT_LOOPS.set(True)
    try:
        yield
    finally:
        _WITHOUT_LOOPS.reset(token)
