"""Train the two-sided refiner, to restore hand-made labels from labels carried from both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from warprefine.core.tensors import VOID
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement import ENSEMBLES, TWO_SIDED_REFINERS
from warprefine.refinement.interface import TwoSidedInput, TwoSidedRefiner
from warprefine.refinement.mirrored import mirrored_two_sided
from warprefine.training.engine.distributed import World
from warprefine.training.refiners.kind import RefinerKind, channel_weights
from warprefine.training.refiners.left_out import leave_out
from warprefine.training.refiners.samples import Placed, Sample, SamplePool

Shares: TypeAlias = Sequence[tuple[SamplePool, float]]
"""Pools and how often each is drawn from; only the ratios of the shares count."""

_WHOLE = 1 << 40
"""Pixels that frequencies are counted in, so many that rounding does not show."""


def _draws(
    pools: Shares, recipe: TwoSidedRefinerRecipe, seed: int, world: World
) -> Callable[[int, np.random.Generator], Placed[TwoSidedInput]]:
    """Return the function that draws a pool by its share, and a sample from it."""

    def draw(position: int, rng: np.random.Generator) -> Placed[TwoSidedInput]:
        pool, _ = pools[int(rng.choice(len(pools), p=_normalised(pools)))]
        return Placed(sample=pool.draw(rng))

    return draw


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
    weights = channel_weights(counted, class_count, recipe.optimisation.class_balance)
    weights[-1] *= recipe.void_weight
    return weights


def _without_things(
    recipe: TwoSidedRefinerRecipe, sample: Sample[TwoSidedInput], rng: np.random.Generator
) -> Sample[TwoSidedInput]:
    """Leave things out of the sides of as many samples as the recipe says."""
    return leave_out(sample, rng) if rng.random() < recipe.left_out else sample


TWO_SIDED_REFINER = RefinerKind[TwoSidedRefiner, TwoSidedInput, Shares, TwoSidedRefinerRecipe](
    part="two-sided-refiner",
    specs=TWO_SIDED_REFINERS,
    ensembles=ENSEMBLES,
    draws=_draws,
    class_weights=_class_weights,
    mirrored=mirrored_two_sided,
    change=_without_things,
)
"""The refiner of warp-refine-plus."""
