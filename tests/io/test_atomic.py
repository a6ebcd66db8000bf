"""Tests of io/atomic.py: a file is there whole, or as it was before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from warprefine.core.errors import LabelError, RunFolderError
from warprefine.io.atomic import (
    DRAFT_HOURS,
    copy_file,
    draft_of,
    lock_of,
    make_folder,
    reading_errors,
    remove_drafts,
    remove_old_drafts,
    remove_unsaved,
    replacing,
    write_beside_lock,
    write_bytes,
    write_text,
    writing_errors,
)

REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "writing is not allowed there; choose another folder or change its permissions",
    errno.EPERM: "writing is not allowed there; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    """Folders on the way are made, bytes and text arrive as they are, and nothing else is left."""
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"\x00\xff")
    write_text(tmp_path / "a" / "b" / "d.txt", "τ = 0.1\n")

    assert (tmp_path / "a/b/c.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "a/b/d.txt").read_bytes() == "τ = 0.1\n".encode()
    assert names_in(tmp_path / "a/b") == ["c.bin", "d.txt"]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """Whoever reads while a file is written reads the old one."""
    path = tmp_path / "file"
    write_text(path, "old")

    with replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
        assert draft.parent == path.parent

    assert path.read_text() == "new"


def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    """A write that breaks off leaves no trace, whatever broke it."""
    path = tmp_path / "file"
    write_text(path, "old")

    def break_off() -> None:
        with replacing(path) as draft:
            draft.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()

    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_two_writers_do_not_share_a_draft(tmp_path: Path) -> None:
    """Each writes beside the file under a name of its own, also in containers with equal process numbers."""
    with replacing(tmp_path / "file") as mine, replacing(tmp_path / "file") as another:
        mine.write_text("first")
        another.write_text("last")
        assert mine.parent == another.parent == tmp_path
        assert mine.name != another.name

    assert names_in(tmp_path) == ["file"]


def test_a_draft_has_a_short_name(tmp_path: Path) -> None:
    """Files may have names as long as the file system allows."""
    path = tmp_path / ("a" * 251 + ".png")

    write_bytes(path, b"content")

    assert path.read_bytes() == b"content"


def test_a_copy_is_the_same_bytes(tmp_path: Path) -> None:
    """A copy equals its source byte for byte."""
    write_bytes(tmp_path / "source", bytes(range(256)))

    copy_file(tmp_path / "source", tmp_path / "elsewhere" / "target")

    assert (tmp_path / "elsewhere/target").read_bytes() == bytes(range(256))


@pytest.mark.parametrize("number", sorted(REMEDIES))
def test_a_refusal_to_write_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """When the disk refuses, one line names the file and the remedy, and the old file stands."""
    path = tmp_path / "file"
    write_text(path, "old")

    def refuse(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(RunFolderError, match=f"cannot write {path}: {REMEDIES[number]}") as caught:
        write_bytes(path, b"new")

    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_a_full_disk_is_told() -> None:
    """A device without any space left says so in one line."""
    with (
        pytest.raises(RunFolderError, match="cannot write /dev/full: the disk is full"),
        writing_errors(Path("/dev/full")),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_any_refusal_of_the_system_is_one_line(tmp_path: Path) -> None:
    """What has no remedy of its own is told in the words of the system."""
    with (
        pytest.raises(RunFolderError, match=r"cannot write .*: Input/output error; check the disk, then run"),
        writing_errors(tmp_path),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(RunFolderError, match="the name is too long for the file system"):
        write_bytes(tmp_path / ("a" * 300), b"content")


def test_a_file_that_cannot_be_read_is_told_in_the_words_of_its_reader(tmp_path: Path) -> None:
    """The error is of the class that the reader raises."""
    with (
        pytest.raises(LabelError, match=r"there is no file .*gone"),
        reading_errors(tmp_path / "gone", LabelError),
    ):
        (tmp_path / "gone").read_bytes()
    with (
        pytest.raises(LabelError, match=r"cannot read .*: Is a directory"),
        reading_errors(tmp_path, LabelError),
    ):
        tmp_path.read_bytes()


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    """A folder cannot be made where a file lies, nor below it."""
    write_text(tmp_path / "file", "")

    with pytest.raises(RunFolderError, match=r"file: there is a file of that name, expected a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(RunFolderError, match=r"below: a part of the path is a file, expected a folder"):
        make_folder(tmp_path / "file" / "below")


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    """A file cannot be written where a folder lies."""
    make_folder(tmp_path / "folder")

    with pytest.raises(RunFolderError, match="folder: there is a folder of that name, expected a file"):
        write_text(tmp_path / "folder", "content")

    assert names_in(tmp_path) == ["folder"]


def test_a_folder_may_be_there_already(tmp_path: Path) -> None:
    """Making a folder twice is no mistake."""
    assert make_folder(make_folder(tmp_path / "a" / "b")) == tmp_path / "a/b"


def test_old_drafts_are_removed_from_a_folder_that_others_write_into(tmp_path: Path) -> None:
    """What nobody has written to for hours was left by a killed process; all else stays."""
    old, new = draft_of(tmp_path / "flow/dis/a.bin"), draft_of(tmp_path / "flow/dis/a.bin")
    folder = draft_of(tmp_path / "converted")
    whole, inside, lock = tmp_path / "flow/a.bin", folder / "a.png", lock_of(tmp_path / "split.json")
    held = lock.with_name(f"{lock.name}-held")
    for path in (old, new, whole, inside, lock, held):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    by_clock = new.stat().st_mtime
    for path in (old, whole, inside, lock, held, folder):
        os.utime(path, (by_clock - 3600 * DRAFT_HOURS - 60,) * 2)
    os.utime(new, (by_clock - 3600 * DRAFT_HOURS + 600,) * 2)

    remove_old_drafts(tmp_path)

    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {new, whole, inside, lock, held}


def test_an_old_draft_that_another_process_removes_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that begin at once may find the same draft."""
    draft = draft_of(tmp_path / "a.bin")
    draft.touch()
    os.utime(draft, (0, 0))
    unlink = Path.unlink

    def removed_before(path: Path, *, missing_ok: bool = False) -> None:
        unlink(path)
        if path == draft:
            unlink(path)

    monkeypatch.setattr(Path, "unlink", removed_before)
    remove_old_drafts(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_while_another_process_clears_drafts_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever locks the folder meanwhile deletes its drafts, and not this one."""
    replace = Path.replace

    def cleared_before(path: Path, target: Path) -> Path:
        remove_drafts(tmp_path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", cleared_before)
    write_beside_lock(tmp_path / "folder" / "a.bin", b"new")

    assert (tmp_path / "folder" / "a.bin").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a.bin"]


def test_what_a_killed_process_left_beside_a_lock_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is as it was, and the half-written one is deleted when nobody writes."""
    write_bytes(tmp_path / "a.bin", b"old")

    def killed(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_beside_lock(tmp_path / "a.bin", b"new")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2

    remove_unsaved(tmp_path)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_what_cannot_be_written_beside_a_lock_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(RunFolderError, match=r"cannot write .*folder: there is a folder of that name"):
        write_beside_lock(tmp_path / "folder", b"new")


def test_a_url_does_not_become_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that cannot write to a URL does not make a folder `s3:` instead."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(RunFolderError, match="is a URL, which this command cannot write to"):
        make_folder(Path("s3://bucket/run"))
    assert [*tmp_path.iterdir()] == []
