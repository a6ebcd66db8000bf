"""Lay out the run folder and remember, in a SQLite manifest, which units of work are done."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import make_folder, remove_drafts, writing_errors
from warprefine.io.claims import check_claim, claim, read_claim

_SCHEMA = """
CREATE TABLE IF NOT EXISTS unit (
    name TEXT NOT NULL, method TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (name, method)
);
"""


class RunFolder:
    """One folder per run: where each file lies, and what is already done.

    RUN/labels/METHOD/VIDEO/STEM.png       label maps; RUN/confidence/... likewise, 255 = certain
    RUN/checkpoints/segmenter.safetensors  weights, each with its recipe and class set
    RUN/cache/                             flow and segmenter outputs; may be deleted at any time
    RUN/recipe.toml, RUN/job.json          the resolved recipe; data set, key frames, horizon
    RUN/left_out.json                      videos that could not be labelled, and why; none: no file
    RUN/figures/*.png                      the report's plots, and a panel per clip
    RUN/metrics.json, RUN/report.html, RUN/log.txt, RUN/manifest.sqlite
    """

    def __init__(self, root: Path, *, cache: Path | None = None) -> None:
        """Open the folder, made if it is not there.

        Args:
            cache: A folder for what can be computed again, shared with other runs; None is one of its own.
        """
        self.root = root
        self._cache = cache or root / "cache"
        make_folder(root)
        with writing_errors(root):
            probe = root / f".writable-{os.getpid()}"  # ranks of one training come at the same time
            probe.touch()
            probe.unlink()
        self._manifest = root / "manifest.sqlite"
        with self._connect() as connection:
            connection.executescript(_SCHEMA)

    @property
    def metrics_path(self) -> Path:
        """The scores, as JSON."""
        return self.root / "metrics.json"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        """The folder of the report's pictures as files."""
        return self.root / "figures"

    @property
    def left_out_path(self) -> Path:
        """The videos that could not be labelled, as JSON; missing if there are none."""
        return self.root / "left_out.json"

    def labels_path(self, method: str, video: str, stem: str) -> Path:
        """Where the label map of one frame lies."""
        return self.root / "labels" / method / video / f"{stem}.png"

    def confidence_path(self, method: str, video: str, stem: str) -> Path:
        """Where the confidence of one frame lies: uint8, 255 = certain."""
        return self.root / "confidence" / method / video / f"{stem}.png"

    def checkpoint_path(self, part: str) -> Path:
        """Where the weights of a part ("segmenter", "refiner") lie."""
        return self.root / "checkpoints" / f"{part}.safetensors"

    @property
    def cache(self) -> Path:
        """The folder of things that can be computed again."""
        return self._cache

    def check(self, job: dict[str, Any]) -> None:
        """Make sure that the folder holds no run, or one that is about the same thing.

        Raises:
            RunFolderError: It holds a run of another job.
        """
        check_claim(self.root / "job.json", job, what="run")

    def claim(self, job: dict[str, Any]) -> None:
        """Write down what this run is about, and clear away what a killed run left half-written.

        Raises:
            RunFolderError: The folder holds a run of another job.
        """
        self.check(job)
        remove_drafts(self.root)
        claim(self.root / "job.json", job, what="run")

    def job(self) -> dict[str, Any]:
        """Return what `claim` wrote down.

        Raises:
            RunFolderError: This is not a run folder.
        """
        path = self.root / "job.json"
        if not path.exists():
            raise RunFolderError(
                f"{self.root} holds no job.json; expected a folder made by `warprefine autolabel`"
            )
        return read_claim(path)

    def is_done(self, names: str | Sequence[str], method: str, fingerprint: str) -> bool:
        """Say whether a unit, or each of several, was finished with these very weights and settings."""
        with self._connect() as connection:
            return all(
                connection.execute(
                    "SELECT 1 FROM unit WHERE name = ? AND method = ? AND fingerprint = ?",
                    (name, method, fingerprint),
                ).fetchone()
                for name in _listed(names)
            )

    def mark_done(self, names: str | Sequence[str], method: str, fingerprint: str) -> None:
        """Remember that every file of a unit, or of several, is in its place."""
        with self._connect() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO unit VALUES (?, ?, ?)",
                [(name, method, fingerprint) for name in _listed(names)],
            )

    def mark_begun(self, names: str | Sequence[str], method: str) -> None:
        """Forget that units were ever finished: their files are about to be replaced."""
        with self._connect() as connection:
            connection.executemany(
                "DELETE FROM unit WHERE name = ? AND method = ?", [(name, method) for name in _listed(names)]
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with writing_errors(self._manifest):
            connection = sqlite3.connect(self._manifest, timeout=60)
            try:
                with connection:
                    yield connection
            except sqlite3.OperationalError as error:
                raise RunFolderError(
                    f"cannot write {self._manifest}: {error}; expected a writable folder with free space"
                ) from error
            except sqlite3.DatabaseError as error:
                raise RunFolderError(
                    f"{self._manifest} is damaged ({error}); delete it and run the same command again, "
                    "the labels are then made anew"
                ) from error
            finally:
                connection.close()


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names
