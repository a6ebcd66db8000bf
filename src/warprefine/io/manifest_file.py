"""The SQLite file of a manifest: its tables, how rows are written and read, and errors with a remedy."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warprefine.core.errors import RunFolderError
from warprefine.core.pseudolabel import Provenance
from warprefine.core.stages import STAGES, Stage
from warprefine.io.atomic import writing_errors
from warprefine.io.foreign import reason

_VERSION = 4
"""Version of the manifest; what an older one records is made again."""
_SCHEMA = f"""
DROP TABLE IF EXISTS pseudo_label;
CREATE TABLE pseudo_label (
    video TEXT NOT NULL, frame INTEGER NOT NULL, method TEXT NOT NULL, fingerprint TEXT NOT NULL,
    distance INTEGER NOT NULL, key_frames TEXT NOT NULL, files TEXT NOT NULL,
    stage TEXT NOT NULL, data TEXT NOT NULL, moving INTEGER NOT NULL,
    PRIMARY KEY (video, method, frame)
);
DROP TABLE IF EXISTS replaced;
CREATE TABLE replaced (video TEXT NOT NULL, method TEXT NOT NULL, files TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
"""
INSERT = "INSERT OR REPLACE INTO pseudo_label VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
"""Records a frame; its values are those of `row_of`."""


class ManifestFile:
    """The file, opened for each access alone.

    Args:
        path: The file; it is made by `create`.
        read_only: Write nothing.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path, self.read_only = path, read_only

    def create(self) -> None:
        """Make the tables, if there are none of this version."""
        with self.connect() as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
                connection.executescript(_SCHEMA)

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction.

        Raises:
            RunFolderError: It cannot be read or written, or is damaged.
        """
        with writing_errors(self.path):
            try:
                place = f"{self.path.absolute().as_uri()}?mode={'ro' if self.read_only else 'rwc'}"
                connection = sqlite3.connect(place, timeout=60, uri=True)
            except sqlite3.OperationalError as error:
                raise self._refusal(error) from error
            try:
                with connection:
                    yield connection
            except sqlite3.OperationalError as error:
                raise self._refusal(error) from error
            except (sqlite3.DatabaseError, ValueError, TypeError, RecursionError) as error:
                raise RunFolderError(
                    f"{self.path} is damaged ({reason(error)}); delete it and run the same command "
                    "again, the labels are then written again"
                ) from error
            finally:
                connection.close()

    def _refusal(self, error: sqlite3.Error) -> RunFolderError:
        if self.read_only:
            return RunFolderError(
                f"cannot read {self.path}: {reason(error)}; run `warprefine autolabel` with the same "
                "options again, it finishes what is missing"
            )
        return RunFolderError(
            f"cannot write {self.path}: {reason(error)}; expected a writable folder with free space"
        )


def row_of(
    video: str,
    frame: int,
    provenance: Provenance,
    fingerprint: str,
    sizes: Mapping[str, int],
    *,
    data: str = "",
    moving: bool = False,
) -> tuple[str | int, ...]:
    """Return a row of the manifest.

    Args:
        sizes: The sizes of the frame's files in bytes, by name below the run folder.
        data: A hash of the data that the labels were computed from.
        moving: Whether files may not be in their places yet.
    """
    names = json.dumps(provenance.key_frames), json.dumps(dict(sizes))
    of_frame = video, frame, provenance.method, fingerprint, provenance.distance
    return (*of_frame, *names, provenance.stage, data, int(moving))


def as_stage(recorded: str) -> Stage:
    """Return a stage as it is recorded.

    Raises:
        ValueError: Something else is recorded.
    """
    if recorded not in STAGES:
        raise ValueError(f"the stage {recorded!r} is recorded")
    return recorded


def as_files(recorded: str) -> dict[str, int]:
    """Return the sizes of files by name, as they are recorded; the names stay in the folder.

    Raises:
        ValueError: Something else is recorded.
    """
    files = json.loads(recorded)
    if not isinstance(files, dict) or not all(isinstance(size, int) for size in files.values()):
        raise ValueError("files are recorded in another form")
    if any(Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name for name in files):
        raise ValueError("a file outside the folder is recorded")
    return files
