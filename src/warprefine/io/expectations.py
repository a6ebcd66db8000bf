"""The sums of confidence of each labelled frame, kept in the manifest: no PNG is read to find weak frames."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from warprefine.io.manifest_file import ManifestFile

_TABLE = """
CREATE TABLE IF NOT EXISTS expectation (
    video TEXT NOT NULL, method TEXT NOT NULL, frame INTEGER NOT NULL, error REAL NOT NULL,
    sums BLOB NOT NULL, PRIMARY KEY (video, method, frame)
)
"""
# Frames that have no labels any more keep their row until they get new labels.
_OF_LABELLED = (
    "FROM expectation AS e JOIN pseudo_label AS p ON p.video = e.video AND p.method = e.method "
    "AND p.frame = e.frame WHERE e.video = ? AND e.method = ? AND p.distance > 0 ORDER BY e.frame"
)
_LEVEL = 255
INSERT_SUMS = "INSERT OR REPLACE INTO expectation VALUES (?, ?, ?, ?, ?)"
"""Records the sums of a frame; its values are those of `row_of_sums`."""


def row_of_sums(
    video: str, method: str, frame: int, sums: Int64[np.ndarray, "n 2"]
) -> tuple[str | int | float | bytes, ...]:
    """Return a row of the table.

    Args:
        sums: By label, VOID last: pixels, and the sum of their levels of confidence, 0 to 255.
    """
    pixels, levels = sums.sum(axis=0).tolist()
    error = 1 - levels / (_LEVEL * pixels) if pixels else 0.0
    return video, method, frame, error, sums.astype("<i8").tobytes()


class Expectations:
    """The table `expectation` of the manifest; `RunFolder` opens it.

    Args:
        file: The file of the manifest.
    """

    def __init__(self, file: ManifestFile) -> None:
        self._file = file

    def create(self) -> None:
        """Make the table, if it is not there."""
        with self._file.connect() as connection:
            connection.execute(_TABLE)

    def errors(self, video: str, method: str) -> Mapping[int, float]:
        """Return the expected share of wrong pixels of each labelled frame of a video, 0 to 1, by frame."""
        if not self._is_there():
            return {}
        with self._file.connect() as connection:
            return dict(connection.execute(f"SELECT e.frame, e.error {_OF_LABELLED}", (video, method)))

    def sums(self, video: str, method: str) -> Mapping[int, Int64[np.ndarray, "n 2"]]:
        """Return the sums of each labelled frame of a video, as they were recorded, by frame."""
        if not self._is_there():
            return {}
        with self._file.connect() as connection:
            found = connection.execute(f"SELECT e.frame, e.sums {_OF_LABELLED}", (video, method)).fetchall()
            return {
                frame: np.frombuffer(blob, "<i8").reshape(-1, 2).astype(np.int64) for frame, blob in found
            }

    def _is_there(self) -> bool:
        """Return whether there is a table: runs of earlier versions have none, and may be read-only."""
        if not self._file.path.exists():
            return False
        with self._file.connect() as connection:
            query = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'expectation'"
            return bool(connection.execute(query).fetchone()[0])
