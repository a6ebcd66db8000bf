"""Tests of io/matlab_files.py: lists of whole numbers as MATLAB writes them, and nothing else."""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine.core.errors import DatasetError
from warprefine.io.matlab_files import read_numbers

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def read(path: Path, name: str = "a") -> list[int]:
    return read_numbers(path, name, expected="a split", error_class=DatasetError).tolist()


def element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def matrix(name: bytes = b"a", *, flags: int = 6, kind: int = 9, values: bytes = bytes(8)) -> bytes:
    parts = element(6, struct.pack("<II", flags, 0)) + element(5, struct.pack("<ii", 1, 1))
    return element(14, parts + element(1, name) + element(kind, values))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "values", [[[1.0], [2.0]], np.array([[3, 300]], np.uint16), [[7]], np.arange(894)[None], [[]]]
)
def test_lists_are_read_as_scipy_writes_them(tmp_path: Path, values: Any, packed: bool) -> None:
    """Doubles and integers, short and long, compressed and not, among other variables."""
    scipy = pytest.importorskip("scipy.io", reason="not installed: extra [hf]")
    content = {"first": "text", "cells": np.array(["x", "yy"], object), "a": values, "last": 1}
    scipy.savemat(tmp_path / "a.mat", content, do_compression=packed)

    assert read(tmp_path / "a.mat") == np.ravel(values, order="F").tolist()


def test_either_order_of_bytes_is_read(tmp_path: Path) -> None:
    """Machines of the other order have written files, too."""
    sub = [
        (6, struct.pack(">II", 6, 0)),
        (5, struct.pack(">ii", 1, 1)),
        (1, b"a".ljust(8)),
        (9, bytes(6) + b"\x40\x08"),
    ]
    body = b"".join(struct.pack(">II", kind, 1 if kind == 1 else 8) + value for kind, value in sub)
    body = body[:-8] + struct.pack(">d", 3.0)
    (tmp_path / "a.mat").write_bytes(HEADER[:124] + b"\x01\x00MI" + struct.pack(">II", 14, len(body)) + body)

    assert read(tmp_path / "a.mat") == [3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is no MATLAB file of version 5 to 7"),
        (b"\x89HDF\r\n".ljust(200), "it is no MATLAB file of version 5 to 7"),
        (HEADER + matrix()[:-4], "it is cut short"),
        (HEADER + element(15, zlib.compress(bytes(80 << 20))), "it unpacks to more than 64 MiB"),
        (HEADER + element(15, b"rubbish"), "Error -3 while decompressing"),
        (HEADER + matrix(flags=4), "a is no list of numbers"),
        (HEADER + matrix(flags=0x0806), "a is no list of numbers"),
        (HEADER + matrix(values=struct.pack("<d", 0.5)), "a holds other values than whole numbers"),
        (HEADER + matrix(values=struct.pack("<d", float("nan"))), "a holds other values than whole numbers"),
        (HEADER + matrix(values=struct.pack("<d", 1e300)), "a holds other values than whole numbers"),
        (HEADER + matrix(kind=99), "a is no list of numbers"),
        (HEADER + element(14, b""), "a variable is cut short"),
    ],
)
def test_damage_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    """Bombs, other values than numbers and bytes that are missing are one line."""
    (tmp_path / "a.mat").write_bytes(content)

    with pytest.raises(
        DatasetError, match=rf"cannot read .*a\.mat \(.*{words}.*\); download or copy it"
    ) as caught:
        read(tmp_path / "a.mat")

    assert "\n" not in str(caught.value)


def test_a_variable_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With what was expected."""
    (tmp_path / "a.mat").write_bytes(HEADER + matrix(b"b"))

    with pytest.raises(DatasetError, match=r"a\.mat holds no a; expected a split"):
        read(tmp_path / "a.mat")


def test_no_damage_ends_otherwise(tmp_path: Path) -> None:
    """Whatever bytes change, there are numbers or there is one line."""
    draws, sound = random.Random(0), HEADER + matrix(b"b") + element(15, zlib.compress(matrix()))
    for _ in range(300):
        content = bytearray(sound)
        for _ in range(draws.randrange(1, 6)):
            content[draws.randrange(124, len(content))] = draws.randrange(256)
        (tmp_path / "a.mat").write_bytes(content[: draws.randrange(100, len(content) + 1)])
        with suppress(DatasetError):
            read(tmp_path / "a.mat")
