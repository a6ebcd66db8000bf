"""Data-parallel training: several processes, started by `torchrun`, that train one network together.

Each process, called a rank, computes on its own device. All ranks hold the same weights and take the same
steps: a rank computes its share of every batch, gradients are averaged, and counts are summed. A function
that communicates with other ranks must be called by all of them, in the same order, and from the main
thread only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, distributed, nn

from warprefine.core.errors import DeviceError, RecipeError, TimeIsUp

ItemT = TypeVar("ItemT")
PATIENCE = timedelta(minutes=10)
"""Timeout of sums over ranks; `World.wait` and what is built on it have none."""
_WITHOUT_LIMIT = timedelta(days=365)
_GLANCE = 0.01
"""Seconds between two looks at whether the other ranks have come; signals are handled between them."""
_PARTING = 0.2
"""Seconds that threads of gloo have to let go of the last tensors, see `joined`."""
_TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class World:
    """Rank of this process and number of ranks; a single process is rank 0 of 1.

    Attributes:
        group: Connects the same ranks, without a timeout; None for a single process.
    """

    rank: int = 0
    size: int = 1
    group: distributed.ProcessGroup | None = field(default=None, repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    def slots(self, count: int) -> range:
        """Return the positions of this rank's samples in a batch of `count`.

        Raises:
            RecipeError: The batch cannot be shared evenly.

        Example:
            >>> [list(World(rank=rank, size=2).slots(6)) for rank in range(2)]
            [[0, 2, 4], [1, 3, 5]]
        """
        if count % self.size:
            raise RecipeError(
                f"a batch of {count} cannot be shared evenly by {self.size} processes; "
                f"make batch a multiple of {self.size} in the recipe, or start a number that divides it"
            )
        return range(self.rank, count, self.size)

    def sum(self, counts: Int64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
        """Return the exact sum of integer counts over all ranks, such as of confusion matrices."""
        return counts if self.size == 1 else sum_over_ranks(torch.from_numpy(counts.copy())).numpy()

    def mean(self, value: float) -> float:
        """Return the mean over all ranks; it is not finite if the value of any rank is not finite."""
        if self.size == 1:
            return value
        return float(sum_over_ranks(torch.tensor(value, dtype=torch.float64))) / self.size

    def agrees(self, value: float) -> bool:
        """Return whether all ranks hold the same value, to the last bit."""
        if self.size == 1:
            return True
        bits = np.float64(value).view(np.int64)
        extremes = torch.tensor([bits, ~bits])  # the largest of ~bits belongs to the smallest of bits
        with _others_needed():
            distributed.all_reduce(extremes, distributed.ReduceOp.MAX)
        return extremes.tolist() == [bits, ~bits]

    def wait(self) -> None:
        """Block until all ranks have called this (a barrier), however long that takes."""
        self._any(flag=False)

    def merged(self, own: Sequence[float]) -> list[float]:
        """Return the values of all items, in their order, from those that each rank has of its `shard`."""
        shares = self.gathered(own)
        return [shares[place % self.size][place // self.size] for place in range(sum(map(len, shares)))]

    def gathered(self, own: ItemT) -> list[ItemT]:
        """Return what each rank gives, in the order of ranks, pickled and read again; all wait for all."""
        if self.size == 1:
            return [own]
        shares: list[ItemT | None] = [None] * self.size
        self.wait()
        with _others_needed():
            distributed.all_gather_object(shares, own, group=self.group)
        return cast("list[ItemT]", shares)

    def of_first(self, compute: Callable[[], ItemT]) -> ItemT:
        """Let the first rank compute a value, and return it, pickled and read again, on the others.

        They wait, however long that takes. Within `compute` no function that communicates may be called.

        Raises:
            TimeIsUp: The time limit was over in `compute`; all ranks raise.
        """
        if self.size == 1:
            return compute()
        found: ItemT | None = None
        with self.parting():
            if self.is_first:
                found = compute()
        sent = [found]
        with _others_needed():
            distributed.broadcast_object_list(sent, src=0, group=self.group)
        return cast(ItemT, found if self.is_first else sent[0])

    @contextmanager
    def parting(self) -> Iterator[None]:
        """Let each rank do work of its own in a block, without communication; at its end all wait for all.

        The block may be in a generator. Where that is closed within it, the others stop as if the time limit
        were over.

        Raises:
            TimeIsUp: The time limit was over on some rank; all raise, once each has left the block.
        """
        stopped: TimeIsUp | None = None
        try:
            yield
        except TimeIsUp as error:
            stopped = error
        except GeneratorExit:
            self._any(flag=True)
            raise
        if self._any(flag=stopped is not None):
            raise stopped or TimeIsUp("the time limit is over on another process")

    def _any(self, *, flag: bool) -> bool:
        """Return whether any rank calls this with True; wait for all, however long that takes."""
        if self.size == 1:
            return flag
        count = torch.tensor(int(flag))
        with _others_needed():
            work = distributed.all_reduce(count, group=self.group, async_op=True)
            while not work.is_completed():
                time.sleep(_GLANCE)
            work.wait()
        return bool(count)


ALONE = World()
"""The world of a process that is not started by torchrun."""


@contextmanager
def joined(
    device: torch.device | str, *, patience: timedelta = PATIENCE
) -> Iterator[tuple[World, torch.device]]:
    """Join torchrun's process group within a block; yield `ALONE` in a process started without torchrun.

    When a rank fails, torchrun stops the others at once; whichever waits for it meanwhile raises.

    Args:
        device: "cuda" stands for the GPU that torchrun assigns to this rank.
        patience: Timeout of joining and of sums over ranks; that of `World.wait` and what is built on it is
            unlimited.

    Yields:
        The world, and the device of this rank.

    Raises:
        DeviceError: The device does not exist, the processes cannot reach each other, there are fewer GPUs
            than processes, or another process has ended too early.
    """
    try:
        own_device = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(
            f"device {str(device)[:40]!r} cannot be used here; expected cpu, or cuda where there is a GPU"
        ) from error
    place = _place(os.environ)
    if place is None:
        yield ALONE, own_device
        return
    world, local_rank = place
    if own_device.type == "cuda":
        own_device = _own_gpu(local_rank)
        torch.cuda.set_device(own_device)
    try:
        # Tensors in main memory (losses, counts) need gloo on machines with GPUs, too.
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if own_device.type == "cuda" else "gloo", timeout=patience
        )
    except distributed.DistError as error:
        raise DeviceError(
            f"process {world.rank} of {world.size} could not join the others at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} within {patience}; expected all of them to be started by torchrun "
            "with the same address; start them again"
        ) from error
    group = distributed.new_group(backend="gloo", timeout=_WITHOUT_LIMIT)
    try:
        yield replace(world, group=group), own_device
        # Not after an error: it would wait for ranks that wait for this one. The exit frees all.
        distributed.destroy_process_group()
    finally:
        # A thread of gloo that frees a tensor while Python shuts down aborts the process: it has happened at
        # a high load, after results were complete.
        time.sleep(_PARTING)


def shard(items: Sequence[ItemT], world: World) -> Sequence[ItemT]:
    """Return this rank's share of `items`; every item belongs to exactly one rank.

    Shares differ in length by one at most, and are empty where there are more ranks than items.

    Example:
        >>> [shard("abcde", World(rank=rank, size=2)) for rank in range(2)]
        ['ace', 'bd']
    """
    return items[world.rank :: world.size]


def sum_over_ranks(values: Tensor) -> Tensor:
    """Replace a contiguous tensor by its sum over all ranks, in place, and return it.

    Raises:
        DeviceError: Another process has ended, or has not come within the timeout.
    """
    with _others_needed():
        distributed.all_reduce(values)
    return values


def broadcast_weights(network: nn.Module, world: World) -> None:
    """Copy the weights and buffers of the first rank's network to the networks of all ranks."""
    if world.size == 1:
        return
    for value in network.state_dict().values():
        broadcast = value.detach().contiguous()
        with _others_needed():
            distributed.broadcast(broadcast, src=0)
        value.copy_(broadcast)


