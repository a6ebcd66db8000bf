"""Write a run into a storage while it is made here: every few seconds its new files, then its manifest.

A run by URL is made in a folder of this machine. A publication is a state of that folder at one moment: its
files are linked aside while the manifest is locked, and uploaded then. The manifest goes last. Files that
replace others of an older record wait in URL/arriving until the manifest is there, as in a folder, see
`io.arriving`. So whoever reads the storage has one state or the next, whenever this process is killed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warprefine.core.errors import RunFolderError, StorageError
from warprefine.io.atomic import is_draft, make_folder, write_text, writing_errors
from warprefine.io.claims import own_json
from warprefine.io.locks import locked
from warprefine.io.manifest_file import as_files
from warprefine.io.mirror import Mirror, is_hollow, keep_at_hand, open_data, size_of_mirrors
from warprefine.io.places import mirror_folder, place_of, register, unregister, url_of
from warprefine.io.storage import Storage, Stored
from warprefine.io.storage_lock import StorageLock

log = logging.getLogger(__name__)
INTERVAL_S = 10.0
"""Between the end of a publication and the next one; longer where they take long."""
MANIFEST = "manifest.sqlite"
ARRIVING = "arriving"
_SHARE = 0.05
"""Of the time, what publications may take."""
_LOCAL = ("cache", ARRIVING)
"""Folders of a run that stay on this machine."""
_LAZY = ("labels", "confidence", "raw_confidence", ARRIVING)
"""Folders of a run whose files are copied here only when they are opened."""
_SQLITE = (f"{MANIFEST}-",)
"""Begin the names of what SQLite has beside a manifest."""


@contextmanager
def published(place: Path | str) -> Iterator[Path]:
    """Yield the folder of a run to write into; one that stands for a URL is the run there, and goes there.

    Args:
        place: A path, what `places.place_of` returned, or a URL.

    Raises:
        StorageError: The storage cannot be read or written, or another process is writing the run.
    """
    place = place_of(place)
    url = url_of(place)
    if url is None:
        yield place
        return
    storage, root = Storage(url), mirror_folder(url, use="run")
    with locked(root.parent), StorageLock(storage) as lock:
        publisher = Publisher(storage, make_folder(root), lock)
        publisher.receive()
        publisher.start()
        try:
            yield root
        finally:
            publisher.finish()


def read_run(place: Path | str) -> Path:
    """Return the folder of a run to read; of one that stands for a URL, copies are there.

    Raises:
        StorageError: The storage cannot be read.
    """
    root = open_data(place)
    keep_at_hand(root, but=_LAZY)
    return root


@dataclass(frozen=True, kw_only=True)
class _State:
    """A run folder at one moment.

    Attributes:
        changed: Where the files are that have changed since the last publication, by name.
        signs: What tells that a file changes, by name, of all files.
        recorded: The files that the manifest has a record of.
    """

    changed: Mapping[str, Path]
    signs: Mapping[str, list[int]]
    recorded: frozenset[str]


class Publisher:
    """Copies a run to a storage.

    Args:
        storage: Where it goes.
        root: The run folder.
        lock: The lock of the run in the storage.
    """

    def __init__(self, storage: Storage, root: Path, lock: StorageLock) -> None:
        self._storage, self._root, self._lock = storage, root, lock
        self._mirror = Mirror(storage, root, most_bytes=size_of_mirrors(), is_read_only=False)
        self._staging = root.parent / "staging"
        self._sent: dict[str, list[int]] = {}
        self._stored: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._publish_again, name="publisher", daemon=True)

    def receive(self) -> None:
        """Make the folder hold the run of the storage, unless it is what this machine has published last.

        Raises:
            StorageError: The storage cannot be read or written.
        """
        self._finish_arriving()
        files = self._storage.files()
        self._stored = {*files}
        found, before = files.get(MANIFEST), self._recorded()
        if found is not None and before.get("manifest") == found.version:
            self._sent = {name: sign for name, sign in before["sent"].items() if name in files}
            self._mirror.known = {name: replace(one, version="") for name, one in files.items()}
            for name in self._sent:
                if _is_lazy(name) and (self._root / name).exists() and not is_hollow(self._root / name):
                    self._mirror.add(name, self._mirror.known[name])
        else:
            _clear(self._root, but=("cache",))
            self._state_path.unlink(missing_ok=True)
            self._mirror.list_files(files)
            self._mirror.keep([name for name in files if not _is_lazy(name)])
            self._sent = {name: _sign(self._root / name) for name in files}
        register(self._root, self._mirror)

    def start(self) -> None:
        """Begin to publish, in a thread of its own."""
        self._thread.start()

    def finish(self) -> None:
        """Publish what the folder holds now, and end.

        Raises:
            StorageError: The storage cannot be written; the folder keeps what is not there.
        """
        self._ended.set()
        self._thread.join()
        try:
            self.publish()
        finally:
            unregister(self._root)

    def _publish_again(self) -> None:
        pause = INTERVAL_S
        while not self._ended.wait(pause):
            begun = time.monotonic()
            try:
                self.publish()
            except (StorageError, RunFolderError, sqlite3.Error) as error:
                log.warning("%s", error)
            pause = max(INTERVAL_S, (time.monotonic() - begun) / _SHARE)

    def publish(self) -> None:
        """Copy what has changed to the storage, the manifest last.

        Raises:
            StorageError: The storage cannot be written, or another process has taken over the run.
        """
        self._lock.check()
        _clear(self._staging)
        state = self._stage()
        if state.changed or self._stored.difference(state.signs):
            # What an older record is about is replaced after the manifest, all else is there before it.
            late = {name for name in state.changed if name in self._stored and name in state.recorded}
            late = late if MANIFEST in state.changed else set()
            others = {name: path for name, path in state.changed.items() if name not in late}
            manifest = others.pop(MANIFEST, None)
            self._storage.upload(others)
            self._storage.upload({f"{ARRIVING}/{name}": state.changed[name] for name in sorted(late)})
            if manifest is not None:
                self._lock.check()
                _set_moving(manifest, late)
                self._storage.upload({MANIFEST: manifest})
                if late:
                    self._storage.rename({f"{ARRIVING}/{name}": name for name in sorted(late)})
                    _set_moving(manifest, set())
                    self._storage.upload({MANIFEST: manifest})
            self._storage.delete(sorted(self._stored.difference(state.signs)))
            self._record(state)
        _clear(self._staging)

    def _stage(self) -> _State:
        """Link what has changed aside, at one moment: no frame is recorded meanwhile."""
        with _locked_manifest(self._root / MANIFEST) as connection:
            rows = [] if connection is None else connection.execute("SELECT files, moving FROM pseudo_label")
            moving = {name: bool(is_moving) for files, is_moving in rows for name in as_files(files)}
            places = {name: path for name, path in _files_in(self._root) if name not in moving}
            for name, is_moving in moving.items():
                arriving = self._root / ARRIVING / name
                places[name] = arriving if is_moving and arriving.exists() else self._root / name
            signs: dict[str, list[int]] = {}
            changed: dict[str, Path] = {}
            for name, path in places.items():
                with suppress(FileNotFoundError):  # it was moved or deleted just now
                    sign = _sign(path)
                    signs[name] = sign
                    if sign != self._sent.get(name) and not is_hollow(path):
                        changed[name] = self._aside(path, len(changed))
            # Nothing replaces these while the manifest is locked.
            unchanged = [name for name in signs if self._sent.get(name) == signs[name]]
            self._mirror.evict({name for name in unchanged if not moving.get(name, True)})
        return _State(changed=changed, signs=signs, recorded=frozenset(moving))

    def _aside(self, path: Path, number: int) -> Path:
        """Return another name of a file, which is replaced and never changed; a manifest is copied."""
        target = self._staging / str(number)
        if path.name == MANIFEST:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
            return target
        try:
            os.link(path, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            shutil.copyfile(path, target)
        return target

    def _finish_arriving(self) -> None:
        """Put files in their places that a killed process has uploaded and recorded; delete the others."""
        found = [name for name in self._storage.files() if name.startswith(f"{ARRIVING}/")]
        if not found:
            return
        _clear(self._staging)
        manifest = self._staging / MANIFEST
        self._storage.fetch({MANIFEST: manifest})
        with closing(sqlite3.connect(manifest)) as connection:
            rows = connection.execute("SELECT files FROM pseudo_label WHERE moving = 1").fetchall()
        recorded = {f"{ARRIVING}/{name}": name for (files,) in rows for name in as_files(files)}
        self._storage.rename({name: recorded[name] for name in found if name in recorded})
        self._storage.delete([name for name in found if name not in recorded])
        _set_moving(manifest, set())
        self._storage.upload({MANIFEST: manifest})

    @property
    def _state_path(self) -> Path:
        return self._root.parent / "published.json"

    def _recorded(self) -> dict[str, Any]:
        """Return what this machine has published last; nothing if that is not known."""
        try:
            with own_json(self._state_path, remedy="the run is copied from its storage again"):
                found = json.loads(self._state_path.read_text(encoding="utf-8"))
                return {"manifest": str(found["manifest"]), "sent": dict(found["sent"])}
        except RunFolderError:
            return {}

    def _record(self, state: _State) -> None:
        """Note what is in the storage now."""
        self._stored, self._sent = {*state.signs}, dict(state.signs)
        for name, path in state.changed.items():
            if name in state.recorded:
                self._mirror.add(name, Stored(size=path.stat().st_size, modified=0.0, version=""))
        found = self._storage.info(MANIFEST)
        if found is not None:
            recorded = {"manifest": found.version, "sent": self._sent}
            write_text(self._state_path, json.dumps(recorded))


def _is_lazy(name: str) -> bool:
    return name.partition("/")[0] in _LAZY


def _files_in(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a run that are published, with their names."""
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in _LOCAL]
        for name in names:
            path = Path(folder, name)
            if not is_draft(name) and not name.startswith(_SQLITE):
                yield path.relative_to(root).as_posix(), path


def _sign(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


@contextmanager
def _locked_manifest(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Keep all from recording frames meanwhile; yield None if there is no manifest yet."""
    if not path.exists():
        yield None
        return
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")


def _set_moving(manifest: Path, names: Collection[str]) -> None:
    """Record in a copy of a manifest which files wait to be moved to their places."""
    with closing(sqlite3.connect(manifest)) as connection, connection:
        connection.execute("UPDATE pseudo_label SET moving = 0 WHERE moving = 1")
        rows = connection.execute("SELECT rowid, files FROM pseudo_label").fetchall() if names else []
        due = [(row,) for row, files in rows if not as_files(files).keys().isdisjoint(names)]
        connection.executemany("UPDATE pseudo_label SET moving = 1 WHERE rowid = ?", due)


def _clear(folder: Path, *, but: Collection[str] = ()) -> None:
    """Delete what a folder holds, but for some entries."""
    for entry in make_folder(folder).iterdir():
        if entry.name not in but and not is_draft(entry.name):
            with writing_errors(entry):
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
