"""Train the segmenter g_psi on hand-labelled frames, with data augmentation and held-out validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, RecipeError
from warprefine.core.layout import kernels_for_training
from warprefine.core.names import look_up
from warprefine.core.precision import computing
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import FrozenTrunk, Pretrained, Segmenter, device_of, module_of
from warprefine.core.tensors import Frames, LabelMaps, size_of
from warprefine.io.checkpoints import Card, begin_from, differing_shapes, load_network, read_card
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.metrics.confusion import Confusion, count, mean_iou
from warprefine.ops.resize import to_size
from warprefine.recipe.network import NetworkRecipe
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.segmentation import SEGMENTERS
from warprefine.segmentation.mirrored import mirrored_segmenter
from warprefine.training.data.batch import LabelledBatch
from warprefine.training.data.features import FeatureBatchMaker, FeatureStore
from warprefine.training.data.samples import Samples
from warprefine.training.data.segmenter_batches import BatchMaker
from warprefine.training.data.student_samples import StudentBatches, sources_of
from warprefine.training.engine.checkpoint import train_to_checkpoint
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.losses import COUNTS, balanced_weights
from warprefine.training.losses.counted import counted
from warprefine.training.segmenter_loss import numbers_of, segmentation_loss, with_progress

PART = "segmenter"
"""The part that a checkpoint's card names."""
LEAST_HELD_OUT = 3
"""Fewer held-out frames than this are too few to choose a checkpoint by."""


def build_segmenter(
    recipe: NetworkRecipe, class_count: int, *, seed: int, class_names: Sequence[str] | None = None
) -> Segmenter:
    """Build a network of the recipe, with the weights that its training starts from.

    Args:
        class_names: Names of the classes: scores of a class of that name are taken from the weights, and
            those of others begin anew. If None, a head of as many classes is taken as it is.

    Raises:
        RecipeError: No network has the recipe's name, or a package that it needs is not installed.
        CheckpointError: The weights to start from are missing, damaged or another network's.
    """
    torch.manual_seed(seed)
    spec = look_up(SEGMENTERS, recipe.network, what="segmenter")
    settings = settings_of_weights(recipe)
    segmenter = spec.from_recipe(recipe, class_count, init_from=settings, class_names=class_names)
    if recipe.weights:

        def head() -> frozenset[str]:
            with torch.random.fork_rng(devices=[]):  # later random numbers do not depend on this comparison
                other = spec.from_recipe(recipe, class_count + 1, init_from=settings)
            return differing_shapes(module_of(segmenter), module_of(other))

        begin_from(Path(recipe.weights), module_of(segmenter), class_names=class_names, head=head)
    elif recipe.pretrained and isinstance(segmenter, Pretrained):
        segmenter.load_pretrained()
    elif recipe.pretrained and spec.imported:
        raise RecipeError(without_weights(recipe.network))
    elif isinstance(segmenter, FrozenTrunk):
        raise RecipeError(
            f"the trunk of {recipe.network!r} is not trained, so it needs weights; set pretrained = true or "
            'weights = "FILE" under [segmenter], or another network, such as compact'
        )
    return kernels_for_training(segmenter)


def without_weights(network: str) -> str:
    """Return what is said where a network is to begin from published weights, and the recipe names none."""
    return (
        f"the network {network!r} begins from published weights, but the recipe names none; set "
        'weights = "FILE" (of `warprefine weights import`, or of another training), or pretrained = false to '
        "begin from random weights"
    )


def settings_of_weights(recipe: NetworkRecipe) -> dict[str, Any]:
    """Return the network settings that the weights to start from were trained with; none for a trunk's.

    Raises:
        CheckpointError: They are of another network than the recipe's.
    """
    if not recipe.weights:
        return {}
    card = read_card(Path(recipe.weights))
    if card.part != PART:
        return {}
    if card.network != recipe.network:
        raise CheckpointError(
            f"{recipe.weights} holds the network {card.network}, but the recipe names {recipe.network}; "
            "name that network under [segmenter], or other weights"
        )
    return card.settings


