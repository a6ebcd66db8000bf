"""Tests of io/locks.py: one process writes into a folder at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from warprefine.core.errors import RunFolderError
from warprefine.io import locks
from warprefine.io.atomic import draft_of, write_text
from warprefine.io.locks import locked, locked_file

HOLDER = """
import sys
from pathlib import Path
from warprefine.io.locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Lock a folder in a process of its own, until the block ends."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_writes_into_is_refused(tmp_path: Path) -> None:
    """The message names the process; once that is killed, the folder is free."""
    with (
        held_by_another_process(tmp_path) as process,
        pytest.raises(RunFolderError, match=f"is in use by process {process.pid} on .*; wait until it has"),
        locked(tmp_path),
    ):
        pass

    with locked(tmp_path):
        pass


def test_a_lock_is_given_back_and_leaves_no_trace_of_its_process(tmp_path: Path) -> None:
    """The same process may lock a folder again, also while it has it, and another folder at the same time."""
    with locked(tmp_path / "new"), locked(tmp_path / "new"), locked(tmp_path / "other"):
        assert str(os.getpid()) in (tmp_path / "new/.warprefine-lock").read_text()
    with locked(tmp_path / "new"):
        pass

    assert (tmp_path / "new/.warprefine-lock").read_bytes() == b""


def test_drafts_of_killed_processes_are_cleared_away(tmp_path: Path) -> None:
    """Files and folders go, at any depth, when a folder is locked; files of the user stay."""
    drafts = [draft_of(tmp_path / "labels/a.png"), draft_of(tmp_path / "b.json")]
    mine = [tmp_path / ".a.1.part", tmp_path / "labels" / ".hidden", tmp_path / "warprefine-draft-1"]
    (tmp_path / "labels").mkdir()
    for path in (*drafts, *mine):
        path.touch()
    folder = draft_of(tmp_path / "clip")
    (folder / "frames").mkdir(parents=True)

    with locked(tmp_path):
        assert not any(path.exists() for path in (*drafts, folder))

    assert all(path.exists() for path in mine)


def without_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_file_system_without_locks_is_locked_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network file systems may lack flock: a file that only one process can create takes its place."""
    monkeypatch.setattr("fcntl.flock", without_locks)
    held = tmp_path / ".warprefine-lock-held"
    with locked(tmp_path):
        assert str(os.getpid()) in held.read_text()
        monkeypatch.setattr(locks, "_held", set())  # as another process
        with (
            pytest.raises(RunFolderError, match=r"if that process has ended, delete .*lock-held$"),
            locked(tmp_path),
        ):
            pass

    assert not held.exists()


def test_an_error_is_told_where_the_lock_cannot_be_given_back_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses one file refuses the next one too; the first is what counts."""
    files: list[IO[str]] = []
    take = locks._flock

    def remember(file: IO[str]) -> bool:
        files.append(file)
        return take(file)

    def fail() -> None:
        os.close(files[0].fileno())  # from now on the system refuses whatever is done with it
        raise RunFolderError("the first")

    monkeypatch.setattr(locks, "_flock", remember)
    with pytest.raises(RunFolderError, match="the first"), locked(tmp_path):
        fail()


def test_a_file_of_a_common_folder_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Nothing but the file is left beside it, whoever was killed before; drafts of others stay."""
    path, other = tmp_path / "split.json", draft_of(tmp_path / "other.json")
    for left in (draft_of(path), other):
        left.touch()

    with locked_file(path):
        write_text(path, "{}")
        with pytest.raises(
            RunFolderError, match=rf"split.json is in use by process {os.getpid()} on .*; wait"
        ):
            locked_file(path).__enter__()

    assert sorted(entry.name for entry in tmp_path.iterdir()) == [other.name, "split.json"]
