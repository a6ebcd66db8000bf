"""State from which a killed training resumes: weights, their average, optimiser, step, history."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError
from warprefine.core.precision import name_of, precision_named
from warprefine.io.atomic import write_bytes
from warprefine.io.torch_files import READING_ERRORS
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine.distributed import World

log = logging.getLogger(__name__)


def saved_precision(path: Path, device: torch.device) -> torch.dtype | None:
    """Return the precision of the training whose state was saved, so that it goes on in the same.

    Returns:
        None where nothing was saved, or on a device of another kind.
    """
    if not path.exists():
        return None
    try:
        kind, name = torch.load(path, map_location="meta", weights_only=True)["precision"]
        return precision_named(name) if kind == device.type else None
    except READING_ERRORS:
        return None  # `TrainingState.load` tells what is wrong


class TrainingState:
    """Progress of a training; the same on all ranks, and written by the first.

    Args:
        made_with: Describes what a training must share with a saved state to resume it. The number of
            ranks is not part of it: any number can resume, but only the same one ends with the same bits.
        computed_with: Describes what the last bits of the weights depend on besides: threads, precision,
            device, ranks. It is recorded in the history; a training that resumes with another logs a warning.
        precision: What it computes in, which a training that resumes keeps; see `saved_precision`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        *,
        path: Path,
        made_with: str,
        computed_with: str,
        precision: torch.dtype,
        world: World,
    ) -> None:
        self._network, self._optimiser, self._scaler = network, optimiser, scaler
        self._path, self._made_with, self._world = path, made_with, world
        self._computed_with, self._precision = computed_with, precision
        self._average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._best: dict[str, Tensor] | None = None
        self._best_score = -math.inf
        self._device = next(network.parameters()).device
        self.step = 0
        self.history: dict[str, Any] = {"loss": [], "validation": [], "computed with": [computed_with]}

    def advance(self, loss: float, recipe: Optimisation) -> None:
        """Count a step and update the running average of the weights."""
        self.step += 1
        # Early averages decay faster, because the first weights are useless.
        decay = min(recipe.average_decay, self.step / (self.step + 10)) if recipe.average_decay else 0.0
        for key, value in self._network.state_dict().items():
            if value.is_floating_point():
                self._average[key].lerp_(value.detach(), 1 - decay)
            else:
                self._average[key].copy_(value)
        if self.is_logged:
            self.history["loss"].append([self.step, round(loss, 5)])

    @property
    def is_logged(self) -> bool:
        """Whether the loss of this step is recorded: the first and every 20th."""
        return self.step % 20 == 0 or self.step == 1

    def keep_if_best(self, validate: Callable[[nn.Module], float]) -> float:
        """Score the average of the weights, keep it if no earlier one is better, and return its score."""
        current = {k: v.detach().clone() for k, v in self._network.state_dict().items()}
        self._network.load_state_dict(self._average)
        self._network.eval()
        score = validate(self._network)
        assert self._world.agrees(score), (
            "validate must return the same score on all ranks; sum its counts over them"
        )
        self._network.load_state_dict(current)
        self._network.train()
        self.history["validation"].append([self.step, round(score, 5)])
        if self._world.is_first:
            log.info("step %d: validation %.4f", self.step, score)
        if score >= self._best_score:
            self._best_score = score
            self._best = {k: v.clone() for k, v in self._average.items()}
        return score

    def finish(self) -> None:
        """Load the best weights into the network, or the average if there was no validation."""
        self._network.load_state_dict(self._best if self._best is not None else self._average)
        self._network.eval()

    def save(self) -> None:
        """Write the state on the first rank; the others wait until it is written."""
        content = {
            "made_with": self._made_with,
            "precision": [self._device.type, name_of(self._precision)],
            "step": self.step,
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": self._average,
            "best": self._best,
            "best_score": self._best_score,
            "history": json.dumps(self.history),
        }
        if self._world.is_first:
            # Through memory, because torch reports a full disk like any other error.
            buffer = io.BytesIO()
            torch.save(content, buffer)
            write_bytes(self._path, buffer.getvalue())
        self._world.wait()

    def load(self) -> None:
        """Resume from the saved state, if there is one.

        Raises:
            CheckpointError: The file is damaged or belongs to another training, or only some ranks find it.
        """
        if self._path.exists():
            self._restore(self._read())
            if self._world.is_first:
                log.info("resuming from step %d", self.step)
        if not self._world.agrees(float(self.step)):
            raise CheckpointError(
                f"{self._path}: process {self._world.rank} would resume from step {self.step}, others would "
                "not; expected one file; put the run folder on a disk that all machines share"
            )

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = torch.load(self._path, map_location=self._device, weights_only=True)
            fits = content["made_with"] == self._made_with
        except READING_ERRORS:
            fits = False  # damaged
        if not fits:
            raise CheckpointError(
                f"{self._path} does not hold the state of this training; expected one saved with the same "
                "network, recipe and seed; delete the file to start again"
            )
        return content

    def _restore(self, content: dict[str, Any]) -> None:
        self._network.load_state_dict(content["network"])
        self._optimiser.load_state_dict(content["optimiser"])
        if content["scaler"]:  # empty where the loss is not scaled
            self._scaler.load_state_dict(content["scaler"])
        self.step = int(content["step"])
        self._average, self._best = content["average"], content["best"]
        self._best_score = float(content["best_score"])
        self.history = json.loads(content["history"])
        self._record_conditions()

    def _record_conditions(self) -> None:
        """Note what the training goes on with, and warn where it was something else before."""
        conditions = self.history.setdefault("computed with", [])  # former versions recorded none
        if conditions and conditions[-1] != self._computed_with and self._world.is_first:
            log.warning(
                "%s was computed with %s, and is resumed with %s: the weights will differ in their last bits "
                "from those of a training that was not interrupted",
                self._path,
                conditions[-1],
                self._computed_with,
            )
        if conditions[-1:] != [self._computed_with]:
            conditions.append(self._computed_with)