def average_gradients(network: nn.Module, world: World) -> None:
    """Replace every gradient by its mean over all ranks, in one all-reduce.

    The order of summation is fixed, unlike that of DistributedDataParallel, which depends on the first
    step of a process, so that a resumed training would end with other bits. A parameter that a rank did
    not use has gradient zero there; one that no rank used keeps no gradient.
    """
    if world.size == 1:
        return
    trained = [p for p in network.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    used = gradients[0].new_tensor([p.grad is not None for p in trained])
    reduced = sum_over_ranks(torch.cat([used, *(gradient.reshape(-1) for gradient in gradients)]))
    users, *sums = reduced.split([len(trained), *(p.numel() for p in trained)])
    for parameter, gradient, total, count in zip(trained, gradients, sums, users.tolist(), strict=True):
        gradient.copy_(total.view(gradient.shape)).div_(world.size)
        parameter.grad = gradient if count else None


@contextmanager
def _others_needed() -> Iterator[None]:
    """Raise a `DeviceError` where the processes that a block communicates with have gone."""
    try:
        yield
    except RuntimeError as error:
        # Gloo's errors have no type of their own.
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise DeviceError(
            "another process of this training has ended or does not answer; expected all of them to work on "
            "until the end; its own message, if it had one, says why; start the same command again, it "
            "continues from its last saved state"
        ) from error


def _place(environment: Mapping[str, str]) -> tuple[World, int] | None:
    """Return the world and the local rank that torchrun has set; None where it did not start this process."""
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return None
    missing = [name for name in _TORCHRUN_VARIABLES if not environment.get(name)]
    if missing:
        raise DeviceError(
            f"the environment names RANK or WORLD_SIZE but not {', '.join(missing)}; expected all that "
            "torchrun sets; start the processes with torchrun, or unset RANK and WORLD_SIZE"
        )
    rank, size, local_rank = (int(environment[name]) for name in _TORCHRUN_VARIABLES[:3])
    return World(rank=rank, size=size), local_rank


def _own_gpu(local_rank: int) -> torch.device:
    """Return the GPU of a rank by its number on this machine."""
    available = torch.cuda.device_count()
    if local_rank >= available:
        raise DeviceError(
            f"process {local_rank} on this machine has no GPU of its own, there are {available}; "
            f"start torchrun with --nproc-per-node {max(available, 1)} at most, or use --device cpu"
        )
    return torch.device("cuda", local_rank)
