"""Whatever the disk refuses, and whenever a command is killed: once more, and all is as if nothing had been.

Here a dozen faults are injected. `make faults` kills commands at 200 moments, and lets each of the first 200
operations of each command fail with each error; `-k train-segmenter-EIO` chooses some of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.faults.commands import COMMANDS, KINDS, Fault

FAULTS = int(os.environ.get("WARPREFINE_FAULTS", "0"))
QUICK = ("frames", "convert-camvid32", "split", "motion-only", "train-segmenter", "predict")
SAMPLE = list(zip(QUICK * 2, cycle(("EIO", "EROFS", "ENOSPC", "SIGKILL")), strict=False))
CASES = (
    {f"{name}-{kind}": [(name, kind)] for name in COMMANDS for kind in KINDS} if FAULTS else {"some": SAMPLE}
)
Ask = Callable[[str, Fault | None], dict[str, Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """A function that asks drive.py what comes of a fault."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if (
        compiler is None
        or sys.platform != "linux"
        or "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    ):
        pytest.skip("needs a C compiler, Linux and glibc")
    folder = tmp_path_factory.mktemp("faults")
    shim, source = folder / "shim.so", Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.drive", folder],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        jobs, answers = process.stdin, process.stdout
        assert jobs is not None
        assert answers is not None

        def answer(name: str, fault: Fault | None) -> dict[str, Any]:
            jobs.write(json.dumps([name, fault and asdict(fault)]) + "\n")
            jobs.flush()
            found: dict[str, Any] = json.loads(answers.readline())
            return found

        yield answer
        jobs.close()


def faults(name: str, kind: str, count: int) -> Iterator[Fault]:
    """Yield a fault at each of the first operations, or at random ones where it is a kill or a sample."""
    draws = random.Random(zlib.crc32(f"{name} {kind}".encode()))
    if FAULTS and kind != "SIGKILL":
        places = list(range(1, min(count, FAULTS) + 1))
    else:
        places = [draws.randint(1, count) for _ in range(max(1, FAULTS // len(COMMANDS))) if count]
    for at in places:
        yield Fault(kind=kind, at=at, lasting=draws.random() < 0.5, death=draws.randrange(3))


@pytest.mark.parametrize("case", CASES)
def test_the_same_command_again_ends_as_if_nothing_had_happened(ask: Ask, case: str) -> None:
    """A fault is lived with, or told in a line that names a file; in the end all outputs are equal."""
    wrong = []
    for name, kind in CASES[case]:
        for fault in faults(name, kind, ask(name, None)[kind]):
            outcome = ask(name, fault)
            assert outcome["struck"], (name, fault)
            if outcome["wrong"]:
                wrong.append(f"{name}, {fault}: {outcome}")
    assert not wrong, "\n".join(wrong)
