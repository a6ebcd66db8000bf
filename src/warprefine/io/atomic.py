"""Write files atomically: to a draft beside the target, which is then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from warprefine.core.errors import RunFolderError, WarpRefineError
from warprefine.io.places import at_hand, lost_url

_OWN = ".warprefine-"
"""Begins the names of drafts and locks."""
_DRAFT = ".warprefine-draft-"
"""Begins the names of files and folders that are being written."""
_UNSAVED = ".warprefine-unsaved-"
"""Begins the names of files that are written beside a lock, see `write_beside_lock`."""
_LOCKS = (".lock", ".lock-held")
"""End the names of files that are locked while a file is written, see `lock_of`."""
DRAFT_HOURS = 6
"""Age of a draft that no process writes to any more; one of a file in a cache is written within seconds."""
_OTHER_REMEDY = "check the disk, then run the same command again, it goes on from there"
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again, it goes on from there",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "writing is not allowed there; choose another folder or change its permissions",
    errno.EPERM: "writing is not allowed there; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, expected a folder; choose another folder",
    errno.EEXIST: "there is a file of that name, expected a folder; choose another folder",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
    errno.EISDIR: "there is a folder of that name, expected a file; move it away or choose another folder",
}


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Convert errors of the operating system on writing `path` into a `RunFolderError` with a remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}; {_OTHER_REMEDY}")
        raise RunFolderError(f"cannot write {path}: {remedy}") from error


@contextmanager
def reading_errors(path: Path, error_class: type[WarpRefineError]) -> Iterator[None]:
    """Convert errors of the operating system on reading `path` into an error of the library."""
    try:
        yield
    except FileNotFoundError as error:
        raise error_class(f"there is no file {path}; expected it where the data set has it") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise error_class(
            f"cannot read {path}: {reason}; expected a file that can be read; check that it is there and "
            "its permissions"
        ) from error


def is_draft(name: str) -> bool:
    """Return whether a file of this name is being written, is a lock, or is left by a killed process."""
    return Path(name).name.startswith(_OWN)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; a path that was a URL before it was made a path is refused."""
    if url := lost_url(path):
        raise RunFolderError(
            f"{url} is a URL, which this command cannot write to; expected a folder (or, for commands that "
            "write to URLs, one with bucket and folder, such as s3://bucket/run)"
        )
    with writing_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def draft_of(path: Path) -> Path:
    """Return a new name beside `path` for what becomes `path` once it is whole."""
    return path.with_name(f"{_begin_of_drafts(path)}-{secrets.token_hex(8)}")


def lock_of(path: Path) -> Path:
    """Return the name of a file beside `path` that is locked while `path` is written; a draft too."""
    return path.with_name(f"{_begin_of_drafts(path)}.lock")


def _begin_of_drafts(path: Path) -> str:
    """Return how the names of all drafts of `path` begin; short, however long its own name is."""
    return _DRAFT + hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield the path of a draft to write to, which replaces `path` when the block ends without an error.

    Args:
        path: The file.
        durable: Wait until the content is on the disk, so that a power failure leaves the old file or the
            new one, but never an empty one.
    """
    make_folder(path.parent)
    draft = draft_of(path)
    try:
        with writing_errors(path):
            yield draft
            if durable:
                with draft.open("rb") as file:
                    os.fsync(file.fileno())
            draft.replace(path)
    finally:
        with suppress(OSError):  # the error that ended the block counts
            draft.unlink(missing_ok=True)


def temporary_file(folder: Path) -> BinaryIO:
    """Return a file to write and read that has no name in `folder`: it is gone once it is closed.

    It is also gone when the process is killed, and no other process finds it. It is not buffered.
    """
    make_folder(folder)
    with writing_errors(folder):
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder, prefix=_DRAFT, buffering=0))


def remove_drafts(folder: Path) -> None:
    """Delete the drafts of killed processes below `folder`, which no other process may be writing into."""
    for draft in folder.rglob(f"{_DRAFT}*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def remove_old_drafts(folder: Path) -> None:
    """Delete drafts of killed processes below a folder that other processes may be writing into.

    These are the files that nobody has written to for `DRAFT_HOURS`, by the clock of the file system. Folders
    that are drafts stay: when the last file in them was written says nothing about them.

    Raises:
        RunFolderError: The folder cannot be written.
    """
    probe = draft_of(folder / "clock")
    with writing_errors(folder):
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink(missing_ok=True)
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith(_DRAFT) and not name.endswith(_LOCKS):
                draft = Path(place, name)
                with suppress(OSError):  # another process removes it too, or it is not ours to remove
                    if now - draft.stat(follow_symlinks=False).st_mtime > DRAFT_HOURS * 3600:
                        draft.unlink()


def remove_drafts_of(path: Path) -> None:
    """Delete the drafts of killed processes of one file or folder, which no other process may be writing."""
    for draft in path.parent.glob(f"{_begin_of_drafts(path)}-*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file atomically; the arguments are those of `replacing`."""
    with replacing(path, durable=durable) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file in UTF-8 atomically."""
    write_bytes(path, content.encode("utf-8"))


def write_beside_lock(path: Path, content: bytes) -> None:
    """Write a file atomically and durably into a folder that another process may lock meanwhile.

    Whoever locks a folder deletes all drafts in it, see `remove_drafts`, but not this one. What a killed
    process leaves of it is deleted by `remove_unsaved`.
    """
    make_folder(path.parent)
    draft = path.with_name(f"{_UNSAVED}{secrets.token_hex(8)}")
    try:
        with writing_errors(path):
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
    finally:
        with suppress(OSError):  # the error that ended the block counts
            draft.unlink(missing_ok=True)


def remove_unsaved(folder: Path) -> None:
    """Delete what killed processes left of `write_beside_lock` below `folder`; no other may be writing it."""
    for draft in folder.rglob(f"{_UNSAVED}*"):
        draft.unlink(missing_ok=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file byte for byte, atomically."""
    with replacing(target) as draft:
        shutil.copyfile(at_hand(source), draft)
