"""Tests of io/text.py: text is read as any editor saves it, and refused in one line where it is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warprefine.core.errors import DatasetError, RecipeError
from warprefine.io import text
from warprefine.io.text import read_json, read_text, read_toml

TEXT = "Straße 1\n会議 2\n\N{GRINNING FACE}\n"


def read(path: Path) -> str:
    return read_text(path, expected="a list", error_class=DatasetError)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_as_any_editor_saves_it(tmp_path: Path, encoding: str, end: str) -> None:
    """The byte order mark tells the encoding, and is no part of the text; lines end as they like."""
    (tmp_path / "a.txt").write_bytes(TEXT.replace("\n", end).encode(encoding))

    assert read(tmp_path / "a.txt") == TEXT


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("width", ["16", "32"])
def test_a_mark_tells_the_order_of_bytes(tmp_path: Path, order: str, width: str) -> None:
    """Either order of bytes is read."""
    (tmp_path / "a.txt").write_bytes(f"\ufeff{TEXT}".encode(f"utf-{width}-{order}"))

    assert read(tmp_path / "a.txt") == TEXT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "a\nStraße".encode("latin-1"),
            r"a\.txt is no text in UTF-8: line 2 holds the byte 0xdf; save it as UTF-8",
        ),
        (b"\xff\xfe\x00\xd8\x00\x00", r"a\.txt is no text in UTF-8: line 1"),
        (b"\x89PNG\r\n", r"a\.txt is no text in UTF-8: line 1 holds the byte 0x89"),
    ],
)
def test_another_encoding_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    """With the line, and what to do about it."""
    (tmp_path / "a.txt").write_bytes(content)

    with pytest.raises(DatasetError, match=words):
        read(tmp_path / "a.txt")


def test_what_is_no_file_is_never_read(tmp_path: Path) -> None:
    """A folder, a pipe that nobody writes into and a device without end are told, as is nothing at all."""
    os.mkfifo(tmp_path / "pipe")

    for path, words in (
        (tmp_path, "is a folder; expected a list"),
        (tmp_path / "pipe", "is a pipe; expected a list"),
        (Path("/dev/zero"), "is a device; expected a list"),
        (tmp_path / "gone", "there is no file .*gone; expected a list"),
        (tmp_path / "gone\0", "null byte; expected a list"),
        (tmp_path / ("a" * 300), "File name too long; expected a list"),
    ):
        with pytest.raises(DatasetError, match=words):
            read(path)


def test_a_text_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than any list is not taken into memory."""
    monkeypatch.setattr(text, "MOST_BYTES", 1 << 20)
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(1 << 30)

    with pytest.raises(DatasetError, match=r"a\.txt is larger than 1 MiB; expected a list"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_and_toml_are_read_with_a_mark(tmp_path: Path, encoding: str) -> None:
    """As text is."""
    (tmp_path / "a.json").write_text('{"a": [1, "ß"]}', encoding=encoding)
    (tmp_path / "a.toml").write_text('a = [1, "ß"]', encoding=encoding)

    assert read_json(tmp_path / "a.json", expected="a list", error_class=RecipeError) == {"a": [1, "ß"]}
    assert read_toml(tmp_path / "a.toml", expected="a list", error_class=RecipeError) == {"a": [1, "ß"]}


@pytest.mark.parametrize(
    ("read", "content", "words"),
    [
        (read_json, "[" * 100_000, "is no JSON file: it is nested deeper than 64 levels; correct it there"),
        (read_json, "[" * 100 + "]" * 100, "is nested deeper than 64 levels; correct it there"),
        (read_json, "9" * 5000, "is no JSON file: it holds a number of thousands of digits; correct it"),
        (read_json, "9" * 50, "holds a number of more than 64 bits; correct it there"),
        (read_json, r'{"a": "\ud800"}', "holds '.ud800', half a surrogate pair; correct it there"),
        (read_json, "{", "is no JSON file: Expecting property name"),
        (read_toml, "a = " + "[" * 3000, "is no TOML file: it is nested deeper than 64 levels; correct it"),
        (read_toml, ".".join("a" * 100) + " = 1", "is nested deeper than 64 levels; correct it there"),
        (read_toml, "a = " + "9" * 5000, "is no TOML file: it holds a number of thousands of digits"),
        (read_toml, "a = 0x" + "f" * 50, "holds a number of more than 64 bits; correct it there"),
        (read_toml, "a", "is no TOML file: .*line 1|end of document"),
    ],
)
def test_what_no_parser_should_meet_is_one_line(
    tmp_path: Path, read: Callable[..., Any], content: str, words: str
) -> None:
    """Deep nesting, numbers without end and half characters are told like any mistake."""
    (tmp_path / "a").write_text(content)

    with pytest.raises(RecipeError, match=words) as caught:
        read(tmp_path / "a", expected="a list", error_class=RecipeError)

    assert "\n" not in str(caught.value)
