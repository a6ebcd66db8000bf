"""Lay out the run folder and record, in a SQLite manifest, which frames are done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError
from warprefine.core.pseudolabel import Provenance
from warprefine.io.atomic import draft_of, make_folder, writing_errors
from warprefine.io.claims import check_claim, claim, read_claim
from warprefine.io.foreign import reason

_VERSION = 3
"""Version of the manifest; what an older one records is made again."""
_SCHEMA = f"""
DROP TABLE IF EXISTS pseudo_label;
CREATE TABLE pseudo_label (
    video TEXT NOT NULL, frame INTEGER NOT NULL, method TEXT NOT NULL, fingerprint TEXT NOT NULL,
    distance INTEGER NOT NULL, key_frames TEXT NOT NULL, files TEXT NOT NULL,
    PRIMARY KEY (video, method, frame)
);
DROP TABLE IF EXISTS replaced;
CREATE TABLE replaced (video TEXT NOT NULL, method TEXT NOT NULL, files TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class RunFolder:
    """The folder of a run: the path of each file, and which frames are done.

    RUN/labels/METHOD/VIDEO/STEM.png       label maps; RUN/confidence/... likewise, 255 = certain
    RUN/checkpoints/segmenter.safetensors  weights, each with its recipe and class set
    RUN/cache/                             flow and segmenter outputs; may be deleted at any time
    RUN/recipe.toml, RUN/job.json          the resolved recipe; data set, key frames, horizon
    RUN/left_out.json                      videos that could not be labelled, and why; none: no file
    RUN/figures/*.png                      the report's plots, and a panel per clip
    RUN/metrics.json, RUN/report.html, RUN/log.txt, RUN/manifest.sqlite
    """

    def __init__(self, root: Path, *, cache: Path | None = None, read_only: bool = False) -> None:
        """Open the folder, created if it does not exist.

        Args:
            cache: A folder for what can be computed again, shared with other runs; None is `root` / "cache".
            read_only: Write nothing; the folder may be where writing is not allowed.
        """
        self.root, self._read_only = root, read_only
        self._cache = cache or root / "cache"
        self._manifest = root / "manifest.sqlite"
        if read_only:
            return
        for folder in (root,) if cache is None else (root, cache):
            make_folder(folder)
            with writing_errors(folder):
                probe = draft_of(folder / "writable")
                probe.touch()
                probe.unlink()
        with self._connect() as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
                connection.executescript(_SCHEMA)

    @property
    def metrics_path(self) -> Path:
        """The scores, as JSON."""
        return self.root / "metrics.json"

    @property
    def tau_path(self) -> Path:
        """The tau that was chosen on the key frames, as JSON."""
        return self.root / "tau.json"

    @property
    def report_path(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.root / "report.html"

    @property
    def figures(self) -> Path:
        """The folder of the report's plots and panels as image files."""
        return self.root / "figures"

    @property
    def left_out_path(self) -> Path:
        """The videos that could not be labelled, as JSON; missing if there are none."""
        return self.root / "left_out.json"

    def labels_path(self, method: str, video: str, stem: str) -> Path:
        """Return the path of the label map of one frame."""
        return self.root / "labels" / method / video / f"{stem}.png"

    def confidence_path(self, method: str, video: str, stem: str) -> Path:
        """Return the path of the confidence of one frame: uint8, 255 = certain."""
        return self.root / "confidence" / method / video / f"{stem}.png"

    def checkpoint_path(self, part: str) -> Path:
        """Return the path of the weights of a part ("segmenter", "refiner")."""
        return self.root / "checkpoints" / f"{part}.safetensors"

    @property
    def cache(self) -> Path:
        """The folder of cached outputs, which can be computed again."""
        return self._cache

    def check(self, job: dict[str, Any]) -> None:
        """Raise if the folder holds a run of another job.

        Raises:
            RunFolderError: It holds a run of another job.
        """
        check_claim(self.root / "job.json", job, what="run")

    def claim(self, job: dict[str, Any]) -> None:
        """Record the job of this run.

        Raises:
            RunFolderError: The folder holds a run of another job.
        """
        claim(self.root / "job.json", job, what="run")

    def job(self) -> dict[str, Any]:
        """Return the job that `claim` recorded.

        Raises:
            RunFolderError: This is not a run folder.
        """
        path = self.root / "job.json"
        if not path.exists():
            raise RunFolderError(
                f"{self.root} holds no job.json; expected a folder made by `warprefine autolabel`"
            )
        return read_claim(path)

    def is_done(self, video: str, frames: Sequence[int], method: str, fingerprint: str) -> bool:
        """Return whether each of some frames was finished with this fingerprint, and its files are whole."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, files FROM pseudo_label WHERE video = ? AND method = ? AND fingerprint = ?",
                (video, method, fingerprint),
            )
            files = {frame: _as_files(of_frame) for frame, of_frame in found}
        return all(frame in files and self._whole(files[frame]) for frame in frames)

    def mark_done(
        self,
        video: str,
        provenances: Mapping[int, Provenance],
        method: str,
        fingerprint: str,
        *,
        files: Mapping[int, Sequence[Path]],
    ) -> None:
        """Record that every file of some frames is in its place, and where their labels come from.

        Args:
            provenances: By frame.
            files: By frame; they are below `root`.
        """
        rows = []
        for frame, one in provenances.items():
            sizes = {str(path.relative_to(self.root)): path.stat().st_size for path in files[frame]}
            key_frames = json.dumps(one.key_frames)
            rows.append((video, frame, method, fingerprint, one.distance, key_frames, json.dumps(sizes)))
        with self._connect() as connection:
            connection.executemany("INSERT OR REPLACE INTO pseudo_label VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def mark_begun(self, video: str, frames: Sequence[int], method: str) -> None:
        """Record that frames are not finished: their files are about to be replaced."""
        with self._connect() as connection:
            # If frames were renamed, their new files have other names, and `keep_only` deletes the old ones.
            connection.executemany(
                "INSERT INTO replaced SELECT video, method, files FROM pseudo_label "
                "WHERE video = ? AND frame = ? AND method = ?",
                [(video, frame, method) for frame in frames],
            )
            connection.executemany(
                "DELETE FROM pseudo_label WHERE video = ? AND frame = ? AND method = ?",
                [(video, frame, method) for frame in frames],
            )

    def keep_only(self, video: str, frames: Collection[int], method: str) -> None:
        """Delete the records of all other frames of a video than these, and the files of none of these."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, files FROM pseudo_label WHERE video = ? AND method = ?", (video, method)
            ).fetchall()
            replaced = connection.execute(
                "SELECT files FROM replaced WHERE video = ? AND method = ?", (video, method)
            ).fetchall()
            kept = {name for frame, files in found if frame in frames for name in _as_files(files)}
            others = {frame: _as_files(files) for frame, files in found if frame not in frames}
            old = [_as_files(files) for (files,) in replaced]
        for name in {name for files in (*others.values(), *old) for name in files} - kept:
            with writing_errors(self.root / name):
                self._delete(self.root / name)
        self.mark_begun(video, list(others), method)
        with self._connect() as connection:
            connection.execute("DELETE FROM replaced WHERE video = ? AND method = ?", (video, method))

    def _delete(self, path: Path) -> None:
        """Delete a file, and the folders of its video and method if they are empty then."""
        path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or not there
            path.parent.rmdir()
            path.parent.parent.rmdir()

    def _whole(self, files: Mapping[str, int]) -> bool:
        """Return whether files have the sizes that were recorded; a cut file is made again."""
        try:
            return all((self.root / name).stat().st_size == size for name, size in files.items())
        except FileNotFoundError:
            return False

    def fingerprints(self, video: str, method: str) -> dict[int, str]:
        """Return what the labels of each finished frame depend on, as hashes by frame."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, fingerprint FROM pseudo_label WHERE video = ? AND method = ? ORDER BY frame",
                (video, method),
            ).fetchall()
        return dict(found)

    def provenances(self, video: str, method: str) -> dict[int, Provenance]:
        """Return where the pseudo-labels of each finished frame come from, by frame; key frames have none."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, distance, key_frames FROM pseudo_label "
                "WHERE video = ? AND method = ? AND distance > 0 ORDER BY frame",
                (video, method),
            ).fetchall()
            return {
                frame: Provenance(method=method, distance=distance, key_frames=tuple(json.loads(key_frames)))
                for frame, distance, key_frames in found
            }

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with writing_errors(self._manifest):
            try:
                place = f"{self._manifest.absolute().as_uri()}?mode={'ro' if self._read_only else 'rwc'}"
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
                    f"{self._manifest} is damaged ({reason(error)}); delete it and run the same command "
                    "again, the labels are then written again"
                ) from error
            finally:
                connection.close()

    def _refusal(self, error: sqlite3.Error) -> RunFolderError:
        if self._read_only:
            return RunFolderError(
                f"cannot read {self._manifest}: {reason(error)}; run `warprefine autolabel` with the same "
                "options again, it finishes what is missing"
            )
        return RunFolderError(
            f"cannot write {self._manifest}: {reason(error)}; expected a writable folder with free space"
        )


def _as_files(recorded: str) -> dict[str, int]:
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
