"""Train the two-sided refiner, to restore hand-made labels from labels carried from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from warprefine.core.tensors import VOID, Frames, size_of
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement import TWO_SIDED_REFINERS
from warprefine.refinement.interface import Side, TwoSidedInput, TwoSidedRefiner, stack
from warprefine.refinement.mirrored import mirrored_two_sided
from warprefine.training.data.crops import Window, jitter
from warprefine.training.losses import balanced_weights
from warprefine.training.refiners.kind import RefinerKind
from warprefine.training.refiners.two_sided_samples import SamplePool, TwoSidedSample

Shares: TypeAlias = Sequence[tuple[SamplePool, float]]
"""Pools and how often each is drawn from; only the ratios of the shares count."""

_WHOLE = 1 << 40
"""Pixels that frequencies are counted in, so many that rounding does not show."""


class BatchMaker:
    """Returns the batch of a step, a pure function of the seed and the step's number."""

    def __init__(self, pools: Shares, recipe: TwoSidedRefinerRecipe, seed: int) -> None:
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


def _normalised(pools: Shares) -> list[float]:
    shares = [share for _, share in pools]
    assert min(shares) >= 0 < max(shares), "shares are at least 0, and not all 0"
    return [share / sum(shares) for share in shares]


def _class_weights(pools: Shares, recipe: TwoSidedRefinerRecipe, class_count: int) -> Tensor:
    """Return loss weights of the C + 1 channels, VOID last, from how often samples show each."""
    frequency = torch.zeros(VOID + 1, dtype=torch.float64)
    for (pool, _), share in zip(pools, _normalised(pools), strict=True):
        pixels = pool.class_pixels()
        frequency += share * pixels / pixels.sum()
    counted = (frequency * _WHOLE).round().long()
    per_channel = [*counted[:class_count].tolist(), int(counted[VOID])]
    weights = balanced_weights(per_channel, recipe.optimisation.class_balance)
    weights[-1] *= recipe.void_weight
    return weights


TWO_SIDED_REFINER = RefinerKind[TwoSidedRefiner, Shares, TwoSidedRefinerRecipe](
    part="two-sided-refiner",
    specs=TWO_SIDED_REFINERS,
    batches=BatchMaker,
    class_weights=_class_weights,
    mirrored=mirrored_two_sided,
)
"""The refiner of warp-refine-plus."""
build_two_sided_refiner, train_two_sided_refiner, load_two_sided_refiner = (
    TWO_SIDED_REFINER.build,
    TWO_SIDED_REFINER.train,
    TWO_SIDED_REFINER.load,
)
