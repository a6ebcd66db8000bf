"""Runs by URL: what is in the storage is one state of the run or the next, whenever the process is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from warprefine.core.errors import StorageError
from warprefine.core.pseudolabel import Provenance
from warprefine.io.manifest import ArrivedFrame
from warprefine.io.mirror import is_hollow
from warprefine.io.places import at_hand
from warprefine.io.publishing import Publisher, published, read_run
from warprefine.io.run import RunFolder
from warprefine.io.storage import Storage
from warprefine.io.storage_lock import LOCK, StorageLock


class Killed(BaseException):
    """The process is killed."""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a run in memory; copies lie in a folder of the test."""
    on_machine("first", monkeypatch, tmp_path)
    return f"memory://{tmp_path}/run"


def on_machine(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Go on as on another machine, with a cache folder of its own."""
    monkeypatch.setenv("WARPREFINE_MIRRORS", str(tmp_path / name))


def label(run: RunFolder, frames: Iterator[int] | range, fingerprint: str) -> None:
    """Label frames; their files hold the fingerprint that is recorded with them."""
    for frame in frames:
        path = run.labels_path("m", "video", f"{frame}")
        arriving = run.arriving.path_of(path)
        arriving.parent.mkdir(parents=True, exist_ok=True)
        arriving.write_text(f"{fingerprint} {frame}")
        provenance = Provenance(method="m", key_frames=(0,), distance=1)
        run.manifest.put(
            ArrivedFrame(
                video="video", frame=frame, provenance=provenance, fingerprint=fingerprint, files=[path]
            )
        )
    run.manifest.settle()


def labels_of(run: RunFolder) -> dict[int, str]:
    """Return the fingerprints of the frames that are done; their files hold what the record says."""
    records = run.manifest.records("video", "m")
    assert all(one.is_whole for one in records.values())
    for frame, one in records.items():
        path = at_hand(run.labels_path("m", "video", f"{frame}"))
        assert path.read_text() == f"{one.fingerprint} {frame}"
    return {frame: one.fingerprint for frame, one in records.items()}


def test_a_run_goes_on_on_another_machine(url, tmp_path, monkeypatch):
    """The next machine has what the first one published, and adds to it; a third one reads all of it."""
    with published(url) as folder:
        label(RunFolder(folder), range(3), "old")
        (folder / "cache").mkdir()
        (folder / "cache/flow").write_bytes(b"large")
    on_machine("second", monkeypatch, tmp_path)
    with published(url) as folder:
        run = RunFolder(folder)
        hollow = is_hollow(folder / "labels/m/video/1.png")
        found = labels_of(run)
        label(run, range(3, 5), "new")
    on_machine("third", monkeypatch, tmp_path)

    read = RunFolder(read_run(url), read_only=True)

    assert (hollow, found) == (True, dict.fromkeys(range(3), "old"))
    assert labels_of(read) == {0: "old", 1: "old", 2: "old", 3: "new", 4: "new"}
    assert not [name for name in Storage(url).files() if name.startswith(("cache", "arriving", "."))]


def test_a_path_is_written_where_it_is(tmp_path):
    """A run folder on a disk is no copy of anything."""
    with published(tmp_path / "run") as folder:
        assert folder == tmp_path / "run"


def test_files_that_are_deleted_are_deleted_in_the_storage(url):
    """A frame that is no longer labelled has no file in the storage."""
    with published(url) as folder:
        run = RunFolder(folder)
        label(run, range(4), "old")
    with published(url) as folder:
        RunFolder(folder).manifest.keep_only("video", {0, 1}, "m")

    assert [name for name in sorted(Storage(url).files()) if "labels" in name] == [
        "labels/m/video/0.png",
        "labels/m/video/1.png",
    ]


def test_what_was_published_is_not_copied_again(url, monkeypatch):
    """The machine that has published a run last goes on with its own files, and sends and fetches none."""
    with published(url) as folder:
        label(RunFolder(folder), range(3), "old")
    moved: list[str] = []
    original = Storage.upload
    monkeypatch.setattr(Storage, "upload", lambda self, files: (moved.extend(files), original(self, files)))
    monkeypatch.setattr(Storage, "fetch", lambda _, files: moved.extend(files))

    with published(url) as folder:
        found = labels_of(RunFolder(folder))

    assert found == dict.fromkeys(range(3), "old")
    assert [name for name in moved if name != "manifest.sqlite"] == []


def test_labels_that_are_in_the_storage_make_room(url, monkeypatch):
    """Beyond the bound, labels that were published are hollow here, and right when they are read."""
    monkeypatch.setenv("WARPREFINE_MIRROR_SIZE", "1B")
    with published(url) as folder, StorageLockOfTest(url) as lock:
        run = RunFolder(folder)
        publisher = Publisher(Storage(url), folder, lock)
        publisher.receive()
        run = RunFolder(folder)
        label(run, range(3), "old")
        publisher.publish()
        publisher.publish()
        hollow = [is_hollow(folder / f"labels/m/video/{frame}.png") for frame in range(3)]

        assert hollow == [True] * 3
        assert labels_of(run) == dict.fromkeys(range(3), "old")


class StorageLockOfTest(StorageLock):
    """A lock that is always free."""

    def __init__(self, url: str) -> None:
        super().__init__(Storage(url))

    def __enter__(self) -> StorageLockOfTest:
        return self

    def check(self) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        pass


_upload = Storage.upload


def _upload_in_turn(storage: Storage, files: Mapping[str, Path]) -> None:
    """Upload one file after the other."""
    for name, path in files.items():
        _upload(storage, {name: path})


@pytest.mark.parametrize("operation", range(12))
def test_a_kill_leaves_the_old_state_or_the_new_one(operation, url, tmp_path, monkeypatch):
    """Killed at any operation on the storage, the run has each frame with its own record, and goes on."""
    with published(url) as folder:
        label(RunFolder(folder), range(3), "old")
    lock = StorageLockOfTest(url)
    publisher = Publisher(Storage(url), folder, lock)
    publisher.receive()
    run = RunFolder(folder)
    label(run, range(1, 5), "new")
    written: list[str] = []
    original = Storage._trying

    def trying(self, work, what, name=""):
        if what in ("write", "delete"):
            written.append(name)
            if len(written) > operation:
                raise Killed
        return original(self, work, what, name)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "_trying", trying)
        patch.setattr(Storage, "upload", _upload_in_turn)
        was_killed = False
        try:
            publisher.publish()
        except Killed:
            was_killed = True
    Storage(url).delete([LOCK])

    on_machine("reader", monkeypatch, tmp_path)
    read = labels_of(RunFolder(read_run(url), read_only=True))
    on_machine("second", monkeypatch, tmp_path)
    with published(url) as folder:
        found = labels_of(RunFolder(folder))
    on_machine("first", monkeypatch, tmp_path)
    with published(url) as folder:
        label(RunFolder(folder), range(1, 5), "new")
    on_machine("third", monkeypatch, tmp_path)
    last = labels_of(RunFolder(read_run(url), read_only=True))

    new = {0: "old", 1: "new", 2: "new", 3: "new", 4: "new"}
    assert was_killed == (operation < 10), written
    assert read == found
    assert found in (dict.fromkeys(range(3), "old"), new)
    assert found == new or was_killed
    assert last == new


def test_what_cannot_be_published_stays_here(url, monkeypatch):
    """Labels that could not be sent when the command ended are sent by the next one."""
    with published(url) as folder:
        label(RunFolder(folder), range(2), "old")

    def refuse(*_: object) -> None:
        raise StorageError("cannot write: the network is away")

    with (
        monkeypatch.context() as patch,
        pytest.raises(StorageError, match="network is away"),
    ):
        _label_without_network(url, partial(patch.setattr, Storage, "upload", refuse))
    with published(url) as folder:
        found = labels_of(RunFolder(folder))

    assert found == {0: "old", 1: "old", 2: "new", 3: "new"}


def _label_without_network(url: str, lose_network: Callable[[], None]) -> None:
    """Label frames while the network goes away."""
    with published(url) as folder:
        label(RunFolder(folder), range(2, 4), "new")
        lose_network()
