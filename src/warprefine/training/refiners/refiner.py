"""Train the paper's refiner Omega on cycles, to restore key-frame labels from those that returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Refiner, RefinerInput, Segmentation, channels_last
from warprefine.core.tensors import LabelMaps, size_of
from warprefine.io.checkpoints import load_network
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.refinement import REFINERS
from warprefine.refinement.mirrored import mirrored_refiner
from warprefine.training.data.crops import Window, jitter
from warprefine.training.refiners.cycles import Cycles, CycleSample
from warprefine.training.refiners.fit import fit_refiner

PART = "refiner"
"""The part that a checkpoint's card names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The refiner's input, and the labels to learn."""

    inputs: RefinerInput
    target: LabelMaps


class BatchMaker:
    """Returns the batch of a step, a pure function of the seed and the step's number.

    Args:
        pools: Sets of cycles that are drawn from equally often.
        recipe: Batch size, crops and jitter.
        seed: Seed of all draws.
    """

    def __init__(self, pools: Sequence[Cycles], recipe: RefinerRecipe, *, seed: int) -> None:
        self._pools, self._recipe, self._seed = pools, recipe, seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        crops = []
        for slot in range(self._recipe.optimisation.batch):
            rng = np.random.default_rng((self._seed, step, slot))
            pool = self._pools[int(rng.integers(len(self._pools)))]
            crops.append(augment(pool[int(rng.integers(len(pool)))], self._recipe, rng))
        return _stack(crops)


def augment(sample: CycleSample, recipe: RefinerRecipe, rng: np.random.Generator) -> CycleSample:
    """Crop a sample, mirror half of them, and jitter the colours of both images alike."""
    window = Window.drawn(size_of(sample.frame), recipe.crop, rng)
    images = [window.cut(image) for image in (sample.frame, sample.warped_frame)]
    frame, warped_frame = jitter(images, recipe.jitter, rng)
    return CycleSample(
        frame=frame,
        warped_frame=warped_frame,
        labels=window.cut(sample.labels),
        segmentation=window.cut_segmentation(sample.segmentation),
        target=window.cut(sample.target),
    )


def _stack(crops: list[CycleSample]) -> Batch:
    return Batch(
        inputs=RefinerInput(
            frame=torch.cat([crop.frame for crop in crops]),
            warped_frame=torch.cat([crop.warped_frame for crop in crops]),
            labels=torch.cat([crop.labels for crop in crops]),
            segmentation=Segmentation(
                logits=torch.cat([crop.segmentation.logits for crop in crops]),
                features=torch.cat([crop.segmentation.features for crop in crops]),
            ),
        ),
        target=torch.cat([crop.target for crop in crops]),
    )


def build_refiner(recipe: RefinerRecipe, *, class_count: int, feature_channels: int, seed: int) -> Refiner:
    """Build an untrained network of the recipe."""
    torch.manual_seed(seed)
    spec = look_up(REFINERS, recipe.network, what="refiner")
    return channels_last(spec.from_recipe(recipe, class_count, feature_channels))


def train_refiner(
    path: Path,
    *,
    refiner: Refiner,
    pools: Sequence[Cycles],
    recipe: RefinerRecipe,
    class_names: tuple[str, ...],
    feature_channels: int,
    facts: dict[str, Any],
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Train `refiner` in place on cycles and write it to `path`; a killed training continues.

    Args:
        path: The checkpoint.
        refiner: A network, as `build_refiner` returns it.
        pools: Sets of cycles, of the same key frames, that are drawn from equally often.
        recipe: The loss and the training.
        class_names: The classes that it scores, without VOID.
        feature_channels: Channels of the segmenter's features that it was built for.
        facts: Recorded in the card besides the recipe: the tau that the cycles were run with.
        seed: Seed of the batches.
        progress: Called after every step.
    """
    fit_refiner(
        path,
        refiner=refiner,
        specs=REFINERS,
        part=PART,
        recipe=recipe,
        batch_at=BatchMaker(pools, recipe, seed=seed),
        class_weights=pools[0].class_weights(recipe.optimisation.class_balance),
        class_names=class_names,
        feature_channels=feature_channels,
        facts=facts,
        seed=seed,
        progress=progress,
    )


def load_refiner(
    path: Path, classes: ClassSet, device: torch.device, *, mirrored: bool
) -> tuple[Refiner, str]:
    """Load the checkpoint of a refiner; return it with a fingerprint of what it computes.

    Args:
        path: The checkpoint.
        classes: The classes that it has to score.
        device: Where it runs.
        mirrored: Average the output over a frame and its mirror image.

    Raises:
        CheckpointError: The file is missing, damaged, of another class set or of another part.
    """
    refiner = load_network(path, REFINERS, part=PART, classes=classes, device=device)
    fingerprint = fingerprint_of_file(path)
    return (mirrored_refiner(refiner), f"{fingerprint}-mirrored") if mirrored else (refiner, fingerprint)
