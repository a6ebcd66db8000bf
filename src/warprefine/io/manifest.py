"""The manifest of a run folder: which frames are done by which method, and where their labels come from."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from warprefine.core.pseudolabel import Provenance
from warprefine.core.stages import Stage
from warprefine.io.arriving import ArrivingFiles
from warprefine.io.atomic import writing_errors
from warprefine.io.expectations import INSERT_SUMS, row_of_sums
from warprefine.io.manifest_file import INSERT, ManifestFile, as_files, as_stage, row_of

# If frames were renamed, their new files have other names, and `keep_only` deletes the old ones.
_NOTE_REPLACED = (
    "INSERT INTO replaced SELECT video, method, files FROM pseudo_label "
    "WHERE video = ? AND frame = ? AND method = ?"
)


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


@dataclass(frozen=True, kw_only=True)
class ArrivedFrame:
    """A frame that is to be recorded: its files are whole, and on their way to their places.

    Attributes:
        video: The video's name.
        frame: The frame.
        provenance: Where the labels come from, with method and stage.
        fingerprint: A hash of all that they depend on.
        files: The places of its files, below the run folder; they are at `ArrivingFiles.path_of` of each.
        data: A hash of the data that they were computed from.
        sums: By label, VOID last: pixels, and the sum of their levels of confidence, 0 to 255.
    """

    video: str
    frame: int
    provenance: Provenance
    fingerprint: str
    files: Sequence[Path]
    data: str = ""
    sums: Int64[np.ndarray, "n 2"] | None = None

    @property
    def key(self) -> tuple[str, int, str]:
        """Video, frame and method."""
        return self.video, self.frame, self.provenance.method


class Manifest:
    """The frames of a run that are done; `RunFolder` opens it.

    Args:
        root: The run folder.
        file: Where they are recorded.
        arriving: Files that are recorded before they are in their places.
    """

    def __init__(self, root: Path, file: ManifestFile, arriving: ArrivingFiles) -> None:
        self._root, self._file, self._arriving = root, file, arriving
        self._moved: list[tuple[str, int, str]] = []

    def records(self, video: str, method: str, frames: Collection[int] | None = None) -> dict[int, Record]:
        """Return what is recorded of those of some frames that a method has finished, by frame.

        Args:
            video: The video's name.
            method: The method.
            frames: The frames; None: all.
        """
        least, most = (min(frames), max(frames)) if frames else (0, sys.maxsize)
        with self._file.connect() as connection:
            found = connection.execute(
                "SELECT frame, fingerprint, stage, data, files FROM pseudo_label "
                "WHERE video = ? AND method = ? AND frame BETWEEN ? AND ?",
                (video, method, least, most),
            ).fetchall()
            rows = [
                (frame, fingerprint, as_stage(stage), data, as_files(files))
                for frame, fingerprint, stage, data, files in found
                if frames is None or frame in frames
            ]
        return {
            frame: Record(fingerprint=fingerprint, stage=stage, data=data, is_whole=self._whole(files))
            for frame, fingerprint, stage, data, files in rows
        }

    def is_done(self, video: str, frames: Sequence[int], method: str, fingerprint: str) -> bool:
        """Return whether each of some frames was finished with this fingerprint, and its files are whole."""
        with self._file.connect() as connection:
            found = connection.execute(
                "SELECT frame, files FROM pseudo_label WHERE video = ? AND method = ? AND fingerprint = ?",
                (video, method, fingerprint),
            )
            files = {frame: as_files(of_frame) for frame, of_frame in found}
        return all(frame in files and self._whole(files[frame]) for frame in frames)

    def fingerprints(self, video: str, method: str) -> dict[int, str]:
        """Return what the labels of each finished frame depend on, as hashes by frame."""
        with self._file.connect() as connection:
            found = connection.execute(
                "SELECT frame, fingerprint FROM pseudo_label WHERE video = ? AND method = ? ORDER BY frame",
                (video, method),
            ).fetchall()
        return dict(found)

    def provenances(self, video: str, method: str) -> dict[int, Provenance]:
        """Return where the pseudo-labels of each finished frame come from, by frame; key frames have none."""
        with self._file.connect() as connection:
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
                    stage=as_stage(stage),
                )
                for frame, distance, key_frames, stage in found
            }

    def put(self, *frames: ArrivedFrame) -> None:
        """Put the files of frames, written to where they arrive, in their places, and record them.

        All files of a frame change at once: those who read the folder see either the old ones with the old
        record or the new ones with the new record, whenever the process is killed.
        """
        with self._file.connect() as connection:
            self._note_moved(connection)
            connection.executemany(_NOTE_REPLACED, [one.key for one in frames])
            connection.executemany(INSERT, [self._row(one) for one in frames])
            connection.executemany(
                INSERT_SUMS,
                [
                    row_of_sums(one.video, one.provenance.method, one.frame, one.sums)
                    for one in frames
                    if one.sums is not None
                ],
            )
        self._arriving.move([self._name(path) for one in frames for path in one.files])
        # With the next frames: each transaction waits for the disk.
        self._moved = [one.key for one in frames]

    def _row(self, one: ArrivedFrame) -> tuple[str | int, ...]:
        sizes = {self._name(path): self._arriving.path_of(path).stat().st_size for path in one.files}
        return row_of(
            one.video, one.frame, one.provenance, one.fingerprint, sizes, data=one.data, moving=True
        )

    def settle(self) -> None:
        """Record that all files are in their places, after the last `put`; nothing arrives any more."""
        with self._file.connect() as connection:
            self._note_moved(connection)
        self._moved = []
        self._arriving.remove()

    def _note_moved(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "UPDATE pseudo_label SET moving = 0 WHERE video = ? AND frame = ? AND method = ?", self._moved
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
            files: By frame; they are below the run folder.
        """
        rows = []
        for frame, one in provenances.items():
            sizes = {self._name(path): path.stat().st_size for path in files[frame]}
            rows.append(row_of(video, frame, replace(one, method=method), fingerprint, sizes))
        with self._file.connect() as connection:
            connection.executemany(INSERT, rows)

    def confirm(self, video: str, frame: int, method: str, *, stage: Stage, data: str) -> None:
        """Record that the labels of a frame are also those of another stage, and of which data they are."""
        with self._file.connect() as connection:
            connection.execute(
                "UPDATE pseudo_label SET stage = ?, data = ? WHERE video = ? AND frame = ? AND method = ?",
                (stage, data, video, frame, method),
            )

    def forget_data(self) -> None:
        """Forget what data labels were computed from: those of a later stage may be replaced, too."""
        with self._file.connect() as connection:
            connection.execute("UPDATE pseudo_label SET data = ''")

    def mark_begun(self, video: str, frames: Sequence[int], method: str) -> None:
        """Record that frames are not finished: their files are about to be replaced."""
        keys = [(video, frame, method) for frame in frames]
        with self._file.connect() as connection:
            connection.executemany(_NOTE_REPLACED, keys)
            connection.executemany(
                "DELETE FROM pseudo_label WHERE video = ? AND frame = ? AND method = ?", keys
            )

    def keep_only(self, video: str, frames: Collection[int], method: str) -> None:
        """Delete the records of all other frames of a video than these, and the files of none of these."""
        with self._file.connect() as connection:
            found = connection.execute(
                "SELECT frame, files FROM pseudo_label WHERE video = ? AND method = ?", (video, method)
            ).fetchall()
            replaced = connection.execute(
                "SELECT files FROM replaced WHERE video = ? AND method = ?", (video, method)
            ).fetchall()
            kept = {name for frame, files in found if frame in frames for name in as_files(files)}
            others = {frame: as_files(files) for frame, files in found if frame not in frames}
            old = [as_files(files) for (files,) in replaced]
        for name in {name for files in (*others.values(), *old) for name in files} - kept:
            with writing_errors(self._root / name):
                _delete(self._root / name)
        self.mark_begun(video, list(others), method)
        with self._file.connect() as connection:
            connection.execute("DELETE FROM replaced WHERE video = ? AND method = ?", (video, method))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _whole(self, files: Mapping[str, int]) -> bool:
        """Return whether files have the sizes that were recorded; a cut file is made again."""
        try:
            return all(
                self._arriving.found(self._root / name).stat().st_size == size for name, size in files.items()
            )
        except FileNotFoundError:
            return False


def _delete(path: Path) -> None:
    """Delete a file, and the folders of its video and method if they are empty then."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or not there
        path.parent.rmdir()
        path.parent.parent.rmdir()
