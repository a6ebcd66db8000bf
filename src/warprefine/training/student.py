"""Train a single-frame network on hand-made and propagated labels: what the labels are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Segmenter, channels_last
from warprefine.evaluation.confusion import Confusion
from warprefine.io.checkpoints import Card, load_weights, read_card, save_checkpoint
from warprefine.segmentation import SEGMENTERS
from warprefine.training.distributed import ALONE, World, shard
from warprefine.training.loop import Watch, ignore, train
from warprefine.training.losses import balanced_weights
from warprefine.training.samples import Samples
from warprefine.training.segmenter import (
    Batch,
    build_segmenter,
    confusion_over,
    segmentation_loss,
    settings_of_weights,
)
from warprefine.training.student_recipe import StudentRecipe
from warprefine.training.student_samples import Source, StudentBatches


@dataclass(frozen=True, kw_only=True, eq=False)
class StudentPlan:
    """What a student learns from, and where its weights go; the first source is labelled by hand."""

    path: Path
    class_names: tuple[str, ...]
    sources: Sequence[Source]
    recipe: StudentRecipe
    device: torch.device
    seed: int
    world: World = field(default_factory=lambda: ALONE)
    watch: Watch = ignore


def train_student(plan: StudentPlan, *, progress: Progress = silent, task: str = "training") -> None:
    """Train a student and write it to the plan's path; a killed training goes on where it was.

    With several processes each makes its part of every batch, and the first writes the files.
    """
    if plan.path.exists():
        return
    manual = plan.sources[0].samples
    recipe = plan.recipe.resolved(len(manual))
    optimisation, class_count = recipe.optimisation, len(plan.class_names)
    network = build_segmenter(recipe, class_count, seed=plan.seed).to(plan.device)
    segmenter = cast(Segmenter, network)
    pixels = np.sum(manual.count_classes(), axis=0)[:class_count].tolist()
    weights = balanced_weights(pixels, optimisation.class_balance).to(plan.device)
    batches = StudentBatches(
        plan.sources,
        recipe.augmentation,
        epoch_length=recipe.epoch_length(len(manual)),
        batch=optimisation.batch,
        slots=plan.world.slots(optimisation.batch),
        seed=plan.seed,
    )

    def loss_of(batch: Batch) -> torch.Tensor:
        said = segmenter(batch.frames.to(plan.device))
        return segmentation_loss(said, batch.labels.to(plan.device), recipe, weights)

    state_path = plan.path.with_suffix(".state")
    history = train(
        network,
        optimisation,
        batch_at=batches,
        loss_of=loss_of,
        state_path=state_path,
        seed=plan.seed,
        world=plan.world,
        watch=plan.watch,
        progress=progress,
        task=task,
    )
    if plan.world.is_first:
        settings = SEGMENTERS[recipe.network].describe(
            network, recipe, begun_from=settings_of_weights(recipe)
        )
        card = Card(
            part="segmenter",
            network=recipe.network,
            class_names=plan.class_names,
            settings=settings,
            recipe=recipe.model_dump(mode="json"),
            facts={"seed": plan.seed, "history": history},
        )
        save_checkpoint(plan.path, network, card)
        state_path.unlink(missing_ok=True)
    plan.world.wait()


def load_student(path: Path, device: torch.device) -> Segmenter:
    """Load a student's checkpoint, ready to be asked."""
    card = read_card(path)
    network = SEGMENTERS[card.network].from_card(card.settings, len(card.class_names))
    load_weights(path, network)
    return cast(Segmenter, channels_last(network).to(device).eval())


def student_confusion(segmenter: Segmenter, samples: Samples, *, world: World = ALONE) -> Confusion:
    """Count what a student says of test images; every process counts its part, and all get the sum."""
    numbers = shard(range(len(samples)), world)
    return world.sum(confusion_over(segmenter, samples, numbers))
