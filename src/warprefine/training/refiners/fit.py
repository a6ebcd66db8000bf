"""Train a refiner, stepwise or two-sided, to a checkpoint: both learn VOID as a class of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from warprefine.core.names import look_up
from warprefine.core.network_spec import NetworkSpec
from warprefine.core.progress import Progress
from warprefine.core.protocols import device_of, module_of
from warprefine.core.tensors import VOID, LabelMaps, Logits
from warprefine.io.checkpoints import Card
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.training.engine.checkpoint import train_to_checkpoint
from warprefine.training.losses import LOSSES

BatchT = TypeVar("BatchT", bound="LabelledBatch")


@runtime_checkable
class LabelledBatch(Protocol):
    """The input of a refiner for frames b, and their labels."""

    @property
    def inputs(self) -> Any:
        """The input, which can be moved to a device."""
        ...

    @property
    def target(self) -> LabelMaps:
        """The labels to learn."""
        ...


def fit_refiner(
    path: Path,
    *,
    refiner: Callable[[Any], Logits],
    specs: Mapping[str, NetworkSpec[Any]],
    part: str,
    recipe: RefinerRecipe | TwoSidedRefinerRecipe,
    batch_at: Callable[[int], BatchT],
    class_weights: Tensor,
    class_names: tuple[str, ...],
    feature_channels: int,
    facts: dict[str, Any],
    seed: int,
    progress: Progress,
) -> None:
    """Train `refiner` in place and write it to `path`; a killed training continues.

    Args:
        path: The checkpoint.
        refiner: A network, on its device.
        specs: Networks of its kind, by name.
        part: The part that the checkpoint's card names.
        recipe: The loss and the training.
        batch_at: Returns the batch of a step.
        class_weights: Loss weights of the C + 1 channels, VOID last.
        class_names: The classes that it scores, without VOID.
        feature_channels: Channels of the segmenter's features that it was built for.
        facts: Recorded in the card besides the recipe: what the samples were computed with.
        seed: Seed of the batches.
        progress: Called after every step.

    Raises:
        RecipeError: No loss has the recipe's name.
    """
    device: torch.device = device_of(refiner)
    loss, weights = look_up(LOSSES, recipe.loss, what="loss"), class_weights.to(device)

    def loss_of(batch: BatchT) -> Tensor:
        target = batch.target.to(device)
        target = target.masked_fill(target == VOID, len(class_names))
        return loss(refiner(batch.inputs.to(device)), target, weights)

    def card(history: dict[str, Any]) -> Card:
        settings = specs[recipe.network].describe(refiner, recipe)
        return Card(
            part=part,
            network=recipe.network,
            class_names=class_names,
            settings={**settings, "feature_channels": feature_channels},
            recipe=recipe.to_dict(),
            facts={**facts, "seed": seed, "history": history},
        )

    train_to_checkpoint(
        path,
        module_of(refiner),
        recipe.optimisation,
        batch_at=batch_at,
        loss_of=loss_of,
        card=card,
        seed=seed,
        progress=progress,
        task=f"training the {part}",
    )
