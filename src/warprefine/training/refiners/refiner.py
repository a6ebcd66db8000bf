"""Train the paper's refiner Omega on cycles, to restore key-frame labels from those that returned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warprefine.core.protocols import Refiner, RefinerInput
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.refinement import REFINERS
from warprefine.refinement.mirrored import mirrored_refiner
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.kind import RefinerKind, channel_weights
from warprefine.training.refiners.samples import Sample


def _draw(pools: Sequence[Cycles], rng: np.random.Generator) -> Sample[RefinerInput]:
    """Draw a cycle, from each pool equally often."""
    pool = pools[int(rng.integers(len(pools)))]
    return pool[int(rng.integers(len(pool)))]


REFINER = RefinerKind[Refiner, RefinerInput, Sequence[Cycles], RefinerRecipe](
    part="refiner",
    specs=REFINERS,
    draw=_draw,
    class_weights=lambda pools, recipe, class_count: channel_weights(
        pools[0].class_pixels(), class_count, recipe.optimisation.class_balance
    ),
    mirrored=mirrored_refiner,
    change=lambda recipe, sample, rng: sample,
)
"""The paper's refiner; its pools are sets of cycles of the same key frames."""
