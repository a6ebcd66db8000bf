"""Train the paper's refiner Omega on cycles, to restore key-frame labels from those that returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from warprefine.core.protocols import Refiner, RefinerInput, Segmentation
from warprefine.core.tensors import LabelMaps, size_of
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.refinement import REFINERS
from warprefine.refinement.mirrored import mirrored_refiner
from warprefine.training.data.crops import Window, jitter
from warprefine.training.refiners.cycles import Cycles, CycleSample
from warprefine.training.refiners.kind import RefinerKind


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

    def __init__(self, pools: Sequence[Cycles], recipe: RefinerRecipe, seed: int) -> None:
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


REFINER = RefinerKind[Refiner, Sequence[Cycles], RefinerRecipe](
    part="refiner",
    specs=REFINERS,
    batches=BatchMaker,
    class_weights=lambda pools, recipe, _: pools[0].class_weights(recipe.optimisation.class_balance),
    mirrored=mirrored_refiner,
)
"""The paper's refiner; its pools are sets of cycles of the same key frames, drawn from equally often."""
build_refiner, train_refiner, load_refiner = REFINER.build, REFINER.train, REFINER.load
