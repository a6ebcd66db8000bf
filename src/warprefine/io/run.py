"""Lay out the run folder and record, in a SQLite manifest, which frames are done."""

from __future__ import annotations

import copy
import json
import shutil
import sqlite3
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError
from warprefine.core.pseudolabel import Provenance
from warprefine.core.stages import STAGES, Stage
from warprefine.io.atomic import draft_of, make_folder, writing_errors
from warprefine.io.claims import check_claim, claim, read_claim
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
_ARRIVING = "arriving"
"""Folder of files that are whole, until they are moved to their places."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the manifest has about a frame that is done by a method.

    Attributes:
        fingerprint: A hash of all that the labels depend on.
        stage: The stage that the files are from.
        data: A hash of the frames and key labels among that; "" where nothing is known of them.
        is_whole: Whether the files have the sizes that were recorded.
    """

    fingerprint: str
    stage: Stage
    data: str
    is_whole: bool


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
        self._weights = root
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
        self._move_all()

    def for_stage(self, stage: Stage) -> RunFolder:
        """Return the folder as a stage uses it: its networks lie in RUN/stages/STAGE, all else in RUN."""
        if stage == "good":
            return self
        folder = copy.copy(self)
        folder._weights = self.root / "stages" / stage
        return folder

    @property
    def weights_root(self) -> Path:
        """The folder that holds the networks: this one, or that of a stage in it."""
        return self._weights

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
        return self._present(self.root / "labels" / method / video / f"{stem}.png")

    def confidence_path(self, method: str, video: str, stem: str) -> Path:
        """Return the path of the confidence of one frame: uint8, 255 = certain."""
        return self._present(self.root / "confidence" / method / video / f"{stem}.png")

    def arriving_path(self, path: Path) -> Path:
        """Return where a file is written that `put` then moves to `path`."""
        return self.root / _ARRIVING / path.relative_to(self.root)

    def checkpoint_path(self, part: str) -> Path:
        """Return the path of the weights of a part ("segmenter", "refiner")."""
        return self._weights / "checkpoints" / f"{part}.safetensors"

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

    def records(self, video: str, method: str, frames: Collection[int] | None = None) -> dict[int, Record]:
        """Return what is recorded of those of some frames that a method has finished, by frame.

        Args:
            video: The video's name.
            method: The method.
            frames: The frames; None: all.
        """
        least, most = (min(frames), max(frames)) if frames else (0, sys.maxsize)
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, fingerprint, stage, data, files FROM pseudo_label "
                "WHERE video = ? AND method = ? AND frame BETWEEN ? AND ?",
                (video, method, least, most),
            ).fetchall()
            rows = [(*row[:4], _as_files(row[4])) for row in found if frames is None or row[0] in frames]
        return {
            frame: Record(
                fingerprint=fingerprint, stage=_as_stage(stage), data=data, is_whole=self._whole(files)
            )
            for frame, fingerprint, stage, data, files in rows
        }

    def is_done(self, video: str, frames: Sequence[int], method: str, fingerprint: str) -> bool:
        """Return whether each of some frames was finished with this fingerprint, and its files are whole."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, files FROM pseudo_label WHERE video = ? AND method = ? AND fingerprint = ?",
                (video, method, fingerprint),
            )
            files = {frame: _as_files(of_frame) for frame, of_frame in found}
        return all(frame in files and self._whole(files[frame]) for frame in frames)

    def put(
        self,
        video: str,
        frame: int,
        provenance: Provenance,
        fingerprint: str,
        *,
        files: Sequence[Path],
        data: str = "",
    ) -> None:
        """Put the files of a frame, written to the `arriving_path` of each, in their places, and record them.

        All files of a frame change at once: those who read the folder see either the old ones with the old
        record or the new ones with the new record, whenever the process is killed.

        Args:
            provenance: Where the labels come from, with method and stage.
            files: The places, below `root`.
            data: A hash of the data that they were computed from.
        """
        names = [path.relative_to(self.root).as_posix() for path in files]
        sizes = {name: self.arriving_path(self.root / name).stat().st_size for name in names}
        key = (video, frame, provenance.method)
        with self._connect() as connection:
            # If frames were renamed, their new files have other names, and `keep_only` deletes the old ones.
            connection.execute(
                "INSERT INTO replaced SELECT video, method, files FROM pseudo_label "
                "WHERE video = ? AND frame = ? AND method = ?",
                key,
            )
            row = _row(video, frame, provenance, fingerprint, sizes, data=data, moving=True)
            connection.execute(_INSERT, row)
        self._move(names)
        with self._connect() as connection:
            connection.execute(
                "UPDATE pseudo_label SET moving = 0 WHERE video = ? AND frame = ? AND method = ?", key
            )

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
            sizes = {path.relative_to(self.root).as_posix(): path.stat().st_size for path in files[frame]}
            rows.append(_row(video, frame, replace(one, method=method), fingerprint, sizes))
        with self._connect() as connection:
            connection.executemany(_INSERT, rows)

    def confirm(self, video: str, frame: int, method: str, *, stage: Stage, data: str) -> None:
        """Record that the labels of a frame are also those of another stage, and of which data they are."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE pseudo_label SET stage = ?, data = ? WHERE video = ? AND frame = ? AND method = ?",
                (stage, data, video, frame, method),
            )

    def forget_data(self) -> None:
        """Forget what data labels were computed from: those of a later stage may be replaced, too."""
        with self._connect() as connection:
            connection.execute("UPDATE pseudo_label SET data = ''")

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
            return all(self._present(self.root / name).stat().st_size == size for name, size in files.items())
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
                "SELECT frame, distance, key_frames, stage FROM pseudo_label "
                "WHERE video = ? AND method = ? AND distance > 0 ORDER BY frame",
                (video, method),
            ).fetchall()
            return {
                frame: Provenance(
                    method=method,
                    distance=distance,
                    key_frames=tuple(json.loads(key_frames)),
                    stage=_as_stage(stage),
                )
                for frame, distance, key_frames, stage in found
            }

    def _present(self, path: Path) -> Path:
        """Return where a file is: a killed process may have left the newest one before it was moved.

        Folders that are opened for writing have all files in their places, see `_move_all`.
        """
        if self._read_only and path.relative_to(self.root).as_posix() in self._moving:
            arriving = self.arriving_path(path)
            return arriving if arriving.exists() else path
        return path

    @cached_property
    def _moving(self) -> frozenset[str]:
        """The names of files that may not be in their places yet."""
        if not self._manifest.exists():
            return frozenset()
        with self._connect() as connection:
            found = connection.execute("SELECT files FROM pseudo_label WHERE moving = 1").fetchall()
            return frozenset(name for (files,) in found for name in _as_files(files))

    def _move_all(self) -> None:
        """Finish what a killed process has recorded and not moved, and delete what it has not recorded."""
        if not (self.root / _ARRIVING).exists():
            return
        with self._connect() as connection:
            found = connection.execute("SELECT files FROM pseudo_label WHERE moving = 1").fetchall()
            names = [name for (files,) in found for name in _as_files(files)]
        self._move(names)
        with self._connect() as connection:
            connection.execute("UPDATE pseudo_label SET moving = 0")
        self.remove_arriving()

    def remove_arriving(self) -> None:
        """Delete the folder of files that are to be moved; there are none when nothing is being written."""
        shutil.rmtree(self.root / _ARRIVING, ignore_errors=True)

    def _move(self, names: Sequence[str]) -> None:
        for name in names:
            target = self.root / name
            make_folder(target.parent)
            with writing_errors(target), suppress(FileNotFoundError):  # it was moved before
                self.arriving_path(target).replace(target)

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


_INSERT = "INSERT OR REPLACE INTO pseudo_label VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _row(
    video: str,
    frame: int,
    provenance: Provenance,
    fingerprint: str,
    sizes: Mapping[str, int],
    *,
    data: str = "",
    moving: bool = False,
) -> tuple[str | int, ...]:
    """Return a row of the manifest."""
    names = json.dumps(provenance.key_frames), json.dumps(dict(sizes))
    of_frame = video, frame, provenance.method, fingerprint, provenance.distance
    return (*of_frame, *names, provenance.stage, data, int(moving))


def _as_stage(recorded: str) -> Stage:
    """Return a stage as it is recorded.

    Raises:
        ValueError: Something else is recorded.
    """
    if recorded not in STAGES:
        raise ValueError(f"the stage {recorded!r} is recorded")
    return recorded


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
