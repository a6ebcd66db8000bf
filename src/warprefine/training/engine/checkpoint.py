"""Train a network and write it as a checkpoint: the frame that the trainings of all networks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from warprefine.core.progress import Progress, silent
from warprefine.io.atomic import writing_errors
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.engine.loop import Watch, ignore, train

BatchT = TypeVar("BatchT")


def is_trained(path: Path) -> bool:
    """Return whether a checkpoint is there; if so, the state of its training is deleted.

    A process that was killed between the two left that behind.

    Example:
        >>> is_trained(Path("RUN/checkpoints/segmenter.safetensors"))
        False
    """
    if not path.exists():
        return False
    state_path = path.with_suffix(".state")
    with writing_errors(state_path):
        state_path.unlink(missing_ok=True)
    return True


def train_to_checkpoint(
    path: Path,
    network: nn.Module,
    optimisation: Optimisation,
    *,
    batch_at: Callable[[int], BatchT],
    loss_of: Callable[[BatchT], Tensor],
    together: Callable[[Sequence[BatchT]], Sequence[BatchT]] = tuple,
    card: Callable[[dict[str, Any]], Card],
    seed: int = 0,
    validate: Callable[[nn.Module], float] | None = None,
    progress: Progress = silent,
    task: str = "training",
    world: World = ALONE,
    watch: Watch = ignore,
) -> None:
    """Train `network` in place and write its weights and card to `path`.

    The state of the training is kept beside `path`, with the suffix ".state", until the checkpoint is
    written: a killed training continues from it and ends with the same weights. All ranks return after
    the first has written the checkpoint.

    Args:
        path: The checkpoint, the same file for all ranks.
        network: In eval mode afterwards, with its best (or averaged) weights.
        batch_at: Returns the batch of a number, or this rank's slots of it; see `train`.
        loss_of: Returns the loss of the network on a batch; see `train`.
        together: Prepares the batches of a step for `loss_of`; see `train`.
        card: Returns the card of the trained network from the history that `train` returns; called once
            the network is trained, on the first rank only, so it must not communicate with other ranks.
        seed: Seed of dropout; the order of batches is up to the caller.
        validate: Scores a network, higher is better; see `train`.
        progress: Called after every step, on the first rank.
        task: Name of the training in `progress`.
        world: The ranks that share the work; each of them calls this function.
        watch: Receives losses, learning rates and validation scores, on the first rank.

    Raises:
        TrainingError: The loss or its gradient is not finite on some rank; all ranks raise.
        CheckpointError: The state file belongs to another training, or is damaged.
    """
    state_path = path.with_suffix(".state")
    history = train(
        network,
        optimisation,
        batch_at=batch_at,
        loss_of=loss_of,
        together=together,
        state_path=state_path,
        seed=seed,
        validate=validate,
        progress=progress,
        task=task,
        world=world,
        watch=watch,
    )
    if world.is_first:
        save_checkpoint(path, network, card(history))
        is_trained(path)
    world.wait()
