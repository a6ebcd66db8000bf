"""Mirrors that several processes use: what is read stays, all else may go, and all know of all files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from warprefine.core.errors import ClusterError
from warprefine.io import places
from warprefine.io.mirror import Mirror, is_hollow, open_data
from warprefine.io.places import at_hand, place_of, url_of
from warprefine.io.sharing import check_reach, share_mirrors, use_mirrors
from warprefine.io.storage import Storage

FILES = {f"folder/{number}": f"content of {number}".encode() for number in range(8)}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """A folder of eight files by URL; mirrors lie in a folder of the test."""
    monkeypatch.setenv("WARPREFINE_MIRRORS", str(tmp_path / "mirrors"))
    monkeypatch.setattr(places, "_mirrors", {})
    storage = Storage((tmp_path / "data").as_uri())
    for name, content in FILES.items():
        storage.write(name, content)
    return storage


def two_mirrors(storage: Storage, root: Path, *, most_bytes: int) -> tuple[Mirror, Mirror]:
    """Return a mirror as two processes have it."""
    mirror = Mirror(storage, root, most_bytes=most_bytes)
    mirror.list_files(storage.files())
    mirror.share(2)
    return mirror, pickle.loads(pickle.dumps(mirror))


def here(mirror: Mirror) -> list[str]:
    """Return the numbers of the files that are not hollow."""
    return [path.name for path in sorted((mirror.root / "folder").iterdir()) if not is_hollow(path)]


def test_what_another_process_reads_does_not_become_hollow(storage, tmp_path):
    """A file beyond the bound stays while any process reads it, and goes when all have read another one."""
    one, two = two_mirrors(storage, tmp_path / "mirror", most_bytes=1)
    one.fetch(one.root / "folder/3")
    two.fetch(two.root / "folder/3")

    one.fetch(one.root / "folder/4")
    kept = here(one)
    two.fetch(two.root / "folder/5")
    one.fetch(one.root / "folder/6")

    assert kept == ["3", "4"]
    assert here(one) == ["5", "6"]
    assert (one.root / "folder/6").read_bytes() == FILES["folder/6"]


def test_each_process_has_a_share_of_the_bound(storage, tmp_path):
    """Two processes that may have four files together keep two each."""
    one, two = two_mirrors(storage, tmp_path / "mirror", most_bytes=4 * len(FILES["folder/0"]))

    for number in range(4):
        one.fetch(one.root / f"folder/{number}")
        two.fetch(two.root / f"folder/{number + 4}")

    assert here(one) == ["2", "3", "6", "7"]


def test_a_file_that_another_process_has_copied_is_not_copied_again(storage, tmp_path, monkeypatch):
    """Whoever comes second finds it here, also if it was copied while it waited."""
    one, two = two_mirrors(storage, tmp_path / "mirror", most_bytes=1000)
    one.fetch(one.root / "folder/3")
    monkeypatch.setattr(two, "_storage", None)

    two.fetch(two.root / "folder/3")
    two._copy("folder/3", two.root / "folder/3")

    assert here(two) == ["3"]


def test_a_file_that_became_hollow_while_it_was_opened_is_copied_again(storage, tmp_path, monkeypatch):
    """The mark of a reader is worth nothing if the file went between the look at it and the mark."""
    one, two = two_mirrors(storage, tmp_path / "mirror", most_bytes=1)
    path = one.root / "folder/3"
    opened, times = os.open, 0

    def open_late(file: object, flags: int, *rest: int) -> int:
        nonlocal times
        if file == path and not times:
            times += 1
            one.fetch(one.root / "folder/4")
        return opened(file, flags, *rest)  # type: ignore[call-overload,no-any-return]

    one.fetch(path)
    monkeypatch.setattr(os, "open", open_late)
    two.fetch(path)

    assert times == 1
    assert path.read_bytes() == FILES["folder/3"]


def test_what_another_process_has_published_is_found(storage, tmp_path):
    """A file of a run that was put into the storage after the work began, and went from here, comes back."""
    run = Mirror(storage, tmp_path / "run", most_bytes=1000, is_read_only=False)
    run.list_files(storage.files())
    run.share(2)
    worker = pickle.loads(pickle.dumps(run))
    storage.write("folder/8", b"labelled since")
    run.list_files(storage.files())

    worker.fetch(worker.root / "folder/8")
    worker.fetch(worker.root / "folder/none")

    assert (worker.root / "folder/8").read_bytes() == b"labelled since"


def test_a_worker_knows_what_the_command_knows(storage, monkeypatch):
    """It gets URLs and mirrors with its work, takes new lists over, and forgets what is closed."""
    root = open_data(storage.url)
    first = pickle.dumps(share_mirrors(2))
    storage.write("folder/3", b"changed before the next work")
    open_data(storage.url)
    second = pickle.dumps(share_mirrors(2))
    places.unregister(root)
    none = pickle.dumps(share_mirrors(2))
    monkeypatch.setattr(places, "_urls", {})

    use_mirrors(pickle.loads(first))
    assert url_of(root / "folder/2") == f"{storage.url}/folder/2"
    assert at_hand(root / "folder/2").read_bytes() == FILES["folder/2"]
    use_mirrors(pickle.loads(second))
    assert at_hand(root / "folder/3").read_bytes() == b"changed before the next work"
    use_mirrors(pickle.loads(none))
    assert places.mirrors() == {}


def test_workers_reach_what_their_machine_reaches(tmp_path):
    """Folders are for all; URLs for processes of this machine, unless they are in the memory of one."""
    check_reach([tmp_path, place_of("s3://bucket/data")], same_machine=True)
    check_reach([tmp_path], same_machine=False)

    with pytest.raises(
        ClusterError, match=r"^s3://bucket/data is a URL, which only the machine of the comman"
    ):
        check_reach([tmp_path, place_of("s3://bucket/data")], same_machine=False)
    with pytest.raises(ClusterError, match=r"^memory://data is a URL of the memory of this process"):
        check_reach([place_of("memory://data")], same_machine=True)
