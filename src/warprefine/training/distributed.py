"""Let several processes train one network: who makes which part, and how what they found is put together.

`torchrun` starts the processes, which are called ranks; each computes on a device of its own. All of them
hold the same weights and make the same steps: a rank makes its share of every batch, gradients are
averaged, and what is counted is summed up. Each function that talks to the other ranks must be called by
all of them, in the same order, and from the main thread alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import distributed, nn

from warprefine.core.errors import DeviceError, RecipeError

ItemT = TypeVar("ItemT")
PATIENCE = timedelta(minutes=10)
"""How long a rank waits for another that does not answer, and may be in the middle of long work alone."""
_GIVEN_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class World:
    """All ranks of a training as one of them sees them; a single process is a world of its own."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    def slots(self, count: int) -> range:
        """Return which samples of a batch of `count` this rank makes.

        Raises:
            RecipeError: The batch cannot be shared evenly.
        """
        if count % self.size:
            raise RecipeError(
                f"a batch of {count} cannot be shared evenly by {self.size} processes; "
                f"let batch be a multiple of {self.size} in the recipe, or start as many as divide it"
            )
        return range(self.rank, count, self.size)

    def sum(self, counts: Int64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
        """Return the sum over all ranks, exactly: confusion matrices, above all."""
        if self.size == 1:
            return counts
        total = torch.from_numpy(counts.copy())
        distributed.all_reduce(total)
        return total.numpy()

    def mean(self, value: float) -> float:
        """Return the mean over all ranks; it is not finite if the value of any rank is not."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total)
        return float(total) / self.size

    def agrees(self, value: float) -> bool:
        """Say whether all ranks hold the same value, to the last bit."""
        if self.size == 1:
            return True
        bits = np.float64(value).view(np.int64)
        outermost = torch.tensor([bits, ~bits])  # the largest of ~bits belongs to the smallest of bits
        distributed.all_reduce(outermost, distributed.ReduceOp.MAX)
        return outermost.tolist() == [bits, ~bits]

    def wait(self) -> None:
        """Go on when all ranks have come this far."""
        self.mean(0.0)


ALONE = World()
"""The world of a process that was not started by torchrun."""


@contextmanager
def joined(
    device: torch.device | str, *, patience: timedelta = PATIENCE
) -> Iterator[tuple[World, torch.device]]:
    """Join the ranks that torchrun has started, for the time of a block; without torchrun, be alone.

    A rank that fails ends, and torchrun then ends the others at once. Where nobody does, they stop with
    an error when they have waited for `patience`.

    Args:
        device: "cuda" stands for the GPU that torchrun means for this rank.
        patience: How long ranks wait for each other; more than any of them ever works alone.

    Raises:
        DeviceError: The processes cannot find each other, or there are fewer GPUs than processes.
    """
    kind = torch.device(device)
    place = _place(os.environ)
    if place is None:
        yield ALONE, kind
        return
    world, local_rank = place
    if kind.type == "cuda":
        kind = _own_gpu(local_rank)
        torch.cuda.set_device(kind)
    try:
        # What lies in main memory goes by gloo also on machines with GPUs: losses, counts.
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if kind.type == "cuda" else "gloo", timeout=patience
        )
    except distributed.DistError as error:
        raise DeviceError(
            f"process {world.rank} of {world.size} could not join the others at {os.environ['MASTER_ADDR']}:"
            f"{os.environ['MASTER_PORT']} within {patience}; expected all of them to be started by torchrun "
            "with the same address; start them again"
        ) from error
    yield world, kind
    # Not after an error: it would wait for ranks that wait for this one. The end of the process frees all.
    distributed.destroy_process_group()


def shard(items: Sequence[ItemT], world: World) -> Sequence[ItemT]:
    """Return this rank's share of `items`: no item is left out and none is counted twice.

    Shares differ in length by one at most, and are empty where there are more ranks than items.
    """
    return items[world.rank :: world.size]


def copy_first(network: nn.Module, world: World) -> None:
    """Give the network of every rank the weights and statistics of the first one's."""
    if world.size == 1:
        return
    for value in network.state_dict().values():
        copied = value.detach().contiguous()
        distributed.broadcast(copied, src=0)
        value.copy_(copied)


def average_gradients(network: nn.Module, world: World) -> None:
    """Replace every gradient by its mean over all ranks, in one exchange.

    The order in which numbers are added up never changes, unlike that of DistributedDataParallel, which
    finds it out in the first step: a training that is resumed would end in other bits. A parameter that
    a rank has not used counts as zero there; one that no rank has used keeps no gradient.
    """
    if world.size == 1:
        return
    trained = [p for p in network.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    used = gradients[0].new_tensor([p.grad is not None for p in trained])
    exchanged = torch.cat([used, *(gradient.reshape(-1) for gradient in gradients)])
    distributed.all_reduce(exchanged)
    users, *sums = exchanged.split([len(trained), *(p.numel() for p in trained)])
    for parameter, gradient, total, count in zip(trained, gradients, sums, users.tolist(), strict=True):
        gradient.copy_(total.view(gradient.shape)).div_(world.size)
        parameter.grad = gradient if count else None


def _place(environment: Mapping[str, str]) -> tuple[World, int] | None:
    """Read this process's place among the others, and on its machine, from what torchrun has said."""
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return None
    missing = [name for name in _GIVEN_BY_TORCHRUN if not environment.get(name)]
    if missing:
        raise DeviceError(
            f"the environment names RANK or WORLD_SIZE but not {', '.join(missing)}; expected all that "
            "torchrun sets; start the processes with torchrun, or unset RANK and WORLD_SIZE"
        )
    rank, size, local_rank = (int(environment[name]) for name in _GIVEN_BY_TORCHRUN[:3])
    return World(rank=rank, size=size), local_rank


def _own_gpu(local_rank: int) -> torch.device:
    """Return the GPU of a rank, counted on its machine."""
    available = torch.cuda.device_count()
    if local_rank >= available:
        raise DeviceError(
            f"process {local_rank} on this machine has no GPU of its own, there are {available}; "
            f"start torchrun with --nproc-per-node {max(available, 1)} at most, or use --device cpu"
        )
    return torch.device("cuda", local_rank)
