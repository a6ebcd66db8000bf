"""Work of the tests of engines, in a module that other processes can import."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from warprefine.core.errors import LabelError
from warprefine.motion.dis import DISFlow
from warprefine.ops.label_vote import warp_labels


class Letters:
    """Yields the letters of a word; at "?" it kills its own process, as often as it is told to."""

    def __init__(self, folder: Path, deaths: int) -> None:
        self.folder, self.deaths = folder, deaths

    def __call__(self, word: str) -> Iterator[str]:
        for letter in word:
            if letter == "?":
                died = len([*self.folder.glob("died-*")])
                if died < self.deaths:
                    (self.folder / f"died-{died}").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            if letter == "!":
                raise LabelError(f"{word} is no word")
            yield letter


class Homesick(Letters):
    """Work that cannot be had in another process."""

    def __reduce__(self) -> Any:
        return os.stat, ("/no/such/place",)


def by_word(results: Any) -> dict[str, list[str | None]]:
    """Return what arrived of each word, in order."""
    found: dict[str, list[str | None]] = {}
    for word, letter in results:
        found.setdefault(word, []).append(letter)
    return found


def about_process(_: int) -> Iterator[tuple[int, int, str | None]]:
    """Yield number, threads and visible GPUs of the process, which logs a line."""
    logging.getLogger("warprefine.words").warning("process %s", "at work")
    yield os.getpid(), torch.get_num_threads(), os.environ.get("CUDA_VISIBLE_DEVICES")


class Heavy:
    """Work that keeps what it has loaded: a list of its own, and how many there are in the process."""

    instances: ClassVar[weakref.WeakSet[Heavy]] = weakref.WeakSet()

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, item: int) -> Iterator[tuple[int, str, list[str]]]:
        """Yield the number of the process, the name of this work, and those of all that are in memory."""
        self.itself = self  # as networks, it is found by the garbage collector alone
        type(self).instances.add(self)
        yield os.getpid(), self.name, sorted(one.name for one in self.instances)


def divide(number: int) -> Iterator[float]:
    """Yield 1 / number."""
    yield 1 / number


def echo(value: Any) -> Iterator[Any]:
    """Yield a value."""
    yield value


def wait_for(path: Path) -> Iterator[int]:
    """Compute with several threads, yield the number of the process, and wait for ever for a file."""
    labels, flow = torch.zeros((1, 64, 64), dtype=torch.uint8), torch.zeros((1, 2, 64, 64))
    assert warp_labels(labels, flow).max() == 0
    yield os.getpid()
    while not path.exists():
        signal.pause()


class SlowLetters:
    """Yields the letters of a word slowly, and leaves a file for each time that one is begun, and where."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, word: str) -> Iterator[str]:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{word}-{node}-{secrets.token_hex(4)}").touch()
        for letter in word:
            time.sleep(0.2)
            yield letter


class SlowFlow:
    """The flow of DIS, slowly; it leaves a file for each machine that estimates some."""

    name = "slow"

    def __init__(self, folder: Path, *, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        import ray

        time.sleep(self.seconds)
        (self.folder / ray.get_runtime_context().get_node_id()).touch()
        return DISFlow("ultrafast")(frame_b, frame_a)
