"""Train a network from step 0 to the last: one loop for all of them, resumable to the same bits.

The batch of a step is a pure function of the seed and the step's number, so a training that was
killed goes on from its last saved state exactly as if nothing had happened.
"""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, TrainingError
from warprefine.core.progress import Progress, silent
from warprefine.io.atomic import write_bytes
from warprefine.training.optimisation import Optimisation
from warprefine.training.schedules import learning_rate_at

log = logging.getLogger(__name__)
BatchT = TypeVar("BatchT")


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
) -> dict[str, Any]:
    """Train `network` in place and leave it with its best (or averaged) weights, in eval mode.

    Args:
        batch_at: Makes the batch of a step; it runs in another thread, one step ahead.
        loss_of: Runs the network on a batch; the gradient of what it returns is followed.
        state_path: Where the state is kept while the training runs.
        seed: Decides dropout; the batches are the caller's.
        validate: Scores a network, higher is better; the best weights seen are kept.

    Returns:
        The history: losses, learning rates and validations by step.

    Raises:
        TrainingError: The loss is not a finite number.
    """
    device = next(network.parameters()).device
    optimiser = make_optimiser(network, recipe)
    state = _TrainingState(network, optimiser, state_path, made_with=_describe(network, recipe, seed))
    state.load()
    network.train()
    for step, batch in _prefetched(batch_at, state.step, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, recipe)
        torch.manual_seed(seed * 1_000_003 + step)  # dropout, too, is a function of seed and step
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision):
            loss = loss_of(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss became {value} at step {step} of {recipe.steps}; "
                f"lower the learning rate ({recipe.learning_rate}) in the recipe and start again"
            )
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
        optimiser.step()
        state.advance(value, recipe)
        progress(task, state.step, recipe.steps, f"loss {value:.3f}")
        last = state.step == recipe.steps
        if validate is not None and (state.step % recipe.validate_every == 0 or last):
            state.keep_if_best(validate)
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


def _prefetched(batch_at: Callable[[int], BatchT], first: int, steps: int) -> Iterator[tuple[int, BatchT]]:
    """Make each batch in another thread while the step before it is computed."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        coming = pool.submit(batch_at, first) if first < steps else None
        for step in range(first, steps):
            assert coming is not None
            batch = coming.result()
            coming = pool.submit(batch_at, step + 1) if step + 1 < steps else None
            yield step, batch


def _describe(network: nn.Module, recipe: Optimisation, seed: int) -> str:
    """Name what a training must share with a saved state to go on from it."""
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    return json.dumps([recipe.model_dump(mode="json"), seed, shapes])


class _TrainingState:
    """Everything that a killed training needs to go on: weights, their average, optimiser, step."""

    def __init__(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, path: Path, *, made_with: str
    ) -> None:
        self.network = network
        self.optimiser = optimiser
        self.path = path
        self.made_with = made_with
        self.step = 0
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.best: dict[str, Tensor] | None = None
        self.best_score = -math.inf
        self.history: dict[str, Any] = {"loss": [], "validation": []}

    def advance(self, loss: float, recipe: Optimisation) -> None:
        self.step += 1
        # Early averages forget faster: the first weights are worth nothing.
        decay = min(recipe.average_decay, self.step / (self.step + 10)) if recipe.average_decay else 0.0
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value.detach(), 1 - decay)
            else:
                self.average[key].copy_(value)
        if self.step % 20 == 0 or self.step == 1:
            self.history["loss"].append([self.step, round(loss, 5)])

    def keep_if_best(self, validate: Callable[[nn.Module], float]) -> None:
        current = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        score = validate(self.network)
        self.network.load_state_dict(current)
        self.network.train()
        self.history["validation"].append([self.step, round(score, 5)])
        log.info("step %d: validation %.4f", self.step, score)
        if score >= self.best_score:
            self.best_score = score
            self.best = {k: v.clone() for k, v in self.average.items()}

    def finish(self) -> None:
        self.network.load_state_dict(self.best if self.best is not None else self.average)
        self.network.eval()

    def save(self) -> None:
        content = {
            "made_with": self.made_with,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "best": self.best,
            "best_score": self.best_score,
            "history": json.dumps(self.history),
        }
        # By way of memory, because torch does not tell a full disk from other trouble.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_bytes(self.path, buffer.getvalue())

    def load(self) -> None:
        if not self.path.exists():
            return
        device = next(self.network.parameters()).device
        try:
            content = torch.load(self.path, map_location=device, weights_only=True)
            fits = content["made_with"] == self.made_with
        except (RuntimeError, OSError, KeyError, ValueError, EOFError, UnpicklingError):
            fits = False  # damaged
        if not fits:
            raise CheckpointError(
                f"{self.path} does not hold the state of this training; expected one saved with the same "
                "network, recipe and seed; delete the file to begin again"
            )
        self.network.load_state_dict(content["network"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step = int(content["step"])
        self.average, self.best = content["average"], content["best"]
        self.best_score = float(content["best_score"])
        self.history = json.loads(content["history"])
        log.info("going on from step %d", self.step)
