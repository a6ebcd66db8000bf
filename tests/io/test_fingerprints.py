"""Tests of io/fingerprints.py: equal inputs have equal fingerprints, and a change shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import LabelError
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file


def test_fingerprints_are_short_and_the_same_in_every_process() -> None:
    """A resumed run finds the fingerprints that an earlier process wrote, so they do not vary."""
    assert fingerprint_of("dis-fine", 0.12, (1, 2)) == "c91abccf34d91091"
    assert fingerprint_of() == "2e38e77b22c314a4"


@pytest.mark.parametrize(
    "other", [("a", 1.0), ("a", "1"), ("a1",), (("a", 1),), (1, "a"), ("a", 1, None), ("b", 1), ("a",)]
)
def test_another_value_has_another_fingerprint(other: tuple[object, ...]) -> None:
    """Values, their types, their number, their order and their nesting all count."""
    assert fingerprint_of(*other) != fingerprint_of("a", 1)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    """Its name and time do not count; each of its bytes does."""
    first, same, other = tmp_path / "first.bin", tmp_path / "same.txt", tmp_path / "other.bin"
    content = bytes(range(256)) * 5000
    first.write_bytes(content)
    same.write_bytes(content)
    other.write_bytes(content[:-1] + b"\0")

    assert fingerprint_of_file(first) == fingerprint_of_file(same)
    assert fingerprint_of_file(first) != fingerprint_of_file(other)


def test_the_fingerprint_of_a_file_begins_its_sha256(tmp_path: Path) -> None:
    """Any tool that computes SHA-256 can check it."""
    (tmp_path / "abc").write_bytes(b"abc")

    assert fingerprint_of_file(tmp_path / "abc") == "ba7816bf8f01cfea"


def test_a_file_that_cannot_be_read_has_no_fingerprint(tmp_path: Path) -> None:
    """A missing file is an error, not an empty one."""
    with pytest.raises(LabelError, match=r"there is no file .*gone"):
        fingerprint_of_file(tmp_path / "gone", LabelError)
