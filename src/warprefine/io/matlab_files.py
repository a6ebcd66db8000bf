"""Read lists of whole numbers from small MATLAB files (level 5, which MATLAB writes as version 5 to 7).

Only what such lists need is read: numeric arrays, compressed or not. The general reader of SciPy ends the
whole process on some damaged files.

Format: MathWorks, MAT-File Format (2019), chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warprefine.core.errors import WarpRefineError
from warprefine.io.foreign import DECODER_ERRORS, check_file, reason

_LARGEST = 1 << 26
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # double, single, and integers of 8 to 64 bits
_COMPLEX = 0x0800
_LARGEST_NUMBER = 1 << 53  # beyond which MATLAB's own numbers are not exact


class _DamageError(ValueError):
    """Content that is no MATLAB file of level 5."""


def read_numbers(
    path: Path, name: str, *, expected: str, error_class: type[WarpRefineError]
) -> NDArray[np.int64]:
    """Return a variable of whole numbers as a list, (n,), column by column.

    Args:
        name: The name of the variable.
        expected: What the file should be, for the message.
        error_class: The class of the error.

    Raises:
        WarpRefineError: The file is missing, is larger than 64 MiB, is no MATLAB file of level 5 or damaged,
            or holds no variable of that name, or one of other values than whole numbers.
    """
    check_file(path, expected=expected, error_class=error_class)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        values = _variables(content, name)
    except DECODER_ERRORS as error:
        raise error_class(f"cannot read {path} ({reason(error)}); download or copy it again") from error
    if values is None:
        raise error_class(f"{path} holds no {name}; expected {expected}")
    return values


def _variables(content: bytes, name: str) -> NDArray[np.int64] | None:
    if len(content) > _LARGEST:
        raise _DamageError(f"it is larger than {_LARGEST >> 20} MiB")
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER - 2 : _HEADER])
    if order is None or struct.unpack_from(f"{order}H", content, _HEADER - 4) != (0x0100,):
        raise _DamageError("it is no MATLAB file of version 5 to 7")
    for kind, body in _elements(content[_HEADER:], order):
        unpacked = _elements(_unpacked(body), order) if kind == _COMPRESSED else [(kind, body)]
        for inner_kind, inner_body in unpacked:
            if inner_kind == _MATRIX and (found := _matrix(inner_body, name, order)) is not None:
                return found
    return None


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(body, _LARGEST)
    if unpacker.unconsumed_tail:
        raise _DamageError(f"it unpacks to more than {_LARGEST >> 20} MiB")
    return content


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and body of each element; short ones stand in the eight bytes of their own tag."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            start = place + 8
            place = start + size
            if kind != _COMPRESSED:
                place = (place + 7) // 8 * 8
        if start + size > len(content):
            raise _DamageError("it is cut short")
        yield kind, content[start : start + size]


def _matrix(body: bytes, name: str, order: str) -> NDArray[np.int64] | None:
    """Return the values of a matrix of that name; `None` if it has another."""
    parts = list(islice(_elements(body, order), 4))
    if len(parts) < 3:
        raise _DamageError("a variable is cut short")
    flags, found = parts[0][1], parts[2][1]
    if found != name.encode():
        return None
    (bits,) = struct.unpack_from(f"{order}I", flags)
    kind, values = parts[3] if len(parts) > 3 else (2, b"")
    if bits & 0xFF not in _NUMERIC_CLASSES or bits & _COMPLEX or kind not in _KINDS:
        raise _DamageError(f"{name} is no list of numbers")
    numbers = np.frombuffer(values, f"{order}{_KINDS[kind]}").astype(np.float64)
    if not (np.isfinite(numbers) & (numbers == np.rint(numbers)) & (abs(numbers) < _LARGEST_NUMBER)).all():
        raise _DamageError(f"{name} holds other values than whole numbers")
    return numbers.astype(np.int64)
