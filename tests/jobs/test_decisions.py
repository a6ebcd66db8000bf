"""Tests of jobs/decisions.py: versions, conflicts, and real kills in the middle of a save."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from warprefine.core.errors import ConflictError, RecipeError, RunFolderError
from warprefine.jobs.decisions import DecidedLabels, Decisions, FrameState, as_decision

# Saves versions 1, 2, 3, ..., each with a file that holds its number, until it is killed.
KILLED_AT_RANDOM = """
import os, random, signal, sys, time
from pathlib import Path
from warprefine.io.atomic import write_beside_lock
from warprefine.jobs.decisions import Decisions

root = Path(sys.argv[1])
file = root / "file"

def content():
    return file.read_text() if file.exists() else "0"

def save_on():
    decisions = Decisions(root)
    version = decisions.of_frame("drive", 7).version
    while True:
        new = str(version + 1)
        decisions.save("drive", 7, version=version, digest=new,
                       write=lambda: write_beside_lock(file, new.encode()))
        version += 1

for seed in range(30):
    child = os.fork()
    if not child:
        save_on()
    before = content()
    while content() == before:  # at least one save is done
        time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    decisions = Decisions(root)
    decisions.recover(lambda video, frame: content())
    version = decisions.of_frame("drive", 7).version
    assert content() == str(version), (content(), version)
    print(version, flush=True)
"""
KILLED_AT = """
import os, signal, sys
from pathlib import Path
from warprefine.jobs.decisions import Decisions

root, when = Path(sys.argv[1]), sys.argv[2]

def write():
    if when == "after":
        (root / "file").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)

Decisions(root).save("drive", 7, version=1, digest="new", write=write)
"""


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    """Decisions of a run without any."""
    return Decisions(tmp_path)


def test_each_change_raises_the_version(decisions: Decisions, tmp_path: Path) -> None:
    """Decisions and corrections are counted together, and are there when the run is opened again."""
    assert decisions.of_frame("drive", 7) == FrameState()
    assert decisions.decide("drive", 7, "accepted", version=0) == 1
    assert decisions.decide("drive", 7, "rejected", version=1) == 2
    assert decisions.of_frame("drive", 7) == FrameState(version=2, decision="rejected")
    assert decisions.save("drive", 7, version=2, digest="new", write=lambda: None) == 3

    again = Decisions(tmp_path)
    assert again.of_video("drive") == {7: FrameState(version=3)}
    assert again.of_video("walk") == {}


def test_nobody_overwrites_what_another_has_saved(decisions: Decisions) -> None:
    """A change that is based on an older version is refused, with the version that there is."""
    written = []
    decisions.decide("drive", 7, "accepted", version=0)

    with pytest.raises(
        ConflictError, match=r"was changed meanwhile.* it has version 1, .* version 0"
    ) as conflict:
        decisions.decide("drive", 7, "rejected", version=0)
    assert conflict.value.version == 1
    with pytest.raises(ConflictError):
        decisions.save("drive", 7, version=0, digest="new", write=lambda: written.append(1))
    assert written == []
    assert decisions.of_frame("drive", 7) == FrameState(version=1, decision="accepted")


def test_of_changes_at_the_same_time_one_wins(decisions: Decisions) -> None:
    """Of twenty threads that save over the same version one does, the others are told."""
    outcomes: list[str] = []

    def save() -> None:
        try:
            decisions.save("drive", 7, version=0, digest="new", write=lambda: None)
            outcomes.append("saved")
        except ConflictError:
            outcomes.append("refused")

    threads = [threading.Thread(target=save) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused"] * 19 + ["saved"]


def test_what_cannot_be_written_is_not_recorded(decisions: Decisions) -> None:
    """After an error of the disk the frame has the version that it had, and can be saved again."""

    def fail() -> None:
        raise RunFolderError("the disk is full")

    with pytest.raises(RunFolderError, match="the disk is full"):
        decisions.save("drive", 7, version=0, digest="new", write=fail)
    assert decisions.of_frame("drive", 7) == FrameState()
    assert decisions.save("drive", 7, version=0, digest="new", write=lambda: None) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(("when", "state"), [("before", (1, "accepted")), ("after", (2, ""))])
def test_a_kill_beside_the_replacement_leaves_the_old_or_the_new(
    decisions: Decisions, tmp_path: Path, when: str, state: tuple[int, str]
) -> None:
    """Killed before the file is replaced: all is old. Killed after it: all is new."""
    (tmp_path / "file").write_text("old")
    decisions.decide("drive", 7, "accepted", version=0)
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, str(tmp_path), when], check=False)

    again = Decisions(tmp_path)
    again.recover(lambda video, frame: (tmp_path / "file").read_text())

    assert killed.returncode == -signal.SIGKILL
    assert again.of_frame("drive", 7) == FrameState(version=state[0], decision=as_decision(state[1]))
    assert again.decide("drive", 7, "rejected", version=state[0]) == state[0] + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_kills_at_any_moment_leave_the_old_or_the_new(tmp_path: Path) -> None:
    """After each of thirty kills in the middle of saves the file is that of the version."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_RANDOM, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    versions = [int(line) for line in done.stdout.split()]
    assert len(versions) == 30
    assert versions == sorted({*versions})


