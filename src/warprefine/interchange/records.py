"""Read JSON and XML of annotation tools, bounded, and checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError

from warprefine.core.errors import DatasetError
from warprefine.interchange.packages import package
from warprefine.io.foreign import DECODER_ERRORS, reason
from warprefine.io.text import read_text

MOST_BYTES = 1 << 29
"""Half a GiB of JSON or XML: brush strokes of 10,000 frames are less."""
_LARGEST_WHOLE = 1 << 53
_LONGEST_NAME = 80
_SHOWN = Repr()
_SHOWN.maxlevel, _SHOWN.maxdict, _SHOWN.maxlist, _SHOWN.maxstring = 2, 3, 4, 60
_XML_ERRORS: tuple[type[Exception], ...] = (ParseError, *DECODER_ERRORS)


@dataclass(frozen=True)
class Record:
    """A JSON object and where it lies; its methods check what they return.

    Example:
        >>> image = Record({"id": 3, "file_name": "a.png"}, "a.json")
        >>> image.whole("id"), image.text("file_name"), image.has("width")
        (3, 'a.png', False)
        >>> image.whole("width")
        Traceback (most recent call last):
            ...
        warprefine.core.errors.DatasetError: a.json has no 'width'; expected a whole number; export it again
    """

    values: Mapping[str, Any]
    where: str

    def has(self, key: str) -> bool:
        """Return whether there is an entry that is not null."""
        return self.values.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; `default`, if given, where there is no such entry."""
        value = self._get(key, default, "a text")
        if not isinstance(value, str) or value.encode(errors="ignore").decode() != value:
            self.refuse(f"has {key} = {shown_value(value)}; expected a text")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number below 2⁵³; one that is written as 3.0 is 3."""
        value = self._get(key, default, "a whole number")
        if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE:
            value = int(value)
        if type(value) is not int or abs(value) >= _LARGEST_WHOLE:
            self.refuse(f"has {key} = {shown_value(value)}; expected a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self._get(key, default, "a number")
        if type(value) not in (int, float) or not math.isfinite(value):
            self.refuse(f"has {key} = {shown_value(value)}; expected a number")
        return float(value)

    def listed(self, key: str, default: list[Any] | None = None) -> list[Any]:
        """Return a list of anything."""
        value = self._get(key, default, "a list")
        if not isinstance(value, list):
            self.refuse(f"has {key} = {shown_value(value)}; expected a list")
        return value

    def record(self, key: str) -> Record:
        """Return an object."""
        value = self._get(key, None, "an object in braces")
        if not isinstance(value, dict):
            self.refuse(f"has {key} = {shown_value(value)}; expected an object in braces")
        return Record(value, f"{self.where}, {key}")

    def records(self, key: str, default: list[Any] | None = None) -> Iterator[Record]:
        """Yield the objects of a list; each is named by its id, else by its position from 0."""
        yield from records(self.listed(key, default), f"{self.where}, {key}")

    def refuse(self, found: str, *, cure: str = "export it again") -> NoReturn:
        """Raise an error about this object.

        Raises:
            DatasetError: Always; the message is where, what was found and expected, and the cure.
        """
        raise DatasetError(f"{self.where} {found}; {cure}")

    def _get(self, key: str, default: Any, expected: str) -> Any:
        value = self.values.get(key)
        if value is None and default is None:
            self.refuse(f"has no {key!r}; expected {expected}")
        return default if value is None else value


def records(values: list[Any], where: str) -> Iterator[Record]:
    """Yield the objects of a JSON list; each is named by its id, else by its position from 0.

    Raises:
        DatasetError: One is no object.
    """
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise DatasetError(
                f"{where} holds {shown_value(value)} at place {number}; expected an object in braces; export "
                "it "
                "again"
            )
        named = value.get("id", number)
        short = isinstance(named, int | str) and len(str(named)) <= _LONGEST_NAME
        yield Record(value, f"{where} {named if short else number}")


def shown_value(value: object) -> str:
    """Return a value as messages show it: whatever it holds, about a line.

    Example:
        >>> shown_value("a"), shown_value({"a": [1, {"b": 2}]}), len(shown_value("x" * 1000))
        ("'a'", "{'a': [1, {...}]}", 60)
    """
    return _SHOWN.repr(value)


def read_json_file(path: Path, *, expected: str) -> Any:
    """Read a JSON file of an annotation tool, in UTF-8 with or without byte order mark.

    Args:
        expected: What should lie there, for messages: "COCO annotations".

    Raises:
        DatasetError: It is missing, larger than `MOST_BYTES`, not in UTF-8 or no JSON, or holds NaN.
    """
    text = read_text(path, expected=expected, error_class=DatasetError, most_bytes=MOST_BYTES)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except DECODER_ERRORS as error:
        told = reason(error)
        if isinstance(error, RecursionError):
            told = "it is nested too deep"
        elif "integer string conversion" in told:  # Python goes on with a function to call
            told = "it holds a number of thousands of digits"
        raise DatasetError(
            f"{path} is no JSON file that can be read: {told}; expected {expected}; export it again"
        ) from error


def read_record(path: Path, *, expected: str, named: str) -> Record:
    """Read a JSON file that holds one object; `named` is how messages name the file."""
    value = read_json_file(path, expected=expected)
    if not isinstance(value, dict):
        raise DatasetError(
            f"{named} holds a {type(value).__name__}; expected {expected}, an object in braces"
        )
    return Record(value, named)


def read_xml_file(path: Path, *, expected: str) -> Element:
    """Read an XML file of an annotation tool; one with entities or a document type is refused.

    Raises:
        DatasetError: It is missing, too large, damaged, or has a document type or entities.
    """
    defused = package("defusedxml", needed_for="reading XML")
    tree = package("defusedxml.ElementTree", needed_for="reading XML")
    text = read_text(path, expected=expected, error_class=DatasetError, most_bytes=MOST_BYTES)
    try:
        root: Element = tree.fromstring(_without_declaration(text), forbid_dtd=True)
    except defused.DefusedXmlException as error:
        raise DatasetError(
            f"{path} has a document type or entities, which can read other files and fill the memory; "
            "expected "
            f"{expected} without; export it again"
        ) from error
    except _XML_ERRORS as error:
        raise DatasetError(
            f"{path} is no XML file that can be read: {reason(error)}; expected {expected}; export it again"
        ) from error
    return root


def _without_declaration(text: str) -> str:
    """Return XML without `<?xml encoding=...?>`, which no longer holds: the text is decoded."""
    start = text.lstrip()
    if start.startswith("<?xml") and "?>" in start[:200]:
        return start.partition("?>")[2]
    return start


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"it holds {word}, which is no number")
