"""Train g_psi on the frames labelled by hand, and one more per fold for honest cycles.

A segmenter that has seen a key frame knows it by heart, and what it says there is far better than
what it will say of the frames to be labelled. Cycles return to key frames, so a refiner that is
taught with this segmenter learns to trust it too much. Each fold's segmenter has never seen the
fold's key frames; cycles at those are made with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Pretrained, Segmentation, Segmenter, channels_last, device_of
from warprefine.core.tensors import Frames, LabelMaps, Logits
from warprefine.evaluation.confusion import Confusion, count, mean_iou
from warprefine.io.checkpoints import Card, begin_from, read_card, save_checkpoint
from warprefine.ops.resize import to_size
from warprefine.segmentation import SEGMENTERS
from warprefine.training.augment import augment
from warprefine.training.loop import train
from warprefine.training.losses import BESIDE, LOSSES, balanced_weights
from warprefine.training.network_recipe import NetworkRecipe
from warprefine.training.optimisation import Optimisation
from warprefine.training.recipe import SegmenterRecipe
from warprefine.training.samples import Samples, members_by_class

log = logging.getLogger(__name__)
LEAST_HELD_OUT = 3
"""Fewer held-out frames than this say too little to choose a checkpoint by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Crops and their labels."""

    frames: Frames
    labels: LabelMaps


class BatchMaker:
    """Make the batch of a step as a pure function of the seed and the step's number.

    Args:
        pools: Sets of samples with the share of the batch that each provides.
    """

    def __init__(
        self, pools: Sequence[tuple[Samples, float]], recipe: SegmenterRecipe, *, batch: int, seed: int
    ) -> None:
        self._pools = [pool for pool, share in pools if len(pool) and share > 0]
        shares = np.array([share for pool, share in pools if len(pool) and share > 0])
        self._shares = shares / shares.sum()
        counts = [pool.count_classes() for pool in self._pools]
        self._by_class = [members_by_class(of_pool) for of_pool in counts]
        self.pixels = np.sum([of_sample for of_pool in counts for of_sample in of_pool], axis=0)
        self._augmentation, self._batch, self._seed = recipe.augmentation, batch, seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        crops = [self._crop(np.random.default_rng((self._seed, step, slot))) for slot in range(self._batch)]
        frames = torch.from_numpy(np.stack([image for image, _ in crops])).permute(0, 3, 1, 2)
        return Batch(frames=frames, labels=torch.from_numpy(np.stack([labels for _, labels in crops])))

    def _crop(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        which = int(rng.choice(len(self._pools), p=self._shares))
        pool, by_class = self._pools[which], self._by_class[which]
        focus = None
        index = int(rng.integers(len(pool)))
        if by_class and rng.random() < self._augmentation.class_uniform:
            focus = int(rng.choice(list(by_class)))
            index = int(rng.choice(by_class[focus]))
        return augment(*pool[index], self._augmentation, rng, focus=focus)


def build_segmenter(recipe: NetworkRecipe, class_count: int, *, seed: int) -> nn.Module:
    """Make an untrained network of the recipe."""
    torch.manual_seed(seed)
    kind = look_up(SEGMENTERS, recipe.network, what="segmenter")
    network = kind.from_recipe(recipe, class_count, begun_from=settings_of_weights(recipe))
    if recipe.weights:
        begin_from(Path(recipe.weights), network)
    elif recipe.pretrained and isinstance(network, Pretrained):
        network.load_pretrained()
    return channels_last(network)


def settings_of_weights(recipe: NetworkRecipe) -> dict[str, Any]:
    """Return how weights to begin from want their network to be built; those of a trunk do not care."""
    if not recipe.weights:
        return {}
    card = read_card(Path(recipe.weights))
    if card.part != "segmenter":
        return {}
    if card.network != recipe.network:
        raise CheckpointError(
            f"{recipe.weights} holds the network {card.network}, but the recipe asks for {recipe.network}; "
            "name that network under [segmenter], or other weights"
        )
    return card.settings


def hold_out(samples: Samples, every: int) -> tuple[Samples, Samples]:
    """Split labelled frames into those to train on and, evenly spread, those to validate on."""
    if len(samples) < every * LEAST_HELD_OUT:
        return samples, Samples([])
    kept_back = set(range(every // 2, len(samples), every))
    return (
        Samples([m for i, m in enumerate(samples.members) if i not in kept_back]),
        Samples([m for i, m in enumerate(samples.members) if i in kept_back]),
    )


def train_segmenter(
    path: Path,
    *,
    network: nn.Module,
    pools: Sequence[tuple[Samples, float]],
    held_out: Samples,
    recipe: SegmenterRecipe,
    optimisation: Optimisation,
    class_names: tuple[str, ...],
    seed: int = 0,
    progress: Progress = silent,
    task: str = "training the segmenter",
) -> None:
    """Train `network` in place and write it to `path`; a killed training goes on where it was."""
    device = next(network.parameters()).device
    segmenter = cast(Segmenter, network)
    batches = BatchMaker(pools, recipe, batch=optimisation.batch, seed=seed)
    pixels = batches.pixels[: segmenter.class_count].tolist()
    weights = balanced_weights(pixels, optimisation.class_balance).to(device)

    def loss_of(batch: Batch) -> Tensor:
        said = segmenter(batch.frames.to(device))
        return segmentation_loss(said, batch.labels.to(device), recipe, weights)

    state_path = path.with_suffix(".state")
    history = train(
        network,
        optimisation,
        batch_at=batches,
        loss_of=loss_of,
        state_path=state_path,
        seed=seed,
        validate=(lambda _: score(segmenter, held_out)) if len(held_out) else None,
        progress=progress,
        task=task,
    )
    card = Card(
        part="segmenter",
        network=recipe.network,
        class_names=class_names,
        settings=SEGMENTERS[recipe.network].describe(network, recipe, begun_from=settings_of_weights(recipe)),
        recipe={**recipe.model_dump(mode="json"), "optimisation": optimisation.model_dump(mode="json")},
        facts={"seed": seed, "history": history},
    )
    save_checkpoint(path, network, card)
    state_path.unlink(missing_ok=True)


def segmentation_loss(
    said: Segmentation, labels: LabelMaps, recipe: NetworkRecipe, weights: Tensor | None
) -> Tensor:
    """Return the loss of all that a network says while it is trained, each part at the labels' size.

    Beside the final scores stand those of a first guess and of each scale by itself, with the weights
    of Tao et al. (2020, arXiv 2005.10821); like theirs, these are only ever scored pixel by pixel.
    """

    def full_size(scores: Logits) -> Tensor:
        exact = scores if scores.dtype == torch.float64 else scores.float()
        return to_size(exact, (labels.shape[-2], labels.shape[-1]))

    loss, beside = look_up(LOSSES, recipe.loss, what="loss"), BESIDE[recipe.loss]
    total = loss(full_size(said.logits), labels, weights)
    if said.first_guess is not None:
        total = total + recipe.first_guess_weight * beside(full_size(said.first_guess), labels, weights)
    for scores in said.by_scale:
        total = total + recipe.scale_weight * beside(full_size(scores), labels, weights)
    return total


def score(segmenter: Segmenter, samples: Samples) -> float:
    """Return the mIoU (0 to 1) of a segmenter over samples, from one confusion matrix."""
    return float(mean_iou(confusion_over(segmenter, samples, range(len(samples)))))


def confusion_over(segmenter: Segmenter, samples: Samples, numbers: Iterable[int]) -> Confusion:
    """Count what a segmenter says of the samples with these numbers."""
    matrix = np.zeros((segmenter.class_count + 1, segmenter.class_count + 1), np.int64)
    for number in numbers:
        image, labels = samples[number]
        predicted = segmented(segmenter, torch.from_numpy(image).permute(2, 0, 1)[None])
        truth = torch.from_numpy(labels)[None]
        matrix += count(predicted, truth, class_count=segmenter.class_count)
    return matrix


def segmented(segmenter: Segmenter, frame: Frames) -> LabelMaps:
    """Return the classes that a segmenter finds in a frame, at the frame's size, in main memory."""
    device = device_of(segmenter)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        logits = segmenter(frame.to(device)).logits
    size = (frame.shape[-2], frame.shape[-1])
    return to_size(logits.float(), size).argmax(dim=1).to(torch.uint8).cpu()
