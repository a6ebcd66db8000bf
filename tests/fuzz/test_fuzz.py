"""Read thousands of damaged and hostile files: each is read, or refused in one line of our own.

`make fuzz` reads 100,000. An input that fails is kept in the folder of its test, and its number makes it
again; those that once failed lie in `found`.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.mutator import mutated
from tests.fuzz.targets import TARGETS
from warprefine.core.errors import WarpRefineError
from warprefine.jobs.convert_nyuv2 import ClipSettings, convert_nyuv2

INPUTS = int(os.environ.get("WARPREFINE_FUZZ", "2000"))
CONVERSIONS = INPUTS // 100  # each writes a data set, and takes as long as a hundred files
FOUND = sorted((Path(__file__).parent / "found").iterdir())
SLOWEST_S = 10


def read_or_refuse(read: Callable[[Path], object], path: Path) -> None:
    begin = time.monotonic()
    try:
        read(path)
    except WarpRefineError as error:
        assert "\n" not in str(error).strip()  # noqa: PT017 - success is as good
        assert len(str(error)) < 1000 + 3 * len(str(path))  # noqa: PT017
    assert time.monotonic() - begin < SLOWEST_S


@pytest.mark.parametrize("name", list(TARGETS))
def test_changed_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    """No traceback, no hang, no crash, and nothing written."""
    target, share = TARGETS[name], INPUTS // len(TARGETS)
    (tmp_path / "seeds").mkdir()
    (tmp_path / "in").mkdir()
    seeds = target.seeds(tmp_path / "seeds")
    path = tmp_path / "in" / f"{target.name}.{target.ending}"

    for number in range(share):
        path.write_bytes(mutated(seeds, zlib.crc32(name.encode()) + number))
        for read in target.reads:
            read_or_refuse(read, path)

    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("found", FOUND, ids=[path.name for path in FOUND])
def test_what_once_failed_is_read_or_refused(tmp_path: Path, found: Path) -> None:
    """By everything that reads files of its kind."""
    target = TARGETS[found.name.split("-")[0]]

    for read in target.reads:
        read_or_refuse(read, found)


def test_a_hostile_data_set_is_converted_within_its_folder(
    tmp_path: Path, nyuv2: Callable[..., Path]
) -> None:
    """Whatever bytes of the HDF5 file change, nothing is written outside the target."""
    source, out = nyuv2(tmp_path / "source"), tmp_path / "out"
    labelled = source / "nyu_depth_v2_labeled.mat"
    seed = labelled.read_bytes()

    for number in range(CONVERSIONS):
        labelled.write_bytes(mutated([seed], number))
        read_or_refuse(
            lambda _, n=number: convert_nyuv2(source, out / str(n), clips=ClipSettings(border=2)), source
        )

    assert {entry.name for entry in tmp_path.iterdir()} <= {"source", "out"}
    assert len(list(source.iterdir())) == 3
