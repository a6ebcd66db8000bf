"""Import thousands of damaged and hostile exports: each is imported, or refused in one line of our own.

WARPREFINE_FUZZ says how many; `make fuzz` imports 100,000. The number of one that fails makes it again, and
what was imported is kept in the folder of its test.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fuzz.imports import FORMATS, OUTSIDE, changed, seeds_of
from warprefine.core.errors import WarpRefineError
from warprefine.jobs.import_labels import ImportSettings, import_labels

INPUTS = int(os.environ.get("WARPREFINE_FUZZ", "300"))
SLOWEST_S = 20
MOST_BYTES = 1 << 30
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@pytest.mark.parametrize("name", FORMATS)
def test_changed_exports_are_imported_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No traceback, no hang, nothing beside the data set, nothing left of a failure, and less than 1 GiB."""
    seeds = seeds_of(name, tmp_path / "seeds")
    if not seeds:
        pytest.skip(f"nothing exports {name}, and there are no cases of it")
    begin = zlib.crc32(name.encode())
    for folder in ("temporary", "in", "out"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    for number in range(begin, begin + max(1, INPUTS // len(FORMATS))):
        shutil.rmtree(tmp_path / "in")
        (tmp_path / "in").mkdir()
        seed = seeds[number // 5 % len(seeds)]
        source = changed(seed, number, tmp_path / "in")
        before = _tree(tmp_path / "in")
        with_frames = number % 5 > 0
        settings = ImportSettings(frames=seed.frames if with_frames else None, options=seed.options)
        with _bounded_memory(f"{name} {number}"):
            _import_or_refuse(name, source, settings, tmp_path / "out" / "data", number)
        assert _tree(tmp_path / "in") == before, f"{name} {number}: wrote beside what it read"
        assert not [*(tmp_path / "temporary").iterdir()], f"{name} {number}: left temporary files"

    assert {path.name for path in tmp_path.iterdir()} == {"seeds", "temporary", "in", "out"}
    assert not OUTSIDE.exists()


def _import_or_refuse(name: str, source: Path, settings: ImportSettings, target: Path, number: int) -> None:
    begin = time.monotonic()
    try:
        import_labels(name, source, target, settings=settings)
    except WarpRefineError as error:
        message = str(error)
        assert "\n" not in message.strip(), f"{name} {number}: {message}"
        assert len(message) < 2000 + 3 * len(str(source)), f"{name} {number}: {message}"
        assert not [*target.parent.iterdir()], f"{name} {number}: left something: {message}"
    except BaseException as error:
        error.add_note(f"{name} {number}: {source}")
        raise
    else:
        assert [path.name for path in target.parent.iterdir()] == [target.name]
        shutil.rmtree(target)
    assert time.monotonic() - begin < SLOWEST_S, f"{name} {number} takes too long"


def _tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@contextmanager
def _bounded_memory(what: str) -> Iterator[None]:
    """Check how much memory the block takes at most, where the system says so; no more than twice the limit.

    Twice, so that a machine survives what the test is to find.
    """
    if not os.access(_RESET, os.W_OK):
        yield
        return
    _RESET.write_text("5")
    before = _status("VmRSS")
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_status("VmData") + 2 * MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    taken = _status("VmHWM") - before
    assert taken < MOST_BYTES, f"{what} takes {taken:,} bytes"


def _status(key: str) -> int:
    """Return a size of this process in bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return 1024 * int(line.split()[1])
