"""Train students: single-frame networks on hand-made labels and pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Segmenter, module_of
from warprefine.io.checkpoints import load_network
from warprefine.metrics.confusion import Confusion
from warprefine.recipe.student import StudentRecipe
from warprefine.segmentation import SEGMENTERS
from warprefine.training.data.samples import Samples, check_learnable
from warprefine.training.data.student_samples import Source, StudentBatches
from warprefine.training.engine.checkpoint import is_trained, train_to_checkpoint
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.engine.loop import Watch, ignore
from warprefine.training.segmenter import PART, build_segmenter, confusion_over, loss_and_card
from warprefine.training.segmenter_loss import with_progress


@dataclass(frozen=True, kw_only=True, eq=False)
class StudentPlan:
    """A student's training data and where its weights go; the first source is labelled by hand."""

    path: Path
    class_names: tuple[str, ...]
    sources: Sequence[Source]
    recipe: StudentRecipe
    device: torch.device
    seed: int
    world: World = field(default_factory=lambda: ALONE)
    watch: Watch = ignore


def train_student(plan: StudentPlan, *, progress: Progress = silent, task: str = "training") -> None:
    """Train a student and write it to the plan's path; a killed training continues.

    With several processes each computes its part of every batch, and the first writes the files.
    """
    if is_trained(plan.path):
        return
    manual = plan.sources[0].samples
    check_learnable(manual.members, plan.class_names)
    recipe = plan.recipe.resolved(len(manual))
    optimisation = recipe.optimisation
    segmenter = build_segmenter(recipe, len(plan.class_names), seed=plan.seed, class_names=plan.class_names)
    network = module_of(segmenter).to(plan.device)
    batches = StudentBatches(
        plan.sources,
        recipe.augmentation,
        epoch_length=recipe.epoch_length(len(manual)),
        batch=optimisation.batch,
        slots=plan.world.slots(optimisation.batch),
        seed=plan.seed,
    )

    together, loss_of, card = loss_and_card(
        segmenter,
        recipe,
        pixels=manual.count_classes(plan.world).sum(axis=0),
        optimisation=optimisation,
        class_names=plan.class_names,
        seed=plan.seed,
        world=plan.world,
    )
    train_to_checkpoint(
        plan.path,
        network,
        optimisation,
        batch_at=with_progress(batches, optimisation),
        together=together,
        loss_of=loss_of,
        card=card,
        seed=plan.seed,
        world=plan.world,
        watch=plan.watch,
        progress=progress,
        task=task,
    )


def load_student(path: Path, device: torch.device) -> Segmenter:
    """Load a student's checkpoint, in evaluation mode."""
    return load_network(path, SEGMENTERS, part=PART, device=device)


def student_confusion(segmenter: Segmenter, samples: Samples, *, world: World = ALONE) -> Confusion:
    """Return a student's confusion matrix on test images; every process counts its part, all get the sum."""
    numbers = shard(range(len(samples)), world)
    return world.sum(confusion_over(segmenter, samples, numbers))
