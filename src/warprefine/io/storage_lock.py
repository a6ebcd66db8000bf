"""Lock a run in a storage, so that two machines never write it at the same time."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
from contextlib import suppress
from typing import Any

from warprefine.core.errors import StorageError
from warprefine.io.storage import Storage

log = logging.getLogger(__name__)
LOCK = ".warprefine-lock"
"""The name of the file that is there while a run is written."""
_CLOCK = ".warprefine-clock"
STALE_S = 300.0
"""Age from which a lock counts as left by a process that was killed."""
_RENEWALS = 6
"""How often a lock is renewed before it were old."""


class StorageLock:
    """A lock that is held inside the context, and renewed by a thread of its own.

    Args:
        storage: The folder of the run.

    Raises:
        StorageError: Another process holds it, or the storage cannot be written.

    Example:
        >>> with StorageLock(Storage("memory://locked")) as lock:
        ...     lock.check()
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        host, process = socket.gethostname(), os.getpid()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_again, name="lock of a run", daemon=True)
        self._own = {"host": host, "process": process, "token": secrets.token_hex(8)}

    def __enter__(self) -> StorageLock:
        content = json.dumps(self._own).encode()
        if not self._storage.create(LOCK, content):
            self._take_over()
            if not self._storage.create(LOCK, content):
                raise self._in_use(self._holder())
        self.check()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(StorageError):  # the error that ended the run counts; the lock grows old
            if self._holder().get("token") == self._own["token"]:
                self._storage.delete([LOCK])

    def check(self) -> None:
        """Raise if another process has taken over.

        Raises:
            StorageError: It has, or the storage cannot be read.
        """
        holder = self._holder()
        if holder.get("token") != self._own["token"]:
            raise self._in_use(holder)

    def renew(self) -> None:
        """Show that this process is at work.

        Raises:
            StorageError: Another one has taken over, or the storage cannot be written.
        """
        self.check()
        self._storage.write(LOCK, json.dumps(self._own).encode())

    def _renew_again(self) -> None:
        while not self._ended.wait(STALE_S / _RENEWALS):
            try:
                self.renew()
            except StorageError as error:  # who writes finds out, if it stays so
                log.info("%s", error)

    def _holder(self) -> dict[str, Any]:
        if self._storage.info(LOCK) is None:
            return {}
        with suppress(ValueError):
            found = json.loads(self._storage.read(LOCK))
            if isinstance(found, dict):
                return found
        return {}

    def _take_over(self) -> None:
        """Delete the lock of a process that has ended.

        Raises:
            StorageError: It may still be at work.
        """
        holder, age = self._holder(), self._age()
        is_dead = holder.get("host") == self._own["host"] and not _is_running(holder.get("process"))
        if not is_dead and age < STALE_S:
            raise self._in_use(holder, age=age)
        log.warning("%s was left by %s; this process goes on with it", self._storage.url, _named(holder))
        self._storage.delete([LOCK])

    def _age(self) -> float:
        """Return for how many seconds the lock was not renewed, by the clock of the storage."""
        held = self._storage.info(LOCK)
        self._storage.write(_CLOCK, b"")
        now = self._storage.info(_CLOCK)
        self._storage.delete([_CLOCK])
        return now.modified - held.modified if held and now else 0.0

    def _in_use(self, holder: dict[str, Any], age: float = 0.0) -> StorageError:
        seen = f", which was at work {age:.0f} s ago" if age else ""
        return StorageError(
            f"{self._storage.url} is in use by {_named(holder)}{seen}; wait until it has ended, or choose "
            f"another --out; if it was killed, this works {STALE_S / 60:.0f} minutes after that"
        )


def _named(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {str(holder.get('process'))[:20]} on {str(holder.get('host'))[:80]}"


def _is_running(process: object) -> bool:
    if type(process) is not int or process <= 0:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
