"""Train a network from step 0 to the last: one loop for all of them, resumable to the same bits.

The batch of a step is a pure function of the seed and the step's number, so a training that was
killed goes on from its last saved state exactly as if nothing had happened. Several processes may
share the work (`training.distributed`); they take the steps that one with the whole batch would take.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from warprefine.core.errors import TrainingError
from warprefine.core.progress import Progress, silent
from warprefine.training.distributed import ALONE, World, average_gradients, copy_first
from warprefine.training.optimisation import Optimisation
from warprefine.training.schedules import learning_rate_at
from warprefine.training.state import TrainingState
from warprefine.training.sync_norm import synchronised

BatchT = TypeVar("BatchT")
_RANKS_APART = 1 << 52
"""Between the seeds of two ranks' dropout; beyond what a seed of 32 bits and its steps come to."""


@runtime_checkable
class Watch(Protocol):
    """Whoever wants to draw the curves of a training."""

    def __call__(self, name: str, step: int, value: float) -> None:
        """Hear what `name` ("loss", "learning rate", "validation") was after `step` steps."""
        ...


def ignore(name: str, step: int, value: float) -> None:
    """Draw nothing."""


def train(
    network: nn.Module,
    recipe: Optimisation,
    *,
    batch_at: Callable[[int], BatchT],
    loss_of: Callable[[BatchT], Tensor],
    state_path: Path,
    seed: int = 0,
    validate: Callable[[nn.Module], float] | None = None,
    progress: Progress = silent,
    task: str = "training",
    world: World = ALONE,
    watch: Watch = ignore,
) -> dict[str, Any]:
    """Train `network` in place and leave it with its best (or averaged) weights, in eval mode.

    Args:
        batch_at: Makes a batch by its number, or this rank's slots of it; it runs in another thread, one
            batch ahead, so it must not talk to other ranks. A step takes `recipe.accumulate` batches.
        loss_of: Runs the network on a batch; the gradient of what it returns is followed.
        state_path: Where the state is kept while the training runs, the same file for all ranks.
        seed: Decides dropout; the batches are the caller's.
        validate: Scores a network, higher is better; the best weights seen are kept. All ranks call it
            with the same weights, and it must say the same on each: sum up counts with `world.sum`.
        progress: Hears of every step, on the first rank.
        world: The ranks that share the work; each of them calls this function.
        watch: Hears of losses and learning rates, at step 1 and every 20, and of validations, on the
            first rank.

    Returns:
        The history: losses, learning rates and validations by step.

    Raises:
        TrainingError: The loss or its gradient is not finite on some rank; all of them stop.
        CheckpointError: `state_path` holds something else than the state of this training.
    """
    if not world.is_first:
        progress, watch = silent, ignore
    synchronised(network, world)
    copy_first(network, world)
    update = _Update.of(network, recipe, world=world, seed=seed)
    state = TrainingState(
        network,
        update.optimiser,
        update.scaler,
        path=state_path,
        made_with=_describe(network, recipe, seed),
        world=world,
    )
    state.load()
    network.train()
    batches = _prefetched(batch_at, state.step * recipe.accumulate, recipe.steps * recipe.accumulate)
    for step in range(state.step, recipe.steps):
        loss = update(step, batches, loss_of)
        state.advance(loss, recipe)
        progress(task, state.step, recipe.steps, f"loss {loss:.3f}")
        if state.is_noted:
            watch("loss", state.step, loss)
            watch("learning rate", state.step, learning_rate_at(step, recipe))
        last = state.step == recipe.steps
        if validate is not None and (state.step % recipe.validate_every == 0 or last):
            watch("validation", state.step, state.keep_if_best(validate))
        if state.step % recipe.checkpoint_every == 0 or last:
            state.save()
    state.finish()
    return state.history


def make_optimiser(network: nn.Module, recipe: Optimisation) -> torch.optim.Optimizer:
    """Make the recipe's optimiser.

    Weight decay acts on kernels alone, unless the recipe says otherwise: biases and norms have no reason
    to be small. Tao et al. (2020) and Zhu et al. (CVPR 2019) let all decay, in one group.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [{"params": trained, "weight_decay": recipe.weight_decay}]
    if recipe.decayed == "kernels":
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Update:
    """One step: from batches to gradients, and from those of all ranks to new weights."""

    network: nn.Module
    recipe: Optimisation
    world: World
    seed: int
    optimiser: torch.optim.Optimizer
    precision: torch.dtype
    scaler: torch.amp.GradScaler

    @classmethod
    def of(cls, network: nn.Module, recipe: Optimisation, *, world: World, seed: int) -> _Update:
        """Make the optimiser, and what belongs to the numbers that the device can compute with."""
        device = next(network.parameters()).device
        precision = _half_precision(device)
        return cls(
            network=network,
            recipe=recipe,
            world=world,
            seed=seed,
            optimiser=make_optimiser(network, recipe),
            precision=precision,
            # The smallest gradients would be zero in float16, whose exponents are few.
            scaler=torch.amp.GradScaler(
                device.type, enabled=recipe.mixed_precision and precision == torch.float16
            ),
        )

    def __call__(self, step: int, batches: Iterator[BatchT], loss_of: Callable[[BatchT], Tensor]) -> float:
        """Take a step with the next batches; return the mean loss over them and over all ranks."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(step, self.recipe)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.world.mean(self._follow(step, batches, loss_of))
        self._check(loss, "loss", step)
        average_gradients(self.network, self.world)
        self.scaler.unscale_(self.optimiser)
        length = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm))
        # While the loss is scaled up, overflow is usual: the scaler skips the step and scales less.
        if self.scaler.get_scale() <= 1:
            self._check(length, "gradient", step)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss

    def _follow(self, step: int, batches: Iterator[BatchT], loss_of: Callable[[BatchT], Tensor]) -> float:
        """Gather the gradients of this rank's share of a step; return the mean loss."""
        device = next(self.network.parameters()).device
        parts = self.recipe.accumulate
        losses = []
        for part, batch in enumerate(islice(batches, parts)):
            # Dropout, too, is a function of seed and step; ranks differ in it.
            torch.manual_seed(self.seed * 1_000_003 + step * parts + part + self.world.rank * _RANKS_APART)
            with torch.autocast(device.type, self.precision, enabled=self.recipe.mixed_precision):
                loss = loss_of(batch)
            self.scaler.scale(loss / parts).backward()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def _check(self, value: float, name: str, step: int) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the {name} became {value} at step {step} of {self.recipe.steps}; "
                f"lower the learning rate ({self.recipe.learning_rate}) in the recipe and start again"
            )


def _half_precision(device: torch.device) -> torch.dtype:
    """Return the 16-bit numbers that a device computes with by itself, and not by way of 32."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def _prefetched(batch_at: Callable[[int], BatchT], first: int, end: int) -> Iterator[BatchT]:
    """Make each batch in another thread while the one before it is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        coming = pool.submit(batch_at, first) if first < end else None
        for number in range(first, end):
            assert coming is not None
            batch = coming.result()
            coming = pool.submit(batch_at, number + 1) if number + 1 < end else None
            yield batch


def _describe(network: nn.Module, recipe: Optimisation, seed: int) -> str:
    """Name what a training must share with a saved state to go on from it."""
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    return json.dumps([recipe.model_dump(mode="json"), seed, shapes])
