"""Tests of interchange/source.py: files, folders and archives are opened, and hostile archives are "
"refused.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tests.interchange.cases import INTERCHANGE
from warprefine.core.errors import DatasetError
from warprefine.interchange import source as module
from warprefine.interchange.source import open_source


def pack(path: Path, entries: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an archive; names are taken as they are."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo("placeholder")
            entry.filename, entry.compress_type = name, method
            archive.writestr(entry, content)
    return path


def test_an_archive_is_unpacked_and_gone_afterwards(tmp_path: Path) -> None:
    """Litter of macOS is left out; the root folder of an archive may have any name."""
    path = pack(
        tmp_path / "task.zip", {"my task/a.XML": b"<a/>", "__MACOSX/._a.XML": b"x", "my task/b/": b""}
    )

    with open_source(path) as source:
        inside = source.root
        assert [source.shown(one) for one in source.files] == ["my task/a.XML"]
        assert source.with_ending(".xml")[0].read_bytes() == b"<a/>"
        assert source.called("A.xml") == source.files

    assert not inside.exists()


def test_an_archive_that_is_alone_in_a_folder_is_unpacked(tmp_path: Path) -> None:
    """Beside other files it is one of them."""
    pack(tmp_path / "task.zip", {"a.json": b"{}"})

    with open_source(tmp_path) as source:
        assert [path.name for path in source.files] == ["a.json"]
    (tmp_path / "b.json").write_text("{}")
    with open_source(tmp_path) as source:
        assert [path.name for path in source.files] == ["b.json", "task.zip"]


def test_an_archive_is_known_by_its_content(tmp_path: Path) -> None:
    """Tools name archives .datumaro or nothing at all."""
    path = pack(tmp_path / "export", {"a.json": b"{}"})

    with open_source(path) as source:
        assert source.file is None
        assert [one.name for one in source.files] == ["a.json"]


def test_messages_name_files_by_the_archive(tmp_path: Path) -> None:
    """A person cannot look into a folder that is gone."""
    path = pack(tmp_path / "task.zip", {"a.json": b"{}"})

    with (
        pytest.raises(DatasetError, match=r"task\.zip/a\.json is odd") as caught,
        open_source(path) as source,
    ):
        raise DatasetError(f"{source.files[0]} is odd")

    assert "warprefine-" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../evil.png", r"'\.\./evil\.png', which leads out of the archive"),
        ("a/../../evil.png", "leads out of the archive"),
        ("/tmp/evil.png", "'/tmp/evil.png', which leads out"),
        ("..\\..\\evil.png", "leads out of the archive"),
        ("C:\\evil.png", "leads out of the archive"),
        ("a\0.png", "leads out of the archive"),
    ],
)
def test_names_that_lead_out_of_an_archive_are_refused(name: str, told: str, tmp_path: Path) -> None:
    """On every system, whichever slash it uses."""
    path = pack(tmp_path / "task.zip", {"a.png": b"x", name: b"y"})

    with pytest.raises(DatasetError, match=told), open_source(path):
        pass

    assert [one.name for one in tmp_path.iterdir()] == ["task.zip"]


def test_backslashes_inside_an_archive_are_folders(tmp_path: Path) -> None:
    """Some programs on Windows pack them so."""
    path = pack(tmp_path / "task.zip", {"masks\\a.png": b"x"})

    with open_source(path) as source:
        assert [source.shown(one) for one in source.files] == ["masks/a.png"]


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    """They are never followed or made."""
    path = tmp_path / "task.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("a.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")

    with pytest.raises(DatasetError, match=r"'a\.png', a symbolic link; expected files"), open_source(path):
        pass


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    """The last one must not win without a word, nor one that differs in Unicode's form alone."""
    path = pack(tmp_path / "task.zip", {"Fu\u0308r.png": b"x", "F\u00fcr.png": b"y"})

    with pytest.raises(DatasetError, match="twice; expected each name once"), open_source(path):
        pass


def test_what_unpacks_to_far_more_than_it_takes_is_refused(tmp_path: Path) -> None:
    """It is refused by the sizes that the archive states, before anything is unpacked."""
    path = pack(tmp_path / "task.zip", {"a.png": bytes(1 << 25)})

    with (
        pytest.raises(DatasetError, match=r"to 33,554,432 bytes; expected at most 300 times"),
        open_source(path),
    ):
        pass


