"""Tests of io/cache_limit.py: a cache takes no more than it may, and what was written first goes first."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch

from warprefine.io.array_cache import ArrayCache
from warprefine.io.cache_limit import CacheLimit


def write(path: Path, size: int, *, age: int) -> Path:
    """Write a file that is `age` seconds old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, ns=(10**18 - age * 10**9,) * 2)
    return path


def test_the_oldest_files_are_deleted_first(tmp_path: Path) -> None:
    """As many as are too many, in whatever folder of the cache they lie."""
    oldest, old, new = (
        write(tmp_path / name / "a.bin", 400, age=age) for name, age in (("x", 9), ("y", 5), ("z", 1))
    )

    CacheLimit(tmp_path, 1000).added(400)

    assert [path.exists() for path in (oldest, old, new)] == [False, True, True]


def test_nothing_is_deleted_while_there_is_room(tmp_path: Path) -> None:
    """Files that were there before count too, and so does each that is added."""
    limit = CacheLimit(tmp_path, 1000)
    files = []
    for age in (9, 8):
        files.append(write(tmp_path / f"{age}.bin", 450, age=age))
        limit.added(450)
    assert all(path.exists() for path in files)

    files.append(write(tmp_path / "7.bin", 450, age=7))
    limit.added(450)

    assert [path.exists() for path in files] == [False, True, True]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """Half-written files of other processes, and what is not of a cache, are not deleted."""
    others = [write(tmp_path / name, 5000, age=9) for name in ("a.bin.draft", "notes.txt")]

    CacheLimit(tmp_path, 10).added(10)

    assert all(path.exists() for path in others)


def test_files_that_others_delete_make_room(tmp_path: Path) -> None:
    """What a limit counts is looked at again before anything is deleted."""
    limit = CacheLimit(tmp_path, 1000)
    gone, kept = (write(tmp_path / name, 450, age=9) for name in ("a.bin", "b.bin"))
    limit.added(450)
    gone.unlink()

    new = write(tmp_path / "c.bin", 450, age=1)
    limit.added(450)

    assert (kept.exists(), new.exists()) == (True, True)


def test_a_cache_in_another_process_has_the_same_limit(tmp_path: Path) -> None:
    """Workers get a copy of it."""
    cache = pickle.loads(pickle.dumps(ArrayCache(tmp_path, largest=1)))

    cache.put("a", {"values": torch.zeros(9)})

    assert cache.get("a") is None
    assert [*tmp_path.rglob("*.bin")] == []


def test_a_value_that_does_not_fit_is_returned_all_the_same(tmp_path: Path) -> None:
    """It is computed again when it is asked for."""
    flow = ArrayCache(tmp_path, largest=1).put_flow("flow", torch.full((1, 2, 3, 4), 0.5))

    assert flow.unique().tolist() == [0.5]
