"""Write files atomically: to a draft beside the target, which is then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warprefine.core.errors import RunFolderError, WarpRefineError

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
    """Convert errors of the operating system on writing `path` into a `RunFolderError` with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        raise RunFolderError(f"cannot write {path}: {_REMEDIES[error.errno]}") from error


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


def make_folder(path: Path) -> Path:
    """Create a folder and its parents."""
    with writing_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft to write to, which replaces `path` when the block ends without an error."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing_errors(path):
            yield draft
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Delete the drafts of killed processes below `folder`; those of running processes stay."""
    for draft in folder.rglob(".*.part"):
        writer = draft.name.split(".")[-2]
        if writer.isdecimal() and not _is_another_running_process(int(writer)):
            draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file in UTF-8 atomically."""
    write_bytes(path, content.encode("utf-8"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file byte for byte, atomically."""
    with replacing(target) as draft:
        shutil.copyfile(source, draft)


def _is_another_running_process(pid: int) -> bool:
    # In a container a run often gets the same process id as the killed run before it.
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is running and belongs to another user
    return True
