"""Import thousands of damaged exports: each is imported, or refused in one line, and leaves nothing behind.

`WARPREFINE_FUZZ=200000 pytest tests/fuzz/test_imports.py` imports 10,000. Seeds are what our own exporters
write, and the cases of `shared/interchange` where they are there.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.mutator import mutated
from tests.interchange.cases import find_cases
from tests.interchange.projects import without_label_maps, write_project
from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError
from warprefine.interchange import EXPORTERS, IMPORTERS
from warprefine.jobs.export_labels import export_labels
from warprefine.jobs.import_labels import ImportSettings, import_labels

INPUTS = int(os.environ.get("WARPREFINE_FUZZ", "2000")) // 20
"""An import takes as long as twenty files that are read alone."""
MOST_BYTES = 1 << 30
CLASSES = ClassSet(names=("a", "b c"), colors=((1, 2, 3), (4, 5, 6)))
RNG = np.random.default_rng(0)
MAPS = {
    "v 1": {"000": RNG.choice(np.array([0, 1, 255], np.uint8), (6, 7)), "001": np.zeros((6, 7), np.uint8)}
}


def seeds(name: str, folder: Path) -> list[Path]:
    """Return sound exports of a format, each a folder."""
    found = []
    if name in EXPORTERS:
        export_labels(name, folder / "project", folder / "seed")
        found.append(folder / "seed")
    for number, case in enumerate(case for case in find_cases() if case.format == name and case.expected):
        if case.source.is_dir():
            found.append(case.source)
        elif case.source.suffix == ".zip":
            with zipfile.ZipFile(case.source) as archive:
                archive.extractall(folder / f"case-{number}")
            found.append(folder / f"case-{number}")
    return found


@pytest.mark.parametrize("name", sorted(IMPORTERS))
def test_damaged_exports_are_imported_or_refused(name: str, tmp_path: Path) -> None:
    """No traceback, no file outside of DATA, nothing half-made, and no more than 1 GiB of memory more."""
    project = write_project(tmp_path / "project", CLASSES, MAPS)
    frames = without_label_maps(project, tmp_path / "frames")
    sources = seeds(name, tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    places = {entry.name for entry in tmp_path.iterdir()} | {"in", "data"}
    for number in range(max(4, INPUTS // len(IMPORTERS))):
        draws = random.Random(zlib.crc32(name.encode()) + number)
        source = changed(draws.choice(sources), tmp_path / "in", draws)
        with_frames = draws.random() < 0.8
        settings = ImportSettings(frames=frames if with_frames else None)
        try:
            import_labels(name, source, tmp_path / "data", settings=settings)
        except WarpRefineError as error:
            assert "\n" not in str(error).strip()  # noqa: PT017 - success is as good
            assert not (tmp_path / "data").exists()
        assert {entry.name for entry in tmp_path.iterdir()} <= places
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        shutil.rmtree(tmp_path / "in")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_BYTES >> 10


def changed(sound: Path, folder: Path, draws: random.Random) -> Path:
    """Copy an export with one file changed, or pack it and change the archive."""
    shutil.copytree(sound, folder / "export")
    files = sorted(path for path in (folder / "export").rglob("*") if path.is_file())
    # What lists the others is most worth changing.
    lists = [path for path in files if path.suffix.lower() not in (".png", ".jpg")] or files
    path = draws.choice(lists if draws.random() < 0.7 else files)
    number = draws.randrange(1 << 30)
    kind = draws.random()
    if kind < 0.8 and path.stat().st_size:
        path.write_bytes(mutated([path.read_bytes()], number))
    if kind < 0.5:
        return folder / "export"
    packed = folder / "export.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in files:
            archive.write(one, one.relative_to(folder / "export").as_posix())
    if kind >= 0.8:
        packed.write_bytes(mutated([packed.read_bytes()], number))
    return packed