def loss_and_card(
    segmenter: Segmenter,
    recipe: NetworkRecipe,
    *,
    pixels: Int64[np.ndarray, " 256"],
    optimisation: Optimisation,
    class_names: tuple[str, ...],
    seed: int,
    world: World = ALONE,
) -> tuple[
    Callable[[Sequence[LabelledBatch]], list[LabelledBatch]],
    Callable[[LabelledBatch], Tensor],
    Callable[[dict[str, Any]], Card],
]:
    """Return what prepares a step's batches, the loss of a batch and the card of a segmenter or student.

    Args:
        segmenter: The network, on its device.
        recipe: What it is built and trained by.
        pixels: Number of pixels of each label in the training data, for the weights of the loss.
        optimisation: The training.
        class_names: The classes that it scores.
        seed: Recorded in the card.
        world: The ranks that share the work.

    Raises:
        RecipeError: The recipe names a loss or a class that there is not.
    """
    device, strict = device_of(segmenter), numbers_of(recipe.strict_classes, class_names)
    weights = balanced_weights(pixels[: len(class_names)].tolist(), optimisation.class_balance).to(device)

    count = look_up(COUNTS, recipe.loss, what="loss")

    def together(batches: Sequence[LabelledBatch]) -> list[LabelledBatch]:
        labels = [batch.labels.to(device, non_blocking=True) for batch in batches]
        step = counted([count(one, weights) for one in labels], world)
        return [replace(batch, step=step) for batch in batches]

    def loss_of(batch: LabelledBatch) -> Tensor:
        output = batch.segmented(segmenter, device)
        return segmentation_loss(
            output,
            batch.labels.to(device, non_blocking=True),
            recipe,
            weights,
            step=batch.step,
            strict=strict,
            late=batch.progress >= recipe.relaxed_until,
        )

    def card(history: dict[str, Any]) -> Card:
        settings = SEGMENTERS[recipe.network].describe(
            segmenter, recipe, init_from=settings_of_weights(recipe)
        )
        return Card(
            part=PART,
            network=recipe.network,
            class_names=class_names,
            settings=settings,
            recipe=recipe.to_dict() | {"optimisation": optimisation.to_dict()},
            facts={"seed": seed, "history": history},
        )

    return together, loss_of, card


