"""Lock a folder, so that two processes never write into it at the same time."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import make_folder, remove_drafts, writing_errors

if sys.platform != "win32":
    import fcntl

_NAME = ".warprefine-lock"
_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_held: set[Path] = set()
"""Folders that this process has locked."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder; what killed ones left half written is cleared away.

    The folder is made if it is not there. Within a locked folder the same process may lock it again.

    Raises:
        RunFolderError: Another process has locked it, or it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name, locked(Path(name)):
        ...     pass  # write
    """
    place = make_folder(folder).resolve()
    if place in _held:
        yield
        return
    with _lock(place):
        _held.add(place)
        try:
            remove_drafts(place)
            yield
        finally:
            _held.discard(place)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    path = folder / _NAME
    with writing_errors(path):
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            supported = _flock(file)
        except BlockingIOError as error:
            raise _in_use(folder, file) from error
        with nullcontext() if supported else _exclusive_file(folder):
            _write_holder(file)
            try:
                yield
            finally:
                file.truncate(0)


def _flock(file: IO[str]) -> bool:
    """Lock a file for this process; return whether its file system has locks.

    Raises:
        BlockingIOError: Another process has locked it.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


@contextmanager
def _exclusive_file(folder: Path) -> Iterator[None]:
    """Lock by a file that only one process can create, where the file system has no locks."""
    path = folder / f"{_NAME}-held"
    try:
        file = path.open("x+", encoding="utf-8")
    except FileExistsError as error:
        with path.open(encoding="utf-8") as held:
            raise _in_use(folder, held, remedy=f"; if that process has ended, delete {path}") from error
    try:
        with file:
            _write_holder(file)
        yield
    finally:
        path.unlink(missing_ok=True)


def _write_holder(file: IO[str]) -> None:
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()


def _in_use(folder: Path, file: IO[str], remedy: str = "") -> RunFolderError:
    file.seek(0)
    holder = file.read() or "another process"
    return RunFolderError(
        f"{folder} is in use by {holder}; wait until it has ended, or choose another folder{remedy}"
    )
