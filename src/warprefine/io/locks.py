"""Lock a folder or a file, so that two processes never write it at the same time."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from warprefine.core.errors import RunFolderError
from warprefine.io.atomic import lock_of, make_folder, remove_drafts, remove_drafts_of, writing_errors

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
    with _lock(place / _NAME, of=place):
        _held.add(place)
        try:
            remove_drafts(place)
            yield
        finally:
            _held.discard(place)


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Keep other processes from writing a file, or a folder, whose parent is not the program's own.

    What killed processes left half written of it is cleared away.

    Raises:
        RunFolderError: Another process is writing it, or its folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name, locked_file(Path(name) / "split.json"):
        ...     pass  # write it
    """
    make_folder(path.parent)
    lock = lock_of(path)
    with _lock(lock, of=path):
        try:
            remove_drafts_of(path)
            yield
        finally:
            with suppress(OSError):  # the error that ended the block counts
                lock.unlink(missing_ok=True)


@contextmanager
def _lock(path: Path, *, of: Path) -> Iterator[None]:
    with writing_errors(of):
        file = path.open("a+", encoding="utf-8")
    try:
        try:
            supported = _flock(file)
        except BlockingIOError as error:
            raise _in_use(of, file) from error
        if not os.fstat(file.fileno()).st_nlink:  # whoever had it has just deleted it
            raise _in_use(of, file)
        with nullcontext() if supported else _exclusive_file(path, of=of):
            try:
                with writing_errors(of):
                    _write_holder(file)
                yield
            finally:
                with suppress(OSError):  # the error that ended the block counts
                    file.truncate(0)
    finally:
        with suppress(OSError):
            file.close()


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
def _exclusive_file(lock: Path, *, of: Path) -> Iterator[None]:
    """Lock by a file that only one process can create, where the file system has no locks."""
    path = lock.with_name(f"{lock.name}-held")
    try:
        file = path.open("x+", encoding="utf-8")
    except FileExistsError as error:
        with path.open(encoding="utf-8") as held:
            raise _in_use(of, held, remedy=f"; if that process has ended, delete {path}") from error
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


def _in_use(place: Path, file: IO[str], remedy: str = "") -> RunFolderError:
    file.seek(0)
    holder = file.read() or "another process"
    return RunFolderError(
        f"{place} is in use by {holder}; wait until it has ended, or choose another --out{remedy}"
    )
