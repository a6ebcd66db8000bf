"""Run a script or module in two processes, as torchrun does."""

from __future__ import annotations

import os
import subprocess
import sys

_LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Return what the processes have printed, and how they ended."""
    return subprocess.run(
        [*_LAUNCHER, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WARPREFINE_CACHE": "off"},
        check=False,
    )
