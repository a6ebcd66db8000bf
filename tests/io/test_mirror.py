"""Data by URL: files come when they are opened, within a bound, and never changed ones unnoticed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from warprefine.core.errors import StorageError
from warprefine.io.fingerprints import file_state, fingerprint_of_file
from warprefine.io.mirror import Mirror, is_hollow, open_data, size_of_mirrors
from warprefine.io.places import address_of, at_hand, check_published, place_of, url_of, with_urls
from warprefine.io.storage import Storage

FILES = {f"folder/{number}": f"content of {number}".encode() for number in range(8)}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A folder of eight files in memory; mirrors lie in a folder of the test."""
    monkeypatch.setenv("WARPREFINE_MIRRORS", str(tmp_path / "mirrors"))
    storage = Storage(f"memory://{tmp_path}/data")
    for name, content in FILES.items():
        storage.write(name, content)
    return storage


def test_files_are_listed_at_once_and_copied_when_they_are_opened(storage):
    """A mirror has the names and sizes of all files before it has the content of any."""
    root = open_data(storage.url)
    sizes = {path.name: path.stat().st_size for path in (root / "folder").iterdir()}

    read = at_hand(root / "folder/3").read_bytes()

    assert sizes == {Path(name).name: len(content) for name, content in FILES.items()}
    assert read == FILES["folder/3"]
    assert [path.name for path in sorted((root / "folder").iterdir()) if not is_hollow(path)] == ["3"]


def test_a_path_that_is_no_url_is_left_alone(tmp_path):
    """Folders of this machine are used where they are, and nothing is copied for them."""
    assert open_data(tmp_path) == place_of(str(tmp_path)) == at_hand(tmp_path) == tmp_path
    assert url_of(tmp_path) is None
    assert address_of(tmp_path) == str(tmp_path.resolve())


def test_messages_have_urls(storage):
    """A path in a mirror is shown as the URL that it stands for."""
    root = open_data(storage.url)

    assert with_urls(f"cannot read {root / 'folder/1'}") == f"cannot read {storage.url}/folder/1"
    assert address_of(root) == storage.url


def test_no_more_is_kept_than_the_bound_allows(storage, monkeypatch):
    """The files that were opened longest ago become hollow again; all content stays right."""
    monkeypatch.setenv("WARPREFINE_MIRROR_SIZE", "25B")
    root = open_data(storage.url)

    for _ in range(2):
        for name, content in FILES.items():
            assert at_hand(root / name).read_bytes() == content

    assert [path.name for path in sorted((root / "folder").iterdir()) if not is_hollow(path)] == ["6", "7"]


def test_files_in_use_stay_while_others_come_and_go(storage, tmp_path):
    """However small the bound, each thread reads what it asked for."""
    mirror = Mirror(storage, tmp_path / "mirror", most_bytes=1)
    mirror.list_files(storage.files())
    begun = threading.Barrier(4)

    def read(first: int) -> bool:
        begun.wait()
        good = True
        for number in range(first, first + 40):
            name = f"folder/{number % 8}"
            mirror.fetch(mirror.root / name)
            good &= (mirror.root / name).read_bytes() == FILES[name]
        return good

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))


def test_what_was_copied_is_used_again_until_it_changes(storage, monkeypatch):
    """A file is copied once for all runs; one that was written again is copied again."""
    root = open_data(storage.url)
    kept, changed = root / "folder/1", root / "folder/2"
    for path in (kept, changed):
        at_hand(path)
    state = file_state(kept), file_state(changed)
    storage.write("folder/2", b"other content")
    storage.delete(["folder/7"])

    root = open_data(storage.url)

    assert (is_hollow(kept), is_hollow(changed), (root / "folder/7").exists()) == (False, True, False)
    assert at_hand(changed).read_bytes() == b"other content"
    assert (file_state(kept) == state[0], file_state(changed) == state[1]) == (True, False)


def test_a_file_that_changes_during_a_run_is_noticed(storage):
    """Data that are not those that were listed end the command."""
    root = open_data(storage.url)
    storage.write("folder/2", b"CONTENT OF 2")

    with pytest.raises(StorageError, match="folder/2 has changed since it was listed"):
        at_hand(root / "folder/2")


def test_a_fingerprint_does_not_depend_on_what_is_here(storage, monkeypatch, tmp_path):
    """The hash of a file's content is that of the same file on the disk, and it is copied if need be."""
    root = open_data(storage.url)
    (tmp_path / "same").write_bytes(FILES["folder/5"])

    assert fingerprint_of_file(root / "folder/5") == fingerprint_of_file(tmp_path / "same")


def test_an_empty_folder_is_refused(storage):
    """A URL with nothing below it is a mistake in its name."""
    with pytest.raises(StorageError, match="holds no files"):
        open_data(storage.url + "/other")


@pytest.mark.parametrize(("text", "size"), [("", 20 * 10**9), ("25B", 25), (" 2GB ", 2 * 10**9)])
def test_the_bound_is_a_variable(text, size, monkeypatch):
    """The size of mirrors is given as that of the cache is."""
    monkeypatch.setenv("WARPREFINE_MIRROR_SIZE", text)

    assert size_of_mirrors() == size


def test_a_bound_that_is_no_size_is_refused(monkeypatch):
    """A size that cannot be understood is never guessed."""
    monkeypatch.setenv("WARPREFINE_MIRROR_SIZE", "20G")

    with pytest.raises(
        StorageError, match="WARPREFINE_MIRROR_SIZE is '20G'; expected a number with its unit"
    ):
        size_of_mirrors()


def test_a_copy_to_read_is_not_written(storage):
    """What a command would write into a copy would never reach the storage, so that it is refused."""
    root = open_data(storage.url)

    with pytest.raises(StorageError, match="cannot be written by this command"):
        check_published(root)