def test_decisions_have_names() -> None:
    """A word that is no decision is refused."""
    with pytest.raises(RecipeError, match="the decision 'maybe' is unknown; expected accepted, rejected"):
        as_decision("maybe")


def test_damaged_and_newer_files_are_named(tmp_path: Path) -> None:
    """A file that is no database, or of a version that is not known, is named with what to do."""
    (tmp_path / "review").mkdir()
    path = tmp_path / "review" / "review.sqlite"
    path.write_bytes(b"no database, whatever its name is" * 100)
    with pytest.raises(
        RunFolderError, match=r"cannot use .*review\.sqlite: .*; if it is damaged, move it away"
    ):
        Decisions(tmp_path)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(RunFolderError, match="is of version 9, expected 2; use the warprefine that wrote it"):
        Decisions(tmp_path)


def of_version_1(root: Path) -> None:
    """Make the file of an earlier version, in which frame 7 is accepted."""
    (root / "review").mkdir()
    with closing(sqlite3.connect(root / "review/review.sqlite")) as connection:
        connection.executescript(
            """CREATE TABLE frame (
            video TEXT NOT NULL, frame INTEGER NOT NULL, version INTEGER NOT NULL, decision TEXT NOT NULL,
            changed REAL NOT NULL, PRIMARY KEY (video, frame));
            CREATE TABLE saving (
            video TEXT NOT NULL, frame INTEGER NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
            PRIMARY KEY (video, frame));
            INSERT INTO frame VALUES ('drive', 7, 3, 'accepted', 1e9);
            PRAGMA user_version = 1;"""
        )


def test_decisions_of_an_earlier_version_stay(tmp_path: Path) -> None:
    """It did not record which labels they are about; new ones do, in the same file."""
    of_version_1(tmp_path)
    known = FrameState(version=3, decision="accepted")
    assert Decisions(tmp_path, read_only=True).of_video("drive") == {7: known}

    decisions, labels = Decisions(tmp_path), DecidedLabels(fingerprint="f", digest="d")
    decisions.decide("drive", 8, "rejected", version=0, labels=labels)

    assert decisions.of_video("drive") == {
        7: known,
        8: FrameState(version=1, decision="rejected", labels=labels),
    }


def test_a_run_that_nobody_has_reviewed_has_no_decisions(tmp_path: Path) -> None:
    """Whoever only reads writes nothing into the folder."""
    assert Decisions(tmp_path, read_only=True).of_video("drive") == {}
    assert list(tmp_path.iterdir()) == []
