"""Mirrors of storages: folders here that list all files of a URL, and hold those that were opened last.

A file that is listed and not here is hollow: it has its name, size and time, no permissions and no content.
Whoever opens a file calls `places.at_hand` first, which copies it from the storage; the oldest ones become
hollow again when a mirror holds more than its bound. So data of any size can be read through a small disk.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError, StorageError
from warprefine.core.sizes import EXPECTED, bytes_named
from warprefine.io.atomic import draft_of, make_folder, write_text, writing_errors
from warprefine.io.claims import own_json
from warprefine.io.in_use import FilesInUse
from warprefine.io.locks import locked
from warprefine.io.places import mirror_folder, place_of, register, url_of
from warprefine.io.storage import Storage, Stored

SIZE_VARIABLE = "WARPREFINE_MIRROR_SIZE"
"""Says how much a mirror holds, in the form of --cache-size."""
_USUAL_SIZE = 20 * 10**9
_MOST_READERS = 64
"""Processes that read the same URL at the same time on one machine; each has a mirror of its own."""
_INDEX = "mirror.json"

_opened: dict[Path, Mirror] = {}
_held = ExitStack()
"""Locks of the mirrors of data, held until the process ends."""


def open_data(place: Path | str) -> Path:
    """Return a folder with the files of a URL, as they are now; a path is returned as it is.

    Args:
        place: A path, a URL, or what `place_of` returned.

    Raises:
        StorageError: The storage cannot be listed, or holds no files there.
        RunFolderError: The mirror cannot be written.
    """
    place = place_of(place)
    url = url_of(place)
    if url is None:
        return place
    storage = Storage(url)
    files = storage.files()
    if not files:
        raise StorageError(f"{url} holds no files; see to the names of bucket and folder")
    root = _lock_mirror(url)
    known = _recorded(root)
    mirror = _opened.setdefault(root, Mirror(storage, root, most_bytes=size_of_mirrors()))
    mirror.list_files(files, kept={name for name, one in files.items() if known.get(name) == one.version})
    mirror.remove_others()
    recorded = {"url": url, "files": {name: one.version for name, one in files.items()}}
    write_text(root.parent / _INDEX, json.dumps(recorded))
    register(root, mirror)
    return root


def keep_at_hand(root: Path, *, but: Collection[str]) -> None:
    """Copy all files of a mirror that `open_data` returned, for good, but for those in some of its folders.

    Raises:
        StorageError: They cannot be copied.
    """
    if (mirror := _opened.get(root)) is not None:
        mirror.keep([name for name in mirror.known if name.partition("/")[0] not in but])


def size_of_mirrors() -> int:
    """Return how many bytes a mirror may hold.

    Raises:
        StorageError: The variable `WARPREFINE_MIRROR_SIZE` holds no size.
    """
    text = os.environ.get(SIZE_VARIABLE, "").strip()
    size = bytes_named(text) if text else _USUAL_SIZE
    if size is None:
        raise StorageError(f"{SIZE_VARIABLE} is {text[:40]!r}; expected {EXPECTED}")
    return size


def _lock_mirror(url: str) -> Path:
    """Return the folder of a mirror that no other process uses."""
    for number in range(1, _MOST_READERS + 1):
        root = mirror_folder(url, use=str(number))
        if root in _opened:
            return root
        try:
            _held.enter_context(locked(root.parent))
            return make_folder(root)
        except RunFolderError as error:
            if "is in use" not in str(error) or number == _MOST_READERS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _recorded(root: Path) -> dict[str, str]:
    """Return the versions of the files that a mirror has listed before; none if that is not known."""
    path = root.parent / _INDEX
    try:
        with own_json(path, remedy="it is written anew"):
            return {str(name): str(one) for name, one in json.loads(path.read_text("utf-8"))["files"].items()}
    except RunFolderError:
        return {}


class Mirror:
    """The folder of a mirror, which the process of a command uses, and its workers on this machine.

    A copy in another process is to be used there; it begins without a count of what is here.

    Args:
        storage: Where its files come from.
        root: The folder.
        most_bytes: Of the content that it holds; files in use may exceed it.
        is_read_only: Whether nobody writes into the folder, so that files can be made hollow at any time.

    Attributes:
        root: The folder.
        is_read_only: The argument.
        known: What the storage has of each file, by name.
    """

    def __init__(self, storage: Storage, root: Path, *, most_bytes: int, is_read_only: bool = True) -> None:
        self.root, self.is_read_only = root, is_read_only
        self.known: dict[str, Stored] = {}
        self._storage, self._most = storage, most_bytes
        self._lock = threading.RLock()
        self._fetching: dict[str, threading.Lock] = {}
        self._in_use: dict[int, str] = {}
        self._here: OrderedDict[str, int] = OrderedDict()
        self._others: FilesInUse | None = None
        self._users = 1

    def __reduce__(self) -> tuple[Callable[..., Mirror], tuple[str, Path, dict[str, Stored], dict[str, Any]]]:
        with self._lock:
            known = dict(self.known)
        settings = {"most_bytes": self._most, "is_read_only": self.is_read_only, "users": self._users}
        return _copy_of, (self._storage.url, self.root, known, settings)

    def share(self, users: int) -> None:
        """Keep to a share of the bound, and let nothing become hollow that another process reads.

        Args:
            users: How many processes use the mirror; the number only grows.
        """
        with self._lock:
            self._users = max(users, self._users)
            self._others = self._others or FilesInUse(self.root)

    def take_over(self, other: Mirror) -> None:
        """Know of the storage what another mirror of the same folder knows."""
        with self._lock:
            before, self.known = self.known, other.known
            for name in [name for name in self._here if before.get(name) != self.known.get(name)]:
                del self._here[name]
        self.share(other._users)

    def list_files(self, files: Mapping[str, Stored], *, kept: Collection[str] = ()) -> None:
        """List files: those that are here stay if they are among `kept`, all others become hollow."""
        here = []
        for name, one in files.items():
            path = self.root / name
            found = path.lstat() if path.is_file() else None
            if name not in kept or found is None or found.st_size != one.size:
                make_folder(path.parent)
                _make_hollow(path, one.size, modified_ns=int(one.modified * 1e9))
            elif not is_hollow(path):
                here.append((found.st_ctime_ns, name, one.size))
        with self._lock:
            self.known = dict(files)
            self._here = OrderedDict((name, size) for _, name, size in sorted(here))
            if self.is_read_only:
                self._evict(self._here)

    def remove_others(self) -> None:
        """Delete the files that are not listed."""
        for path in [path for path in self.root.rglob("*") if not path.is_dir()]:
            if path.relative_to(self.root).as_posix() not in self.known:
                path.unlink()

    def keep(self, names: Collection[str]) -> None:
        """Copy files from the storage that stay here for good.

        Raises:
            StorageError: They cannot be copied.
        """
        drafts = {name: draft_of(self.root / name) for name in names if is_hollow(self.root / name)}
        try:
            self._storage.fetch(drafts)
            for name, draft in drafts.items():
                self._put(name, draft)
        finally:
            for draft in drafts.values():
                draft.unlink(missing_ok=True)
        with self._lock:
            for name in names:
                self._here.pop(name, None)

    def add(self, name: str, stored: Stored) -> None:
        """Note that the storage has a file that is here."""
        with self._lock:
            self.known[name] = stored
            self._here[name] = stored.size
            self._here.move_to_end(name)

    def fetch(self, path: Path) -> None:
        """Copy a file from the storage if it is hollow; it stays until this thread fetches another one.

        Raises:
            StorageError: It cannot be copied, or has changed since it was listed.
        """
        name = path.relative_to(self.root).as_posix()
        with self._lock:
            if name not in self.known and not self._is_found(name, path):
                return
            self._in_use[threading.get_ident()] = name
            lock = self._fetching.setdefault(name, threading.Lock())
        with lock:
            while True:
                if is_hollow(path):
                    with nullcontext() if self._others is None else self._others.copying(name):
                        self._copy(name, path)
                if self._others is None or self._others.hold(path):
                    break
        with self._lock:
            self._fetching.pop(name, None)
            if name in self._here:
                self._here.move_to_end(name)
            if self.is_read_only:
                self._evict(self._here)

    def version(self, path: Path) -> tuple[int, float, str] | None:
        """Return size, time and version of a file that only the storage may change; None for others."""
        found = self.known.get(path.relative_to(self.root).as_posix()) if self.is_read_only else None
        return (found.size, found.modified, found.version) if found else None

    def _is_found(self, name: str, path: Path) -> bool:
        """Look for a file that another process has put into the storage and made hollow here since."""
        stored = self._storage.info(name) if self._others is not None and is_hollow(path) else None
        if stored is None:
            return False
        self.known[name] = replace(stored, version="")
        return True

    def _copy(self, name: str, path: Path) -> None:
        if not is_hollow(path):  # another process has just copied it
            return
        draft = draft_of(path)
        stored = self.known[name]
        try:
            self._storage.fetch({name: draft})
            now = self._storage.info(name) if stored.version else stored
            if now is None or now.version != stored.version:
                raise self._changed(name)
            self._put(name, draft)
        finally:
            draft.unlink(missing_ok=True)
        with self._lock:
            self._here[name] = stored.size

    def _put(self, name: str, draft: Path) -> None:
        """Put a copy in the place of a hollow file, whose time it takes."""
        path = self.root / name
        if draft.stat().st_size != self.known[name].size:
            raise self._changed(name)
        with writing_errors(path):
            modified = path.stat().st_mtime_ns
            os.utime(draft, ns=(modified, modified))
            draft.replace(path)

    def _changed(self, name: str) -> StorageError:
        return StorageError(
            f"{self._storage.url}/{name} has changed since it was listed; leave the files as they are "
            "during a run, and run the same command again"
        )

    def evict(self, candidates: Collection[str]) -> None:
        """Make files hollow, the oldest first, until the mirror is within its bound; the storage has all."""
        with self._lock:
            self._evict(candidates)

    def _evict(self, candidates: Collection[str]) -> None:
        total, most = sum(self._here.values()), self._most // self._users
        if total <= most:
            return
        used = {*self._in_use.values()}
        for name in [name for name in self._here if name not in used and name in candidates]:
            path = self.root / name
            with nullcontext(True) if self._others is None else self._others.unread(path) as is_unread:
                if not is_unread:
                    continue
                if path.exists():
                    _make_hollow(path, self.known[name].size, modified_ns=path.stat().st_mtime_ns)
            total -= self._here.pop(name)
            if total <= most:
                return


def _copy_of(url: str, root: Path, known: dict[str, Stored], settings: Mapping[str, Any]) -> Mirror:
    """Return the mirror of a folder in another process than the one that has made it."""
    mirror = Mirror(
        Storage(url), root, most_bytes=settings["most_bytes"], is_read_only=settings["is_read_only"]
    )
    mirror.known = known
    mirror.share(settings["users"])
    return mirror


def is_hollow(path: Path) -> bool:
    """Return whether a file of a mirror has no content here."""
    try:
        return stat.S_IMODE(path.stat().st_mode) == 0
    except FileNotFoundError:
        return False


def _make_hollow(path: Path, size: int, *, modified_ns: int) -> None:
    """Put a hollow file in the place of a file; it takes no room on the disk."""
    draft = draft_of(path)
    with writing_errors(path):
        try:
            with draft.open("xb") as file:
                file.truncate(size)
            os.utime(draft, ns=(modified_ns, modified_ns))
            draft.chmod(0)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
