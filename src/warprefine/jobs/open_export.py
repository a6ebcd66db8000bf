"""Open an export of an annotation tool as a data set: it is imported into a folder first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warprefine.core.errors import RunFolderError
from warprefine.core.progress import Progress, silent
from warprefine.io.claims import read_claim
from warprefine.io.fingerprints import fingerprint_of
from warprefine.jobs.import_labels import RECORD, ImportSettings, import_labels


def imported_folder(out: Path) -> Path:
    """Return the data set folder that the export of a run is imported into: beside the run, OUT-data.

    Not in the run: what a run writes must not lie in its data, nor around them.

    Example:
        >>> imported_folder(Path("runs/mine")).as_posix()
        'runs/mine-data'
    """
    return out.with_name(f"{out.name}-data")


def import_once(
    name: str, source: Path, data: Path, *, settings: ImportSettings, progress: Progress = silent
) -> tuple[str, ...]:
    """Import an export into a folder, unless it holds the import of the same export already; return notes.

    Raises:
        RunFolderError: The folder holds something else, or the export has changed since.
        WarpRefineError: As for `import_labels`.
    """
    record = {"format": name, "source": str(source.resolve()), "content": _content(source, settings)}
    if (data / RECORD).is_file():
        found = read_claim(data / RECORD)
        if found != record:
            key = next(key for key in (*record, *found) if found.get(key) != record.get(key))
            raise RunFolderError(
                f"{data} holds an import with another {key} ({str(found.get(key))[:100]}); expected that of "
                f"{source}; "
                "delete it, or choose another --out"
            )
        return ()
    report = import_labels(name, source, data, settings=settings, record=record, progress=progress)
    return tuple(report.notes)


@contextmanager
def imported_for_now(
    name: str, source: Path, *, settings: ImportSettings, progress: Progress = silent
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield a data set folder with an export, which is deleted when the block ends, and notes.

    Raises:
        WarpRefineError: As for `import_labels`.
    """
    with TemporaryDirectory(prefix="warprefine-", ignore_cleanup_errors=True) as folder:
        report = import_labels(name, source, Path(folder) / "data", settings=settings, progress=progress)
        yield Path(folder) / "data", tuple(report.notes)


def _content(source: Path, settings: ImportSettings) -> str:
    """Return a hash of what the import depends on: settings, and names, sizes and times of the files."""
    states: list[tuple[Any, ...]] = []
    for root in (source, settings.frames):
        if root is not None:
            files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
            states += [(str(path.relative_to(root)), *_state(path)) for path in files]
    plain = replace(settings, frames=None)
    return fingerprint_of(plain, states)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
