"""Training loop of all networks, resumable with bit-identical results.

The batch of a step is a pure function of the seed and the step's number, so a killed training continues
from its last saved state exactly as if it had not been interrupted. Several processes may share the work
(`training.engine.distributed`); they take the same steps as one process with the whole batch.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from warprefine.core.errors import TimeIsUp, TrainingError, TrainingStopped
from warprefine.core.memory import keep_freed_memory
from warprefine.core.precision import in_precision, name_of, native_precision
from warprefine.core.progress import Progress, silent
from warprefine.core.recompute import recomputing
from warprefine.core.time_limit import is_time_up
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine.distributed import ALONE, World, average_gradients, broadcast_weights
from warprefine.training.engine.loading import loaded, loader_threads
from warprefine.training.engine.schedules import learning_rate_at
from warprefine.training.engine.state import TrainingState, saved_precision
from warprefine.training.engine.stopping import deferred_stop
from warprefine.training.engine.sync_norm import synchronise_norms

BatchT = TypeVar("BatchT")
_RANK_STRIDE = 1 << 52
"""Difference between the dropout seeds of two ranks; larger than a 32-bit seed with its steps yields."""


@runtime_checkable
class Watch(Protocol):
    """Callback that receives the curves of a training."""

    def __call__(self, name: str, step: int, value: float) -> None:
        """Receive the `value` of `name` ("loss", "learning rate", "validation") after `step` steps."""
        ...


def ignore(name: str, step: int, value: float) -> None:
    """Discard the value."""


def train(
    network: nn.Module,
    recipe: Optimisation,
    *,
    batch_at: Callable[[int], BatchT],
    loss_of: Callable[[BatchT], Tensor],
    together: Callable[[Sequence[BatchT]], Sequence[BatchT]] = tuple,
    state_path: Path,
    seed: int = 0,
    validate: Callable[[nn.Module], float] | None = None,
    progress: Progress = silent,
    task: str = "training",
    world: World = ALONE,
    watch: Watch = ignore,
) -> dict[str, Any]:
    """Train `network` in place; it ends with its best (or averaged) weights, in eval mode.

    Args:
        batch_at: Returns the batch of a number, or this rank's slots of it. Several threads call it, some
            steps ahead, so it must not communicate with other ranks. A step takes `recipe.accumulate`
            batches.
        loss_of: Returns the network's loss on a batch; the mean over all batches of a step is minimised.
        together: Receives this rank's batches of a step, and returns them for `loss_of`, with what a loss
            has to know of all of them, such as how many pixels have labels. It may communicate.
        state_path: File of the state while the training runs, the same for all ranks.
        seed: Seed of dropout; batches are up to the caller.
        validate: Scores a network, higher is better; the best weights are kept. All ranks call it with the
            same weights, and it must return the same score on each: sum counts with `world.sum`.
        progress: Called after every step, on the first rank.
        task: Name of the training in `progress`.
        world: The ranks that share the work; each of them calls this function.
        watch: Receives losses and learning rates at step 1 and every 20th, and validation scores, on the
            first rank.

    Returns:
        The history: "loss" and "validation", each a list of [step, value], and "computed with", the threads,
        precision, device and ranks of each part of the training where they changed.

    Raises:
        TrainingError: The loss or its gradient is not finite on some rank; all ranks raise.
        TrainingStopped: Ctrl-C or SIGTERM came on some rank; the state was saved after the step, and all
            ranks raise. A second signal stops at once.
        TimeIsUp: The time limit is over on some rank; the state was saved, and all ranks raise.
        CheckpointError: `state_path` does not hold the state of this training.
    """
    keep_freed_memory()
    if not world.is_first:
        progress, watch = silent, ignore
    synchronise_norms(network, world)
    broadcast_weights(network, world)
    device = next(network.parameters()).device
    precision = native_precision(device) if recipe.mixed_precision else torch.float32
    precision = saved_precision(state_path, device) or precision
    update = _Update.build(network, recipe, precision, world=world, seed=seed)
    state = TrainingState(
        network,
        update.optimiser,
        update.scaler,
        path=state_path,
        made_with=_describe(network, recipe, seed),
        computed_with=update.conditions(),
        precision=precision,
        world=world,
    )
    state.load()
    network.train()
    parts = recipe.accumulate
    batches = loaded(
        batch_at,
        range(state.step * parts, recipe.steps * parts),
        threads=loader_threads(device),
        pin=device.type == "cuda",
    )
    with (
        closing(batches),
        deferred_stop() as request,
        recomputing(network, enabled=recipe.recompute),
    ):
        for step in range(state.step, recipe.steps):
            loss = update(step, together(list(islice(batches, parts))), loss_of)
            state.advance(loss, recipe)
            progress(task, state.step, recipe.steps, f"loss {loss:.3f}")
            if state.is_logged:
                watch("loss", state.step, loss)
                watch("learning rate", state.step, learning_rate_at(step, recipe))
            last = state.step == recipe.steps
            if validate is not None and (state.step % recipe.validate_every == 0 or last):
                watch("validation", state.step, state.keep_if_best(validate))
            asked = request.signal is not None or is_time_up()
            stops = world.mean(float(asked)) > 0  # all ranks, or none
            if state.step % recipe.checkpoint_every == 0 or last or stops:
                state.save()
            if stops:
                saved = (
                    f"stopped {task} after step {state.step} of {recipe.steps}; state saved in {state_path}"
                )
                if world.mean(float(request.signal is not None)) == 0:
                    raise TimeIsUp(saved)
                raise TrainingStopped(
                    f"{saved}; run the same command again, it continues from there",
                    signal=request.signal or signal.SIGINT,
                )
    state.finish()
    return state.history


def make_optimiser(network: nn.Module, recipe: Optimisation) -> torch.optim.Optimizer:
    """Build the recipe's optimiser.

    Weight decay acts on kernels only, by default: biases and norms have no reason to be small. Tao et al.
    (2020) and Zhu et al. (CVPR 2019) decay all parameters, in one group.

    Example:
        >>> optimiser = make_optimiser(nn.Linear(3, 1), Optimisation(weight_decay=0.1))
        >>> [(len(group["params"]), group["weight_decay"]) for group in optimiser.param_groups]
        [(1, 0.1), (1, 0.0)]
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
    """One optimiser step: gradients of the next batches, averaged over ranks, and new weights."""

    network: nn.Module
    recipe: Optimisation
    world: World
    seed: int
    optimiser: torch.optim.Optimizer
    precision: torch.dtype
    scaler: torch.amp.GradScaler

    @classmethod
    def build(
        cls, network: nn.Module, recipe: Optimisation, precision: torch.dtype, *, world: World, seed: int
    ) -> _Update:
        """Build the optimiser, and the gradient scaler for the precision."""
        device = next(network.parameters()).device
        return cls(
            network=network,
            recipe=recipe,
            world=world,
            seed=seed,
            optimiser=make_optimiser(network, recipe),
            precision=precision,
            # Without scaling, the smallest gradients underflow to zero in float16.
            scaler=torch.amp.GradScaler(device.type, enabled=precision == torch.float16),
        )

    def __call__(self, step: int, batches: Sequence[BatchT], loss_of: Callable[[BatchT], Tensor]) -> float:
        """Take one step with these batches; return the mean loss over them and over all ranks."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(step, self.recipe)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.world.mean(self._backward(step, batches, loss_of))
        self._check_finite(loss, "loss", step)
        average_gradients(self.network, self.world)
        self.scaler.unscale_(self.optimiser)
        length = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm))
        # While the loss is scaled up, overflow is normal: the scaler skips the step and lowers its scale.
        if self.scaler.get_scale() <= 1:
            self._check_finite(length, "gradient", step)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss

    def conditions(self) -> str:
        """Describe what the last bits of the weights depend on besides recipe, seed and data."""
        device = next(self.network.parameters()).device
        threads = f"{torch.get_num_threads()} threads, " if device.type == "cpu" else ""
        on = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device.type
        return f"{threads}{name_of(self.precision)}, {on}, {self.world.size} processes"

    def _backward(self, step: int, batches: Sequence[BatchT], loss_of: Callable[[BatchT], Tensor]) -> float:
        """Accumulate the gradients of this rank's share of a step; return the mean loss."""
        device = next(self.network.parameters()).device
        parts = self.recipe.accumulate
        losses = []
        for part, batch in enumerate(batches):
            # Dropout is a function of seed and step, too, and differs between ranks.
            torch.manual_seed(self.seed * 1_000_003 + step * parts + part + self.world.rank * _RANK_STRIDE)
            with in_precision(device, self.precision):
                loss = loss_of(batch)
            self.scaler.scale(loss / parts).backward()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def _check_finite(self, value: float, name: str, step: int) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the {name} became {value} at step {step} of {self.recipe.steps}; "
                f"lower the learning rate ({self.recipe.learning_rate}) in the recipe and start again"
            )


def _describe(network: nn.Module, recipe: Optimisation, seed: int) -> str:
    """Describe what a training must share with a saved state to resume it: recipe, seed, shapes."""
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    return json.dumps([recipe.model_dump(mode="json"), seed, shapes])
