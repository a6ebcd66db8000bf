"""Storages by URL, and locks in them: what is listed, read, written, refused, and tried again."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest
from fsspec.registry import _registry as loaded

from warprefine.core.errors import StorageError
from warprefine.io import storage as storages
from warprefine.io import storage_lock
from warprefine.io.storage import Storage
from warprefine.io.storage_lock import LOCK, StorageLock


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty folder in memory, or on the disk by URL."""
    return Storage(f"memory://{tmp_path}" if request.param == "memory" else (tmp_path / "store").as_uri())


@pytest.mark.parametrize("form", ["memory", "file"])
def test_files_come_back_as_they_were_written(form, tmp_path):
    """What is written, uploaded, renamed and deleted is what is listed and read."""
    storage = Storage(f"memory://{tmp_path}" if form == "memory" else (tmp_path / "store").as_uri())
    here, there = tmp_path / "here", tmp_path / "there"
    here.write_bytes(b"12345")

    empty = storage.files()
    storage.write("a/one", b"1")
    storage.upload({"b/two": here, "b/three": here})
    storage.rename({"b/three": "a/one", "b/none": "a/none"})
    storage.delete(["b/none"])
    storage.fetch({"a/one": there})

    assert empty == {}
    assert {name: one.size for name, one in storage.files().items()} == {"a/one": 5, "b/two": 5}
    assert storage.read("b/two") == there.read_bytes() == b"12345"
    assert storage.info("b/three") is None


def test_a_file_that_is_written_again_has_another_version(storage):
    """A version tells a file from one of the same name and size."""
    storage.write("one", b"1")
    before = storage.files()["one"]
    os.utime(_path_of(storage), (1, 1)) if storage.url.startswith("file") else storage.write("one", b"2")

    assert storage.files()["one"].version != before.version


def _path_of(storage: Storage) -> Path:
    return Path(storage.url.removeprefix("file://")) / "one"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "nonsense://bucket/data",
            "cannot open nonsense://bucket/data: Protocol not known",
        ),
        ("memory:///", "names no folder"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused(url, told):
    """An unknown protocol, or a URL without a folder, is one line that says what was expected."""
    with pytest.raises(StorageError, match=told):
        Storage(url)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    """Where the package of a storage is not installed, the message says what to install."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(loaded, "s3", raising=False)  # loaded before

    with pytest.raises(StorageError, match="pip install s3fs"):
        Storage("s3://bucket/data")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError("no"), "see to the credentials"),
        (FileNotFoundError("no such bucket"), "see to the names of bucket and folder"),
        (type("NoCredentialsError", (OSError,), {})("none"), "give credentials"),
    ],
)
def test_what_no_attempt_mends_is_told_at_once(error, told, storage, monkeypatch):
    """Missing rights, names and credentials end the command with a remedy, without a second attempt."""
    calls = _failing(storage, monkeypatch, [error])

    with pytest.raises(StorageError, match=told):
        storage.read("one")
    assert len(calls) == 1


def test_a_network_that_comes_back_is_not_noticed(storage, monkeypatch):
    """Reading is tried again after a failure of the network."""
    storage.write("one", b"1")
    calls = _failing(storage, monkeypatch, [ConnectionError("gone"), TimeoutError("slow")])

    assert storage.read("one") == b"1"
    assert len(calls) == 3


def test_a_network_that_stays_away_ends_the_command(storage, monkeypatch):
    """After some attempts the message says to check the network."""
    calls = _failing(storage, monkeypatch, [ConnectionError("gone")] * 9)

    with pytest.raises(StorageError, match="gone; check the network"):
        storage.read("one")
    assert len(calls) == len(storages._PAUSES_S) + 1


def _failing(storage: Storage, monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> list[object]:
    """Let the next reads of a storage raise, without pauses between; return a list of all reads."""
    calls: list[object] = []
    original = storage._fs.cat_file

    def cat_file(path: str) -> bytes:
        calls.append(path)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return bytes(original(path))

    monkeypatch.setattr(storages.time, "sleep", lambda _: None)
    monkeypatch.setattr(storage._fs, "cat_file", cat_file, raising=False)
    return calls


def test_names_that_lead_out_of_a_folder_are_refused(monkeypatch, tmp_path):
    """A file that is named with '..' is never written anywhere."""
    storage = Storage(f"memory://{tmp_path}")
    found = {f"{storage._root}/../out": {"size": 1, "type": "file"}}
    monkeypatch.setattr(storage._fs, "find", lambda *_, **__: found, raising=False)

    with pytest.raises(StorageError, match=r"holds a file named '\.\./out'"):
        storage.files()


def test_a_run_is_written_by_one_process(storage):
    """A second process is told who writes the run; the lock is gone when the first one ends."""
    with StorageLock(storage) as lock:
        lock.renew()
        with (
            pytest.raises(StorageError, match=rf"is in use by process {os.getpid()} on"),
            StorageLock(storage),
        ):
            pass
        assert storage.files() == {}

    assert storage.info(LOCK) is None


def test_the_lock_of_a_killed_process_is_taken_over(storage, monkeypatch, caplog):
    """A lock of a process of this machine that is gone, or an old one of any machine, is no hindrance."""
    storage.write(LOCK, json.dumps({"host": "elsewhere", "process": 1, "token": "x"}).encode())
    with pytest.raises(StorageError, match="in use by process 1 on elsewhere"), StorageLock(storage):
        pass
    with monkeypatch.context() as patch:
        patch.setattr(StorageLock, "_age", lambda _: storage_lock.STALE_S)
        with StorageLock(storage) as lock:
            lock.check()

    assert "was left by process 1 on elsewhere" in caplog.text


def test_a_process_that_was_overtaken_stops_writing(storage):
    """A process whose run another one has taken over finds out before it writes."""
    with StorageLock(storage) as lock:
        storage.write(LOCK, b"{}")

        with pytest.raises(StorageError, match="is in use by another process"):
            lock.renew()
    assert storage.info(LOCK) is not None


def test_a_lock_does_not_grow_old_while_its_process_works(storage, monkeypatch):
    """However long a run takes, its lock is renewed in time."""
    monkeypatch.setattr(storage_lock, "STALE_S", 0.3)
    renewed = threading.Event()
    original = Storage.write
    monkeypatch.setattr(Storage, "write", lambda *given: (original(*given), renewed.set()))

    with StorageLock(storage):
        assert renewed.wait(timeout=60)
