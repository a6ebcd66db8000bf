"""Tests of io/file_kinds.py: the first bytes tell what a file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.io.file_kinds import other_kind


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\n\n<HTML>", "a web page"),
        (b'<?xml version="1.0"?><Error>', "an XML text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"BZh91AY", "an archive of bzip2"),
        (b"7z\xbc\xaf\x27\x1c\x00", "an archive of 7-Zip"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x93NUMPY\x01", "an array of numpy"),
        (b"\x89PNG\r\n", "a PNG image"),
    ],
)
def test_other_files_are_told(tmp_path: Path, content: bytes, kind: str) -> None:
    """What is fetched in place of a file is recognised, whatever its name."""
    (tmp_path / "a.pth").write_bytes(content)

    assert (other_kind(tmp_path / "a.pth") or "").startswith(kind)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}.", b"PK\x03\x04", b"version 1", b"<"])
def test_all_else_is_left_to_its_reader(tmp_path: Path, content: bytes) -> None:
    """Unknown bytes say nothing."""
    (tmp_path / "a.pth").write_bytes(content)

    assert other_kind(tmp_path / "a.pth") is None


def test_a_pointer_of_git_annex_is_told(tmp_path: Path) -> None:
    """Data sets that are kept with git-annex hold such in the place of files that were not fetched."""
    (tmp_path / "a.png").write_text("/annex/objects/MD5E-s21--0.png\n")

    assert (other_kind(tmp_path / "a.png") or "").startswith("a pointer of git-annex, not the file")
