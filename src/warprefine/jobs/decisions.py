"""The decisions of a review, in RUN/review/review.sqlite: accepted, rejected, corrected, with versions.

A frame has a version, which each change raises. Who changes it names the version that the change is based on,
so that nobody overwrites unseen what another has saved.

A correction is a file beside this table. What is about to be written is recorded first, by its hash; the
file's replacement decides. After a kill, `recover` finds either file in place and ends or drops the change:
frame, version and file are the old ones or the new ones.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from warprefine.core.errors import ConflictError, RecipeError, RunFolderError
from warprefine.io.atomic import make_folder, writing_errors
from warprefine.io.foreign import reason
from warprefine.io.places import at_hand

Decision: TypeAlias = Literal["", "accepted", "rejected"]
_DECISIONS: tuple[Decision, ...] = get_args(Decision)
_VERSION = 2
_DECIDED_ON = (
    "ALTER TABLE frame ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE frame ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
    f"PRAGMA user_version = {_VERSION}",
)
"""What version 2 added to version 1: the labels that were decided on."""
_SCHEMA = (
    """CREATE TABLE frame (
    video TEXT NOT NULL, frame INTEGER NOT NULL, version INTEGER NOT NULL, decision TEXT NOT NULL,
    changed REAL NOT NULL, PRIMARY KEY (video, frame))""",
    """CREATE TABLE saving (
    video TEXT NOT NULL, frame INTEGER NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (video, frame))""",
    *_DECIDED_ON,
)
_CHANGES = {0: _SCHEMA, 1: _DECIDED_ON}
"""By the version of a file, what makes one of this version of it."""


@dataclass(frozen=True, kw_only=True)
class DecidedLabels:
    """The labels that a decision is about.

    Attributes:
        fingerprint: What the manifest had of all that they depend on; "" where it had no record.
        digest: A hash of the label map, "none" where there was none; "" where it is not known.
    """

    fingerprint: str = ""
    digest: str = ""


_UNKNOWN = DecidedLabels()


@dataclass(frozen=True, kw_only=True)
class FrameState:
    """What a review has decided on a frame.

    Attributes:
        version: Raised by each change; 0 where there was none.
        decision: "accepted", "rejected" or "".
        labels: The labels that were decided on; without hashes where an earlier version recorded none.
    """

    version: int = 0
    decision: Decision = ""
    labels: DecidedLabels = _UNKNOWN


def as_decision(word: object) -> Decision:
    """Return a decision by its name.

    Raises:
        RecipeError: There is none of that name.

    Example:
        >>> as_decision("accepted")
        'accepted'
    """
    found = next((one for one in _DECISIONS if one == word), None)
    if found is None:
        raise RecipeError(f"the decision {str(word)[:40]!r} is unknown; expected accepted, rejected or none")
    return found


class Decisions:
    """The decisions of the review of a run.

    Args:
        root: The run folder.
        read_only: Write nothing; there need not be any decision.

    Example:
        >>> from tempfile import mkdtemp
        >>> decisions = Decisions(Path(mkdtemp()))
        >>> decisions.decide("drive", 7, "accepted", version=0)
        1
        >>> decisions.of_video("drive")[7].decision
        'accepted'
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self._path, self._read_only = root / "review" / "review.sqlite", read_only
        if read_only:
            return
        make_folder(self._path.parent)
        with self._connect() as connection:
            for statement in _CHANGES.get(self._version(connection), ()):
                connection.execute(statement)  # all in one transaction, which executescript would end

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (_VERSION, *_CHANGES):
            raise RunFolderError(
                f"{self._path} is of version {version}, expected {_VERSION}; use the warprefine that wrote it"
            )
        return version

    def of_video(self, video: str) -> dict[int, FrameState]:
        """Return the state of each frame of a video that was changed."""
        if self._read_only and not self._path.exists():
            return {}
        with self._connect() as connection:
            version = self._version(connection)
            if version == 0:
                return {}
            found = connection.execute(
                "SELECT * FROM frame WHERE video = ? ORDER BY frame", (video,)
            ).fetchall()
        return {
            frame: _state_of((of_frame, word, *(labels or ("", ""))))
            for _, frame, of_frame, word, _, *labels in found
        }

    def of_frame(self, video: str, frame: int) -> FrameState:
        """Return the state of a frame."""
        with self._connect() as connection:
            return _state(connection, video, frame)

    def decide(
        self,
        video: str,
        frame: int,
        decision: Decision,
        *,
        version: int,
        labels: DecidedLabels = _UNKNOWN,
    ) -> int:
        """Record a decision on a frame; return the new version.

        Args:
            video: The name of the video.
            frame: The number of the frame.
            decision: What is decided; "" takes a decision back.
            version: The version that it is based on.
            labels: The labels that it is about.

        Raises:
            ConflictError: The frame has another version by now.
        """
        with self._connect() as connection:
            _check(connection, video, frame, version)
            _put(connection, video, frame, FrameState(version=version + 1, decision=decision, labels=labels))
        return version + 1

    def save(self, video: str, frame: int, *, version: int, digest: str, write: Callable[[], None]) -> int:
        """Change a file of a frame and its version, both or none; the decision on it is taken back.

        Args:
            video: The name of the video.
            frame: The number of the frame.
            version: The version that the change is based on.
            digest: Identifies the content of the file once it is written; "" where there is none.
            write: Replaces the file.

        Raises:
            ConflictError: The frame has another version by now.
        """
        with self._connect() as connection:
            _check(connection, video, frame, version)
            connection.execute(
                "INSERT OR REPLACE INTO saving VALUES (?, ?, ?, ?)", (video, frame, version + 1, digest)
            )
        try:
            write()
        except BaseException:
            with self._connect() as connection:
                connection.execute("DELETE FROM saving WHERE video = ? AND frame = ?", (video, frame))
            raise
        with self._connect() as connection:
            _end(connection, video, frame, version + 1)
        return version + 1

    def recover(self, digest_of: Callable[[str, int], str]) -> None:
        """End or drop what a killed process was saving; no other process may be saving.

        Args:
            digest_of: Returns what identifies the content of the file of a frame of a video.
        """
        with self._connect() as connection:
            for video, frame, version, digest in connection.execute("SELECT * FROM saving").fetchall():
                if digest_of(video, frame) == digest:
                    _end(connection, video, frame, version)
            connection.execute("DELETE FROM saving")

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction, which no other writer can interrupt."""
        with writing_errors(self._path):
            place = f"{at_hand(self._path).absolute().as_uri()}?mode={'ro' if self._read_only else 'rwc'}"
            try:
                opened = sqlite3.connect(place, timeout=20, isolation_level=None, uri=True)
                with closing(opened) as connection:  # which may fail as well
                    connection.execute("BEGIN" if self._read_only else "BEGIN IMMEDIATE")
                    yield connection
                    if connection.in_transaction:
                        connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise RunFolderError(
                    f"cannot use {self._path}: {reason(error)}; if it is damaged, move it away: decisions "
                    "are lost with it, corrections are not"
                ) from error


def _state(connection: sqlite3.Connection, video: str, frame: int) -> FrameState:
    found = connection.execute(
        "SELECT version, decision, fingerprint, digest FROM frame WHERE video = ? AND frame = ?",
        (video, frame),
    ).fetchone()
    return FrameState() if found is None else _state_of(found)


def _state_of(row: Sequence[Any]) -> FrameState:
    version, word, fingerprint, digest = row
    labels = DecidedLabels(fingerprint=fingerprint, digest=digest)
    return FrameState(version=version, decision=as_decision(word), labels=labels)


def _check(connection: sqlite3.Connection, video: str, frame: int, version: int) -> None:
    now = _state(connection, video, frame).version
    saving = connection.execute(
        "SELECT version FROM saving WHERE video = ? AND frame = ?", (video, frame)
    ).fetchone()
    now = now if saving is None else saving[0]
    if now != version:
        raise ConflictError(
            f"frame {frame} of {video} was changed meanwhile, in another tab perhaps: it has version {now}, "
            f"and this change is based on version {version}; look at it and save again",
            version=now,
        )


def _put(connection: sqlite3.Connection, video: str, frame: int, state: FrameState) -> None:
    labels = state.labels
    row = (video, frame, state.version, state.decision, time.time(), labels.fingerprint, labels.digest)
    connection.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _end(connection: sqlite3.Connection, video: str, frame: int, version: int) -> None:
    """Record that the file of a frame is that of a version; what was decided was about another one."""
    _put(connection, video, frame, FrameState(version=version))
    connection.execute("DELETE FROM saving WHERE video = ? AND frame = ?", (video, frame))
