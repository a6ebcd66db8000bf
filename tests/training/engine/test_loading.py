"""Tests of training/engine/loading.py: batches come in order, some ahead, whoever prepares them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from warprefine.training.engine import loading
from warprefine.training.engine.loading import loaded, loader_threads, pinned

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("numbers", [range(0), range(1), range(3, 14)])
def test_batches_come_in_order(threads: int, numbers: range) -> None:
    """Each number once, however long its batch takes, and whether there are more threads than batches."""

    def batch_at(number: int) -> int:
        time.sleep(0.003 * (number % 3))
        return 2 * number

    assert list(loaded(batch_at, numbers, threads=threads)) == [2 * number for number in numbers]


@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_are_ahead_as_there_are_threads_and_one(threads: int) -> None:
    """While the first is used, that many more are prepared, and no others: each holds memory."""
    begun: list[int] = []
    enough = threading.Event()

    def batch_at(number: int) -> int:
        begun.append(number)
        if len(begun) == threads + 2:
            enough.set()
        return number

    batches = loaded(batch_at, range(100), threads=threads)
    assert next(batches) == 0

    assert enough.wait(timeout=60)
    time.sleep(0.05)
    assert sorted(begun) == list(range(threads + 2))
    batches.close()


def test_several_threads_prepare_batches_at_the_same_time() -> None:
    """Two batches that wait for each other are both prepared."""
    together = threading.Barrier(2, timeout=60)

    assert list(loaded(lambda number: together.wait() * 0 + number, range(4), threads=2)) == [0, 1, 2, 3]


def test_an_error_is_raised_in_the_place_of_its_batch() -> None:
    """Those before it are used first, and those after it are dropped."""

    def batch_at(number: int) -> int:
        if number == 2:
            raise ValueError("batch 2 cannot be read")
        return number

    batches = loaded(batch_at, range(50), threads=3)

    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(ValueError, match="batch 2 cannot be read"):
        next(batches)
    assert list(batches) == []


def test_a_gpu_has_more_loaders(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU torch computes with the cores; processes of one machine share them."""
    monkeypatch.setattr(loading, "available_cores", lambda: 6)
    monkeypatch.setattr(loading, "threading_layer", lambda: "omp")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)

    assert (loader_threads(CPU), loader_threads(GPU)) == (2, 6)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert (loader_threads(CPU), loader_threads(GPU)) == (1, 3)
    monkeypatch.setattr(loading, "available_cores", lambda: 200)
    assert loader_threads(GPU) == 8


def test_compiled_loops_that_cannot_run_side_by_side_have_one_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenMP and TBB, numba ends the process when two threads start a loop."""
    monkeypatch.setattr(loading, "available_cores", lambda: 64)
    monkeypatch.setattr(loading, "threading_layer", lambda: "workqueue")

    assert loader_threads(GPU) == 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Nested:
    """A batch of tensors within tuples within dataclasses."""

    frames: Tensor
    sides: tuple[Tensor, ...]
    inner: Nested | None = None
    progress: float = 0.5


def test_all_tensors_of_a_batch_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """At any depth; whatever is no tensor stays as it is."""
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self + 100)
    zero = torch.zeros(2)

    found = pinned(Nested(frames=zero, sides=(zero, zero), inner=Nested(frames=zero, sides=())))

    assert [int(one[0]) for one in (found.frames, *found.sides, found.inner.frames)] == [100] * 4
    assert (found.progress, found.inner.inner) == (0.5, None)
    batches = loaded(lambda number: [zero + number], range(2), threads=1, pin=True)
    assert [int(batch[0][0]) for batch in batches] == [100, 101]
