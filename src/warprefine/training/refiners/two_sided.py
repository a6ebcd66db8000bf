"""Train the two-sided refiner, to restore hand-made labels from labels carried from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import channels_last
from warprefine.core.tensors import VOID, Frames, size_of
from warprefine.io.checkpoints import load_network
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement import TWO_SIDED_REFINERS
from warprefine.refinement.interface import Side, TwoSidedInput, TwoSidedRefiner, stack
from warprefine.refinement.mirrored import mirrored_two_sided
from warprefine.training.data.crops import Window, jitter
from warprefine.training.losses import balanced_weights
from warprefine.training.refiners.fit import fit_refiner
from warprefine.training.refiners.two_sided_samples import SamplePool, TwoSidedSample

PART = "two-sided-refiner"
"""The part that a checkpoint's card names."""

Shares: TypeAlias = Sequence[tuple[SamplePool, float]]
"""Pools and how often each is drawn from; only the ratios of the shares count."""

_WHOLE = 1 << 40
"""Pixels that frequencies are counted in, so many that rounding does not show."""


class BatchMaker:
    """Returns the batch of a step, a pure function of the seed and the step's number."""

    def __init__(self, pools: Shares, recipe: TwoSidedRefinerRecipe, *, seed: int) -> None:
        self._pools = [pool for pool, _ in pools]
        self._shares = _normalised(pools)
        self._recipe, self._seed = recipe, seed

    def __call__(self, step: int) -> TwoSidedSample:
        """Return the batch of a step."""
        samples = []
        for slot in range(self._recipe.optimisation.batch):
            rng = np.random.default_rng((self._seed, step, slot))
            pool = self._pools[int(rng.choice(len(self._pools), p=self._shares))]
            samples.append(augment(pool.draw(rng), self._recipe, rng))
        return TwoSidedSample(
            inputs=stack([sample.inputs for sample in samples]),
            target=torch.cat([sample.target for sample in samples]),
        )


def augment(
    sample: TwoSidedSample, recipe: TwoSidedRefinerRecipe, rng: np.random.Generator
) -> TwoSidedSample:
    """Crop a sample (b = 1), mirror half of them, and jitter the colours of all its images alike."""
    inputs = sample.inputs
    window = Window.drawn(size_of(inputs.frame), recipe.crop, rng)
    near, far = inputs.sides
    images = [window.cut(image) for image in (inputs.frame, near.warped_frame, far.warped_frame)]
    frame, near_frame, far_frame = jitter(images, recipe.jitter, rng)
    return TwoSidedSample(
        inputs=TwoSidedInput(
            frame=frame,
            sides=(_cut(near, window, near_frame), _cut(far, window, far_frame)),
            segmentation=window.cut_segmentation(inputs.segmentation),
        ),
        target=window.cut(sample.target),
    )


def _cut(side: Side, window: Window, warped_frame: Frames) -> Side:
    return Side(
        soft=SoftLabels(labels=window.cut(side.soft.labels), shares=window.cut(side.soft.shares)),
        trust=window.cut(side.trust),
        warped_frame=warped_frame,
        distance=side.distance,
    )


def build_two_sided_refiner(
    recipe: TwoSidedRefinerRecipe, *, class_count: int, feature_channels: int, seed: int
) -> TwoSidedRefiner:
    """Build an untrained network of the recipe.

    Raises:
        RecipeError: No network has the recipe's name.
    """
    torch.manual_seed(seed)
    spec = look_up(TWO_SIDED_REFINERS, recipe.network, what="two-sided refiner")
    return channels_last(spec.from_recipe(recipe, class_count, feature_channels))


def train_two_sided_refiner(
    path: Path,
    *,
    refiner: TwoSidedRefiner,
    pools: Shares,
    recipe: TwoSidedRefinerRecipe,
    class_names: tuple[str, ...],
    feature_channels: int,
    facts: dict[str, Any],
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Train `refiner` in place and write it to `path`; a killed training continues.

    Args:
        path: The checkpoint.
        refiner: A network, as `build_two_sided_refiner` returns it.
        pools: What samples are drawn from, and how often.
        recipe: The loss and the training.
        class_names: The classes that it scores, without VOID.
        feature_channels: Channels of the segmenter's features that it was built for.
        facts: Recorded in the card besides the recipe: how the labels of the samples were carried.
        seed: Seed of the batches.
        progress: Called after every step.

    Raises:
        RecipeError: No loss has the recipe's name.
    """
    weights = _class_weights(pools, len(class_names), recipe.optimisation.class_balance)
    weights[-1] *= recipe.void_weight
    fit_refiner(
        path,
        refiner=refiner,
        specs=TWO_SIDED_REFINERS,
        part=PART,
        recipe=recipe,
        batch_at=BatchMaker(pools, recipe, seed=seed),
        class_weights=weights,
        class_names=class_names,
        feature_channels=feature_channels,
        facts=facts,
        seed=seed,
        progress=progress,
    )


def load_two_sided_refiner(
    path: Path, classes: ClassSet, device: torch.device, *, mirrored: bool
) -> tuple[TwoSidedRefiner, str]:
    """Load the checkpoint of a two-sided refiner; return it with a fingerprint of what it computes.

    Args:
        path: The checkpoint.
        classes: The classes that it has to score.
        device: Where it runs.
        mirrored: Average the output over a frame and its mirror image.

    Raises:
        CheckpointError: The file is missing, damaged, of another class set or of another part.
    """
    refiner = load_network(path, TWO_SIDED_REFINERS, part=PART, classes=classes, device=device)
    fingerprint = fingerprint_of_file(path)
    return (mirrored_two_sided(refiner), f"{fingerprint}-mirrored") if mirrored else (refiner, fingerprint)


def _normalised(pools: Shares) -> list[float]:
    shares = [share for _, share in pools]
    assert min(shares) >= 0 < max(shares), "shares are at least 0, and not all 0"
    return [share / sum(shares) for share in shares]


def _class_weights(pools: Shares, class_count: int, balance: float) -> Tensor:
    """Return loss weights of the C + 1 channels, VOID last, from how often samples show each."""
    frequency = torch.zeros(VOID + 1, dtype=torch.float64)
    for (pool, _), share in zip(pools, _normalised(pools), strict=True):
        pixels = pool.class_pixels()
        frequency += share * pixels / pixels.sum()
    counted = (frequency * _WHOLE).round().long()
    return balanced_weights([*counted[:class_count].tolist(), int(counted[VOID])], balance)
