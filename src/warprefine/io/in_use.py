"""Mark the files of a mirror that processes of this machine read, so that none makes them hollow meanwhile.

Marks are locks of open files, which end with the process that has them, however it ends.
"""

from __future__ import annotations

import os
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warprefine.io.atomic import lock_of, writing_errors

if sys.platform != "win32":
    import fcntl

_COPYING = 64
"""Locks for files that are being copied; files that share one are copied one after the other."""


class FilesInUse:
    """The files of a mirror that several processes use.

    Args:
        root: The folder of the mirror.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[int, int] = {}

    @contextmanager
    def copying(self, name: str) -> Iterator[None]:
        """Keep other processes from copying a file from the storage."""
        lock = lock_of(self._root.parent / f"copying-{zlib.crc32(name.encode()) % _COPYING}")
        with writing_errors(lock), lock.open("ab") as file:
            _lock(file.fileno())
            yield

    def hold(self, path: Path) -> bool:
        """Mark a file as read by this thread until it holds another one.

        Returns:
            Whether that was possible; if not, another process has just made the file hollow.
        """
        thread = threading.get_ident()
        if (before := self._held.pop(thread, None)) is not None:
            os.close(before)
        try:
            file = os.open(path, os.O_RDONLY)
        except PermissionError:
            return path.stat().st_mode & 0o777 != 0  # if it is not hollow, whoever opens it reports that
        except FileNotFoundError:
            return True  # as above
        _lock(file, shared=True)
        found, now = os.fstat(file), path.stat()
        if found.st_ino != now.st_ino or now.st_mode & 0o777 == 0:
            os.close(file)
            return False
        self._held[thread] = file
        return True

    @contextmanager
    def unread(self, path: Path) -> Iterator[bool]:
        """Yield whether no process reads a file, and keep those from it that are about to read it."""
        try:
            file = os.open(path, os.O_RDONLY)
        except (PermissionError, FileNotFoundError):  # it is hollow, or gone
            yield True
            return
        try:
            is_alone = _lock(file, wait=False)
            yield is_alone and os.fstat(file).st_ino == path.stat().st_ino  # else it was copied again since
        finally:
            os.close(file)


def _lock(file: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Lock a file; return False for those that do not wait if another process has locked it."""
    if sys.platform == "win32":
        return True
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks, on which a mirror's bound is no promise
        return True
    return True
