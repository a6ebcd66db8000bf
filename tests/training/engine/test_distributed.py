"""Tests of training/engine/distributed.py: several processes that share one training."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed, nn

from warprefine.core.errors import DeviceError, RecipeError
from warprefine.training.engine.distributed import (
    ALONE,
    World,
    average_gradients,
    broadcast_weights,
    joined,
    shard,
)

Ranks = list[dict[str, Any]]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what torchrun would set, for a process of this many."""

    def set_environment(*, rank: int, size: int, port: int | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = port or free.getsockname()[1]
        place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank}
        for name, value in (place | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}).items():
            monkeypatch.setenv(name, str(value))

    return set_environment


def test_without_torchrun_a_process_is_alone() -> None:
    """Nothing is joined, the device is the one requested, and communication changes nothing."""
    network = nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()

    with joined("cpu") as (world, device):
        assert (world, device) == (ALONE, torch.device("cpu"))
        assert not distributed.is_initialized()
        broadcast_weights(network, world)
        average_gradients(network, world)
        world.wait()

    assert network.weight.grad.tolist() == [[1, 1]]
    assert world.mean(0.1) == 0.1
    assert world.sum(np.arange(4)).tolist() == [0, 1, 2, 3]
    assert world.agrees(0.1)


def test_a_device_that_does_not_exist_is_told() -> None:
    """A slip in the name of a device is no matter for a traceback."""
    with (
        pytest.raises(DeviceError, match="device 'quantum' cannot be used here; expected cpu, or cuda"),
        joined("quantum"),
    ):
        pass


def test_torchrun_gives_each_process_its_place(environment: Callable[..., None]) -> None:
    """The world follows from the variables of torchrun, and ends with the block."""
    environment(rank=0, size=1)

    with joined("cpu") as (world, _):
        assert world == World(rank=0, size=1)
        assert distributed.is_initialized()
        assert distributed.get_backend() == "gloo"

    assert not distributed.is_initialized()


def test_half_an_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that knows its number but not where the others are cannot guess."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")

    with (
        pytest.raises(
            DeviceError,
            match=r"names RANK or WORLD_SIZE but not LOCAL_RANK, MASTER_ADDR, MASTER_PORT; expected all that "
            r"torchrun sets; start the processes with torchrun, or unset RANK and WORLD_SIZE",
        ),
        joined("cpu"),
    ):
        pass


def test_others_that_do_not_come_are_told(environment: Callable[..., None]) -> None:
    """A process does not wait for ever for one that was never started."""
    environment(rank=1, size=2)

    with (
        pytest.raises(
            DeviceError,
            match=r"process 1 of 2 could not join the others at 127\.0\.0\.1:\d+ within 0:00:01; expected "
            r"all of them to be started by torchrun with the same address; start them again",
        ),
        joined("cpu", patience=timedelta(seconds=1)),
    ):
        pass


def test_each_process_needs_a_gpu_of_its_own(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With three processes on two GPUs, the error of the third names how many may be started."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    environment(rank=2, size=3)

    with (
        pytest.raises(
            DeviceError,
            match=r"process 2 on this machine has no GPU of its own, there are 2; start torchrun with "
            r"--nproc-per-node 2 at most, or use --device cpu",
        ),
        joined("cuda"),
    ):
        pass


def test_a_batch_is_shared_evenly() -> None:
    """Every slot of a batch is made by one rank, and all make as many."""
    slots = [list(World(rank=rank, size=3).slots(6)) for rank in range(3)]

    assert slots == [[0, 3], [1, 4], [2, 5]]
    assert list(ALONE.slots(4)) == [0, 1, 2, 3]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    """A rank with more samples than another would weigh them less."""
    with pytest.raises(
        RecipeError,
        match=r"a batch of 4 cannot be shared evenly by 3 processes; make batch a multiple of 3 in the "
        r"recipe, or start a number that divides it",
    ):
        World(rank=0, size=3).slots(4)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shards_hold_every_item_once(size: int) -> None:
    """No item is validated twice to make shares even, and none is left out."""
    shards = [shard(range(5), World(rank=rank, size=size)) for rank in range(size)]

    assert sorted(item for own in shards for item in own) == [0, 1, 2, 3, 4]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_counts_add_up_exactly(two_ranks: Ranks) -> None:
    """Five items counted by two ranks give the matrix that one would have counted, to the last pixel."""
    first, second = (rank["counting_five_items"] for rank in two_ranks)

    assert first["total"] == second["total"] == first["expected"]
    assert first["own"] != second["own"]


def test_ranks_exchange_numbers(two_ranks: Ranks) -> None:
    """All hear the same mean, of which one infinite value makes an infinite one; one bit is a difference."""
    for rank in two_ranks:
        numbers = rank["mean_and_agreement"]
        assert numbers == {"mean": 0.5, "infinite": float("inf"), "agrees": True, "disagrees": False}


def test_others_wait_for_the_first_as_long_as_it_works(two_ranks: Ranks) -> None:
    """What the first has found after a while is known to all, and none has run out of patience."""
    for rank in two_ranks:
        assert rank["first_at_work"] == {"found": "worked", "of all": [0.0, 1.0, 2.0, 3.0, 4.0]}


def test_a_time_limit_that_is_over_on_one_rank_stops_all(two_ranks: Ranks) -> None:
    """Nobody waits for a rank that has gone home."""
    for rank in two_ranks:
        assert rank["time_is_up_on_one"] == {"raised": 2}


def test_all_begin_with_the_weights_of_the_first(two_ranks: Ranks) -> None:
    """Whatever weights a rank was built with, the first one's count."""
    first, second = (rank["different_beginnings"] for rank in two_ranks)

    assert all(torch.equal(value, second["copied"][key]) for key, value in first["copied"].items())
    assert torch.equal(first["copied"]["0.weight"], first["own"])
    assert not torch.equal(first["own"], second["own"])


def test_gradients_are_means_over_ranks(two_ranks: Ranks) -> None:
    """What one rank did not use counts as zero there; what none used is left without a gradient."""
    for rank in two_ranks:
        assert rank["gradients_of_some"]["gradients"] == [[1.5, 1.5], [0.5, 0.5, 0.5], None]


def test_a_rank_that_fails_takes_the_others_along(torchrun: Callable[..., CompletedProcess[str]]) -> None:
    """When one rank stops with an error, torchrun ends the one that waits for it, long before it is tired."""
    done = torchrun()

    assert done.returncode == 1
    assert "FrameError: picture.png is damaged" in done.stderr
