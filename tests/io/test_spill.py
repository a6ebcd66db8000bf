"""Tests of io/spill.py: values in bounded memory, and the rest on disk without loss."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import RunFolderError
from warprefine.io import spill
from warprefine.io.atomic import temporary_file
from warprefine.io.spill import Spilling, SpillingStore

SIZE = 400
"""Bytes of a value."""


def value(number: int) -> Tensor:
    """Return a value with bits that any rounding would change."""
    return torch.arange(100, dtype=torch.float32) / 7 + number


def store_in(folder: Path, *, limit: int = 2 * SIZE, least: int = 1) -> SpillingStore[Tensor]:
    return SpillingStore[Tensor](
        Spilling(
            folder=folder,
            limit_of=lambda _: limit,
            least=least,
            tensors_of=lambda tensor: {"values": tensor},
            value_of=lambda tensors: tensors["values"],
        )
    )


def test_a_value_has_the_same_bits_after_it_lay_on_disk(tmp_path: Path) -> None:
    """What no longer fits into memory is written and read without loss, as often as wanted."""
    store = store_in(tmp_path)
    for number in range(9):
        store[number] = value(number)

    for number in (*range(9), *reversed(range(9))):
        assert number in store
        assert torch.equal(store[number], value(number))
    assert 9 not in store


def test_so_much_stays_in_memory_as_may(tmp_path: Path) -> None:
    """Those that were used last are the same objects; the others are read again."""
    store, values = store_in(tmp_path), [value(number) for number in range(4)]
    for number in range(3):
        store[number] = values[number]
    assert store[1] is values[1]  # used later than 2
    store[3] = values[3]

    assert store[3] is values[3]
    assert store[1] is values[1]
    assert store[0] is not values[0]
    assert store[2] is not values[2]


def test_a_few_stay_however_large_they_are(tmp_path: Path) -> None:
    """A limit below the size of one value leaves the least number in memory."""
    store, values = store_in(tmp_path, limit=1, least=3), [value(number) for number in range(4)]
    for number in range(4):
        store[number] = values[number]

    assert [store[number] is values[number] for number in (3, 2, 1)] == [True] * 3


def test_without_a_folder_all_stay_in_memory() -> None:
    """Nothing is written."""
    store, values = SpillingStore[Tensor](), [value(number) for number in range(50)]
    for number in range(50):
        store[number] = values[number]

    assert all(store[number] is values[number] for number in range(50))


def test_a_value_replaces_the_one_on_disk(tmp_path: Path) -> None:
    """The last one counts, also when it is written in its turn."""
    store = store_in(tmp_path, limit=SIZE)
    for number in (0, 1, 2):
        store[number] = value(number)
    store[0] = value(7)
    store[1] = value(8)

    assert torch.equal(store[0], value(7))
    assert torch.equal(store[1], value(8))


def test_what_is_not_wanted_is_dropped(tmp_path: Path) -> None:
    """From memory and from disk; the rest is still there."""
    store = store_in(tmp_path)
    for number in range(6):
        store[number] = value(number)

    store.keep(lambda key: key in {1, 5})

    assert [number for number in range(6) if number in store] == [1, 5]
    assert torch.equal(store[1], value(1))
    assert torch.equal(store[5], value(5))


def test_the_file_has_no_name_and_is_closed_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind, whenever the process ends; the folder is made if it is missing."""
    files: list[BinaryIO] = []

    def watched(folder: Path) -> BinaryIO:
        files.append(temporary_file(folder))
        return files[-1]

    monkeypatch.setattr(spill, "temporary_file", watched)
    store = store_in(tmp_path / "cache")
    for number in range(4):
        store[number] = value(number)

    assert list((tmp_path / "cache").iterdir()) == []
    del store
    gc.collect()
    assert [file.closed for file in files] == [True]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with the folder and the remedy."""

    class Full:
        def seek(self, *_: int) -> int:
            return 0

        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    monkeypatch.setattr(spill, "temporary_file", lambda folder: Full())
    store = store_in(tmp_path, limit=SIZE)
    store[0] = value(0)

    with pytest.raises(RunFolderError, match=rf"cannot write {tmp_path}: the disk is full"):
        store[1] = value(1)


def test_a_disk_that_takes_a_part_gets_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may write, and read, less than it was given."""

    class Slow:
        def __init__(self, folder: Path) -> None:
            self._file = (folder / "slow").open("w+b", buffering=0)

        def seek(self, *place: int) -> int:
            return self._file.seek(*place)

        def write(self, content: memoryview) -> int:
            return self._file.write(content[:100]) or 0

        def read(self, length: int) -> bytes:
            return self._file.read(min(length, 100)) or b""

        def close(self) -> None:
            self._file.close()

    monkeypatch.setattr(spill, "temporary_file", Slow)
    store = store_in(tmp_path, limit=SIZE)
    for number in range(4):
        store[number] = value(number)

    assert torch.equal(store[0], value(0))


def test_a_disk_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it fails on reading."""
    store = store_in(tmp_path, limit=SIZE)
    store[0] = value(0)
    store[1] = value(1)

    class Broken:
        def seek(self, *_: int) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(store, "_file", Broken())
    with pytest.raises(RunFolderError, match=rf"cannot read {tmp_path}: Input/output error"):
        _ = store[0]
