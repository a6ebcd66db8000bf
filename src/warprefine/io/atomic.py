"""Write files whole or not at all: beside their place first, then renamed into it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warprefine.core.errors import RunFolderError

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again, it goes on from there",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "writing is not allowed there; choose another folder or change its permissions",
    errno.EPERM: "writing is not allowed there; choose another folder or change its permissions",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, expected a folder; choose another folder",
    errno.EEXIST: "there is a file of that name, expected a folder; choose another folder",
    errno.EISDIR: "there is a folder of that name, expected a file; move it away or choose another folder",
}


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write `path` into one line with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        raise RunFolderError(f"cannot write {path}: {_REMEDIES[error.errno]}") from error


def make_folder(path: Path) -> Path:
    """Make a folder and its parents."""
    with writing_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `path` when the block ends without an error."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing_errors(path):
            yield draft
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Delete what killed processes left half-written below `folder`; drafts of running ones stay."""
    for draft in folder.rglob(".*.part"):
        writer = draft.name.split(".")[-2]
        if writer.isdecimal() and not _is_another_running_process(int(writer)):
            draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file, UTF-8, whole or not at all."""
    write_bytes(path, content.encode("utf-8"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file byte for byte, whole or not at all."""
    with replacing(target) as draft:
        shutil.copyfile(source, draft)


def _is_another_running_process(number: int) -> bool:
    # In a container a run often gets the very number that its killed forerunner had.
    if number == os.getpid():
        return False
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs, for somebody else
    return True