def hold_out(samples: Samples, every: int) -> tuple[Samples, Samples]:
    """Split labelled frames into those to train on and, evenly spread, those to validate on."""
    if len(samples) < every * LEAST_HELD_OUT:
        return samples, Samples([])
    held_out = set(range(every // 2, len(samples), every))
    return (
        Samples([m for i, m in enumerate(samples.members) if i not in held_out]),
        Samples([m for i, m in enumerate(samples.members) if i in held_out]),
    )


def train_segmenter(
    path: Path,
    *,
    segmenter: Segmenter,
    pools: Sequence[tuple[Samples, float]],
    held_out: Samples,
    recipe: SegmenterRecipe,
    optimisation: Optimisation,
    class_names: tuple[str, ...],
    features: FeatureStore | None = None,
    centroids: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
    task: str = "training the segmenter",
    world: World = ALONE,
) -> None:
    """Train `segmenter` in place and write it to `path`; a killed training continues.

    With several processes each computes its part of every batch, and the first writes the file.

    Args:
        path: The checkpoint.
        segmenter: A network, as `build_segmenter` returns it.
        pools: Sets of samples with the share of the batch that each provides.
        held_out: Samples that choose the checkpoint by their mIoU; may be empty.
        recipe: The loss and the augmentation.
        optimisation: The training.
        class_names: The classes that it scores.
        features: Computes the features of a frozen trunk; None for networks that are trained as a whole.
        centroids: Folder that keeps the centroids of classes: trainings in epochs draw their samples as
            students do, class-uniform by centroids of tiles. None: they draw them as all others.
        seed: Seed of the batches.
        progress: Called after every step.
        task: Name of the training in `progress`.
        world: The ranks that share the work.
    """
    batch_at: Callable[[int], LabelledBatch]
    if features is not None:
        of_features = FeatureBatchMaker(
            pools, features, batch=optimisation.batch, seed=seed, progress=progress, world=world
        )
        batch_at, pixels = of_features, of_features.pixels
    elif recipe.epochs and centroids is not None:
        class_count = len(class_names)
        sources = sources_of(
            pools,
            tile=recipe.tile,
            class_count=class_count,
            cache=centroids,
            progress=progress,
            world=world,
        )
        batch_at = StudentBatches(
            sources,
            recipe.augmentation,
            epoch_length=recipe.epoch_length(sum(len(samples) for samples, _ in pools)),
            batch=optimisation.batch,
            seed=seed,
            slots=world.slots(optimisation.batch),
        )
        pixels = np.sum([samples.count_classes(world).sum(axis=0) for samples, _ in pools], axis=0)
    else:
        drawn = BatchMaker(pools, recipe, batch=optimisation.batch, seed=seed, world=world)
        batch_at, pixels = drawn, drawn.pixels
    together, loss_of, card = loss_and_card(
        segmenter,
        recipe,
        pixels=pixels,
        optimisation=optimisation,
        class_names=class_names,
        seed=seed,
        world=world,
    )
    train_to_checkpoint(
        path,
        module_of(segmenter),
        optimisation,
        batch_at=with_progress(batch_at, optimisation),
        together=together,
        loss_of=loss_of,
        card=card,
        seed=seed,
        validate=(lambda _: score(segmenter, held_out, world=world)) if len(held_out) else None,
        progress=progress,
        task=task,
        world=world,
    )


def load_segmenter(
    path: Path, classes: ClassSet, device: torch.device, *, mirrored: bool
) -> tuple[Segmenter, str]:
    """Load the checkpoint of a segmenter; return it with a fingerprint of what it computes.

    Args:
        path: The checkpoint.
        classes: The classes that it has to score.
        device: Where it runs.
        mirrored: Average the output over a frame and its mirror image.

    Raises:
        CheckpointError: The file is missing, damaged, of another class set or of another part.
    """
    segmenter = load_network(path, SEGMENTERS, part=PART, classes=classes, device=device)
    fingerprint = fingerprint_of_file(path, CheckpointError)
    return (
        (mirrored_segmenter(segmenter), f"{fingerprint}-mirrored") if mirrored else (segmenter, fingerprint)
    )


def score(segmenter: Segmenter, samples: Samples, *, world: World = ALONE) -> float:
    """Return the mIoU (0 to 1) of a segmenter over samples, from one confusion matrix of all ranks."""
    own = shard(range(len(samples)), world)
    return float(mean_iou(world.sum(confusion_over(segmenter, samples, own))))


def confusion_over(segmenter: Segmenter, samples: Samples, numbers: Iterable[int]) -> Confusion:
    """Return the confusion matrix of a segmenter over the samples with these numbers."""
    matrix = np.zeros((segmenter.class_count + 1, segmenter.class_count + 1), np.int64)
    for number in numbers:
        image, labels = samples[number]
        predicted = predict(segmenter, torch.from_numpy(image).permute(2, 0, 1)[None])
        truth = torch.from_numpy(labels)[None]
        matrix += count(predicted, truth, class_count=segmenter.class_count)
    return matrix


def predict(segmenter: Segmenter, frame: Frames) -> LabelMaps:
    """Return the most probable classes of a frame, at the frame's size, in main memory."""
    device = device_of(segmenter)
    with torch.inference_mode(), computing(segmenter):
        logits = segmenter(frame.to(device)).logits
    return to_size(logits.float(), size_of(frame)).argmax(dim=1).to(torch.uint8).cpu()
