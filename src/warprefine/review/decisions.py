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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from warprefine.core.errors import ConflictError, RecipeError, RunFolderError
from warprefine.io.atomic import make_folder, writing_errors
from warprefine.io.foreign import reason

Decision: TypeAlias = Literal["", "accepted", "rejected"]
_DECISIONS: tuple[Decision, ...] = get_args(Decision)
_VERSION = 1
_SCHEMA = (
    """CREATE TABLE frame (
    video TEXT NOT NULL, frame INTEGER NOT NULL, version INTEGER NOT NULL, decision TEXT NOT NULL,
    changed REAL NOT NULL, PRIMARY KEY (video, frame))""",
    """CREATE TABLE saving (
    video TEXT NOT NULL, frame INTEGER NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (video, frame))""",
    f"PRAGMA user_version = {_VERSION}",
)


@dataclass(frozen=True, kw_only=True)
class FrameState:
    """What a review has decided on a frame.

    Attributes:
        version: Raised by each change; 0 where there was none.
        decision: "accepted", "rejected" or "".
    """

    version: int = 0
    decision: Decision = ""


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

    Example:
        >>> from tempfile import mkdtemp
        >>> decisions = Decisions(Path(mkdtemp()))
        >>> decisions.decide("drive", 7, "accepted", version=0)
        1
        >>> decisions.of_video("drive")
        {7: FrameState(version=1, decision='accepted')}
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "review" / "review.sqlite"
        make_folder(self._path.parent)
        with self._connect() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA:  # all of them in one transaction, which executescript would end
                    connection.execute(statement)
            elif version != _VERSION:
                raise RunFolderError(
                    f"{self._path} is of version {version}, expected {_VERSION}; use the warprefine "
                    "that wrote it"
                )

    def of_video(self, video: str) -> dict[int, FrameState]:
        """Return the state of each frame of a video that was changed."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT frame, version, decision FROM frame WHERE video = ? ORDER BY frame", (video,)
            ).fetchall()
        return {
            frame: FrameState(version=version, decision=as_decision(word)) for frame, version, word in found
        }

    def of_frame(self, video: str, frame: int) -> FrameState:
        """Return the state of a frame."""
        with self._connect() as connection:
            return _state(connection, video, frame)

    def decide(self, video: str, frame: int, decision: Decision, *, version: int) -> int:
        """Record a decision on a frame; return the new version.

        Args:
            video: The name of the video.
            frame: The number of the frame.
            decision: What is decided; "" takes a decision back.
            version: The version that it is based on.

        Raises:
            ConflictError: The frame has another version by now.
        """
        with self._connect() as connection:
            _check(connection, video, frame, version)
            _put(connection, video, frame, version + 1, decision)
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
            try:
                opened = sqlite3.connect(self._path, timeout=20, isolation_level=None)
                with closing(opened) as connection:  # which may fail as well
                    connection.execute("BEGIN IMMEDIATE")
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
        "SELECT version, decision FROM frame WHERE video = ? AND frame = ?", (video, frame)
    ).fetchone()
    return FrameState() if found is None else FrameState(version=found[0], decision=as_decision(found[1]))


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


def _put(connection: sqlite3.Connection, video: str, frame: int, version: int, decision: Decision) -> None:
    row = (video, frame, version, decision, time.time())
    connection.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?, ?, ?)", row)


def _end(connection: sqlite3.Connection, video: str, frame: int, version: int) -> None:
    """Record that the file of a frame is that of a version; what was decided was about another one."""
    _put(connection, video, frame, version, "")
    connection.execute("DELETE FROM saving WHERE video = ? AND frame = ?", (video, frame))