def test_other_compression_than_deflate_is_refused(tmp_path: Path) -> None:
    """A few bytes of bzip2 unpack to hundreds of MiB in one step."""
    path = pack(tmp_path / "task.zip", {"a.png": b"x"}, method=zipfile.ZIP_BZIP2)

    with pytest.raises(DatasetError, match="compressed by method 12"), open_source(path):
        pass


def test_sizes_that_lie_are_refused(tmp_path: Path) -> None:
    """No more is read than the archive states, and its check sum does not fit then."""
    path = pack(tmp_path / "task.zip", {"a.png": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 100)
    path.write_bytes(content)

    with (
        pytest.raises(DatasetError, match=r"task\.zip is no zip archive that can be read"),
        open_source(path),
    ):
        pass


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    path = pack(tmp_path / "task.zip", {"a.png": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=r"'a.png' encrypted; expected no password"), open_source(path):
        pass


def test_too_many_entries_and_too_large_archives_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and disk are bounded."""
    path = pack(tmp_path / "task.zip", {"a.png": b"xxxx", "b.png": b"yyyy"})

    monkeypatch.setattr(module, "LARGEST_ARCHIVE", 7)
    with pytest.raises(DatasetError, match="unpacks to 8 bytes; expected at most 7"), open_source(path):
        pass
    monkeypatch.setattr(module, "MOST_ENTRIES", 1)
    with pytest.raises(DatasetError, match="holds 2 entries; expected at most 1"), open_source(path):
        pass
    monkeypatch.setattr(module, "MOST_FILES", 1)
    (tmp_path / "b.txt").touch()
    with (
        pytest.raises(DatasetError, match="more than 1 files"),
        open_source(tmp_path) as source,
    ):
        _ = source.files


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    """The directory of an archive is at its end."""
    path = pack(tmp_path / "task.zip", {"a.png": b"x" * 1000})
    path.write_bytes(path.read_bytes()[:60])

    with (
        pytest.raises(DatasetError, match=r"task\.zip is no zip archive that can be read"),
        open_source(path),
    ):
        pass


def test_a_file_and_a_folder_of_one_name_are_refused(tmp_path: Path) -> None:
    """An archive may hold both."""
    path = pack(tmp_path / "task.zip", {"a": b"x", "a/b.png": b"y"})

    with pytest.raises(DatasetError, match="is no zip archive that can be read"), open_source(path):
        pass


def test_a_folder_is_read_without_links(tmp_path: Path) -> None:
    """A link may lead anywhere."""
    (tmp_path / "a.json").touch()
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    (tmp_path / ".hidden").touch()

    with open_source(tmp_path) as source:
        assert [one.name for one in source.files] == ["a.json"]
        assert source.below(tmp_path / "nothing") == ()


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """And so is a choice between two files."""
    with pytest.raises(DatasetError, match="there is no file"), open_source(tmp_path / "nothing.json"):
        pass
    for name in "ab":
        (tmp_path / f"{name}.json").touch()
    with open_source(tmp_path) as source:
        with pytest.raises(
            DatasetError, match=r"holds a\.json, b\.json; expected one JSON file; name the file"
        ):
            source.only(source.files, expected="one JSON file")
        with pytest.raises(DatasetError, match=r"holds a\.json, b\.json; expected an XML file"):
            source.only((), expected="an XML file")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("drive/000.png", "images/drive/000.png"),
        ("images/drive/000.png", "images/drive/000.png"),
        ("images\\drive\\000.png", "images/drive/000.png"),
        ("000.png", None),
        ("other/000.png", None),
    ],
)
def test_a_picture_is_found_by_the_end_of_its_path(name: str, found: str | None, tmp_path: Path) -> None:
    """Where only one has that end."""
    for video in ("drive", "walk"):
        (tmp_path / "images" / video).mkdir(parents=True)
        (tmp_path / "images" / video / "000.png").touch()

    with open_source(tmp_path) as source:
        picture = source.picture(name)

    assert (picture and picture.relative_to(tmp_path).as_posix()) == found


@pytest.mark.skipif(not INTERCHANGE.is_dir(), reason=f"no cases at {INTERCHANGE}")
def test_hostile_archives_of_the_cases_are_refused() -> None:
    """By their names, sizes and links, whatever the format."""
    found = sorted(INTERCHANGE.glob("hostile/zip_*/input/*.zip"))

    for path in found:
        with pytest.raises(DatasetError), open_source(path):
            pass

    assert len(found) == 7
