"""Read text that people write by hand: plain lists, TOML and JSON, as any editor saves them."""

from __future__ import annotations

import codecs
import json
import tomllib
from pathlib import Path
from typing import Any

from warprefine.core.errors import WarpRefineError
from warprefine.io.foreign import DECODER_ERRORS, check_file, reason

MOST_BYTES = 1 << 26
"""No list, recipe or class file comes near 64 MiB."""
_DEEPEST = 64
_MOST_BITS = 64  # of a whole number, as TOML has it

# Those of UTF-32 first: the one of UTF-16 is the beginning of one of them.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(
    path: Path, *, expected: str, error_class: type[WarpRefineError], most_bytes: int | None = None
) -> str:
    r"""Read text in UTF-8, with a byte order mark or without, or in UTF-16 or UTF-32 with one.

    Line ends become "\n".

    Args:
        expected: What should lie there, for the message.
        error_class: The class of the error.
        most_bytes: A larger file is refused; None is 64 MiB.

    Raises:
        WarpRefineError: The file is missing or no file, cannot be read, is larger than `most_bytes`, or is in
            another encoding.
    """
    check_file(path, expected=expected, error_class=error_class)
    most_bytes = most_bytes or MOST_BYTES
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise error_class(f"cannot read {path}: {reason(error)}; expected {expected}") from error
    if len(content) > most_bytes:
        raise error_class(f"{path} is larger than {most_bytes >> 20} MiB; expected {expected}")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise error_class(
            f"{path} is no text in UTF-8: line {line} holds the byte {content[error.start]:#04x}; "
            f"save it as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path, *, expected: str, error_class: type[WarpRefineError]) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        expected: What should lie there, for the message.
        error_class: The class of the error.

    Raises:
        WarpRefineError: As for `read_text`; or it is no TOML, is nested deeper than 64 levels, or holds a
            whole number of more than 64 bits.
    """
    text = read_text(path, expected=expected, error_class=error_class)
    try:
        content = tomllib.loads(text)
    except DECODER_ERRORS as error:
        raise _no_such(path, "TOML", error, error_class) from error
    _check_bounds(path, content, error_class)
    return content


def read_json(path: Path, *, expected: str, error_class: type[WarpRefineError]) -> Any:
    """Read a JSON file; what it holds may be of any shape.

    Args:
        expected: What should lie there, for the message.
        error_class: The class of the error.

    Raises:
        WarpRefineError: As for `read_text`; or it is no JSON, is nested deeper than 64 levels, or holds a
            whole number of more than 64 bits, or half a surrogate pair.
    """
    text = read_text(path, expected=expected, error_class=error_class)
    try:
        content = json.loads(text)
    except DECODER_ERRORS as error:
        raise _no_such(path, "JSON", error, error_class) from error
    _check_bounds(path, content, error_class)
    return content


def _no_such(path: Path, kind: str, error: Exception, error_class: type[WarpRefineError]) -> WarpRefineError:
    told = reason(error)
    if isinstance(error, RecursionError):
        told = f"it is nested deeper than {_DEEPEST} levels"
    elif "integer string conversion" in told:
        told = "it holds a number of thousands of digits"
    return error_class(f"{path} is no {kind} file: {told}; correct it there")


def _check_bounds(path: Path, content: Any, error_class: type[WarpRefineError]) -> None:
    """Check that printing and converting the values cannot fail."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        parts: list[Any] = []
        if isinstance(value, dict):
            parts = [*value, *value.values()]
        elif isinstance(value, list):
            parts = value
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise error_class(f"{path} holds a number of more than {_MOST_BITS} bits; correct it there")
        elif isinstance(value, str) and value.encode(errors="ignore").decode() != value:
            raise error_class(f"{path} holds {value[:40]!a}, half a surrogate pair; correct it there")
        if parts and depth == _DEEPEST:
            raise error_class(f"{path} is nested deeper than {_DEEPEST} levels; correct it there")
        waiting += [(part, depth + 1) for part in parts]
