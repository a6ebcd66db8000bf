"""Tests of interchange/records.py and packages.py: files of tools are checked field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from warprefine.core.errors import DatasetError
from warprefine.interchange import records as module
from warprefine.interchange.packages import package
from warprefine.interchange.records import Record, read_json_file, read_record, read_xml_file, records


@pytest.mark.parametrize(
    ("method", "value", "told"),
    [
        ("text", 3, "has a = 3; expected a text"),
        ("text", "\ud800", "expected a text"),
        ("whole", "3", "has a = '3'; expected a whole number"),
        ("whole", 3.5, r"has a = 3\.5; expected a whole number"),
        ("whole", True, "has a = True; expected a whole number"),
        ("whole", 1 << 60, "expected a whole number"),
        ("number", "3", "has a = '3'; expected a number"),
        ("number", True, "expected a number"),
        ("listed", {}, r"has a = \{\}; expected a list"),
        ("record", [], r"has a = \[\]; expected an object in braces"),
        ("text", None, "has no 'a'; expected a text"),
    ],
)
def test_fields_of_another_kind_are_refused(method: str, value: object, told: str) -> None:
    """The message names the place, and what was found there."""
    with pytest.raises(DatasetError, match=f"^a.json, image 1 .*{told}"):
        getattr(Record({"a": value}, "a.json, image 1"), method)("a")


@pytest.mark.parametrize("strange", [{"a": {str(n): ["x" * 500] * 9 for n in range(9)}}, "x" * 5000, [[[]]]])
def test_messages_stay_short_whatever_a_file_holds(strange: object) -> None:
    """A name that is an object, or an id that is a page long, does not fill the screen."""
    (record,) = records([{"id": strange, "name": {"nested": strange}}], "a.json, object")
    with pytest.raises(DatasetError, match="expected a text") as caught:
        record.text("name")

    assert len(str(caught.value)) < 500


def test_fields_are_returned_as_they_are() -> None:
    """Whole numbers may be written as 3.0, and what is missing may have a default."""
    record = Record({"a": 3.0, "b": "x", "c": [{"id": 7, "d": 1}, {"d": 2}], "e": {"f": 1}}, "a.json")

    assert (record.whole("a"), record.number("a"), record.text("b")) == (3, 3.0, "x")
    assert (record.whole("z", 5), record.text("z", ""), record.listed("z", [])) == (5, "", [])
    assert [one.where for one in record.records("c")] == ["a.json, c 7", "a.json, c 1"]
    assert record.record("e").whole("f") == 1
    with pytest.raises(DatasetError, match=r"a.json holds 3 at place 0; expected an object in braces"):
        list(records([3], "a.json"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": 1', r"a\.json is no JSON file that can be read: .*; expected COCO; export it again"),
        (b'{"a": NaN}', "it holds NaN, which is no number"),
        (b'{"a": "\xe4"}', r"a\.json is no text in UTF-8"),
        (b"[" * 100_000, "it is nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "read: it holds a number of thousands of digits; expected COCO"),
    ],
)
def test_damaged_json_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    """In one line."""
    path = tmp_path / "a.json"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match=told):
        read_json_file(path, expected="COCO")


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Programs on Windows write one."""
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")

    assert read_json_file(path, expected="COCO") == [1]
    with pytest.raises(DatasetError, match=r"a.json holds a list; expected COCO, an object in braces"):
        read_record(path, expected="COCO", named="a.json")


def test_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are read."""
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    path = tmp_path / "a.json"
    path.write_bytes(b" " * ((1 << 20) + 1))

    with pytest.raises(DatasetError, match=r"a\.json is larger than 1 MiB"):
        read_json_file(path, expected="COCO")
    with pytest.raises(DatasetError, match=r"a\.json is larger than 1 MiB"):
        read_xml_file(path, expected="CVAT")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "has a document type or entities"),
        ('<?xml version="1.0"?><!DOCTYPE a SYSTEM "b.dtd"><a/>', "has a document type or entities"),
        ("<a>", r"a\.xml is no XML file that can be read"),
        ("", r"a\.xml is no XML file that can be read"),
    ],
)
def test_damaged_and_hostile_xml_is_refused(content: str, told: str, tmp_path: Path) -> None:
    """No entity is ever expanded, and no other file is opened."""
    pytest.importorskip("defusedxml", reason="not installed: extra [formats]")
    (tmp_path / "a.xml").write_text(content)

    with pytest.raises(DatasetError, match=told):
        read_xml_file(tmp_path / "a.xml", expected="CVAT")


def test_xml_is_read_in_any_encoding_with_a_mark(tmp_path: Path) -> None:
    """The declaration of another encoding no longer holds once the text is decoded."""
    pytest.importorskip("defusedxml", reason="not installed: extra [formats]")
    (tmp_path / "a.xml").write_text('<?xml version="1.0" encoding="utf-16"?><a b="ü"/>', encoding="utf-16")

    assert read_xml_file(tmp_path / "a.xml", expected="CVAT").attrib == {"b": "ü"}


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that has it."""

    def failing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("warprefine.interchange.packages.importlib.import_module", failing)

    with pytest.raises(
        DatasetError, match=r"COCO needs the package pycocotools, .*pip install '\.\[formats\]'"
    ):
        package("pycocotools.mask", needed_for="COCO")
