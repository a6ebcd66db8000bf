"""Bound what a cache takes on disk: the files written first are deleted first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SUFFIX = ".bin"
"""How the names of files of a cache end, whole ones; drafts, and what is not of a cache, are left alone."""
_LEFT = 0.9
"""Share of the limit that is left after files were deleted: all of them are looked at each time."""


class CacheLimit:
    """Deletes the oldest files of a cache when there are too many bytes of them.

    Other processes may write and delete files of the same cache; each of them has a limit of its own. The
    size between two deletions is what this process has found and added since, so that files of others may
    exceed it for a while. Copies in other processes begin by looking at the files anew.

    Args:
        root: The folder of the cache.
        largest: Bytes of all its files together.
    """

    def __init__(self, root: Path, largest: int) -> None:
        self._root, self._largest = root, largest
        self._lock = threading.Lock()
        self._size: int | None = None

    def __reduce__(self) -> tuple[type[CacheLimit], tuple[Path, int]]:
        return type(self), (self._root, self._largest)

    def added(self, size: int) -> None:
        """Count a file of `size` bytes that was written, and delete the oldest ones if there are too many."""
        with self._lock:
            self._size = (
                sum(found for _, found, _ in self._files()) if self._size is None else self._size + size
            )
            if self._size > self._largest:
                self._size = self._shrink()

    def _shrink(self) -> int:
        """Delete the oldest files; return the size of those that are left."""
        files = sorted(self._files())
        size = sum(found for _, found, _ in files)
        if size <= self._largest:  # others have deleted some
            return size
        for _, found, path in files:
            if size <= _LEFT * self._largest:
                break
            with suppress(FileNotFoundError):
                path.unlink()
            size -= found
        return size

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """Yield when each file was written, its size and its path."""
        for path in self._root.rglob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):  # another process has deleted it
                state = path.stat()
                yield state.st_mtime_ns, state.st_size, path
