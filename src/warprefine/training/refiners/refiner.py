"""Train the paper's refiner Omega on cycles, to restore key-frame labels from those that returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from warprefine.core.protocols import Refiner, RefinerInput
from warprefine.core.tensors import Frames
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.refinement import REFINERS
from warprefine.refinement.mirrored import mirrored_refiner
from warprefine.training.data.epochs import Drawn, EpochDraws
from warprefine.training.engine.distributed import World
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.kind import RefinerKind, channel_weights
from warprefine.training.refiners.samples import Placed, Sample

_Draw = Callable[[int, np.random.Generator], Placed[RefinerInput]]


def _draws(pools: Sequence[Cycles], recipe: RefinerRecipe, seed: int, world: World) -> _Draw:
    """Return the function that draws a cycle and its crop, from each pool equally often."""
    if recipe.class_uniform:
        return _class_uniform(pools, recipe, seed, world)

    def draw(position: int, rng: np.random.Generator) -> Placed[RefinerInput]:
        pool = pools[int(rng.integers(len(pools)))]
        return Placed(sample=pool[int(rng.integers(len(pool)))], zoom=_zoom(recipe, rng))

    return draw


def _class_uniform(pools: Sequence[Cycles], recipe: RefinerRecipe, seed: int, world: World) -> _Draw:
    """Return the function that draws key frames in epochs, as students draw pictures, and a cycle of each."""
    draws = EpochDraws(
        [
            Drawn(
                count=len(pool.by_key_frame),
                by_class=pool.centroids(tile=recipe.tile, world=world),
                share=1.0,
            )
            for pool in pools
        ],
        class_uniform=recipe.class_uniform,
        epoch_length=recipe.epoch_length(len(pools[0].by_key_frame)),
        seed=seed,
    )

    def draw(position: int, rng: np.random.Generator) -> Placed[RefinerInput]:
        which, (key_frame, centroid) = draws(position)
        cycles = pools[which].by_key_frame[key_frame]
        sample = pools[which][cycles[int(rng.integers(len(cycles)))]]
        return Placed(sample=sample, zoom=_zoom(recipe, rng), around=centroid)

    return draw


def _zoom(recipe: RefinerRecipe, rng: np.random.Generator) -> float:
    least, most = recipe.scale
    return least if least == most else float(rng.uniform(least, most))


def _blurred(
    recipe: RefinerRecipe, sample: Sample[RefinerInput], rng: np.random.Generator
) -> Sample[RefinerInput]:
    """Blur the images of as many samples as the recipe says: both alike, so that what was equal stays so."""
    if not (recipe.blur and rng.random() < recipe.blur):
        return sample
    sigma = float(rng.uniform(0.15, 1.3))
    images = [_blur(image, sigma) for image in sample.inputs.images]
    return Sample(inputs=sample.inputs.with_images(*images), target=sample.target)


def _blur(image: Frames, sigma: float) -> Frames:
    channels = [cv2.GaussianBlur(channel.contiguous().numpy(), (0, 0), sigma) for channel in image[0]]
    return torch.from_numpy(np.stack(channels))[None]


REFINER = RefinerKind[Refiner, RefinerInput, Sequence[Cycles], RefinerRecipe](
    part="refiner",
    specs=REFINERS,
    ensembles={},
    draws=_draws,
    class_weights=lambda pools, recipe, class_count: channel_weights(
        pools[0].class_pixels(), class_count, recipe.optimisation.class_balance
    ),
    mirrored=mirrored_refiner,
    change=_blurred,
)
"""The paper's refiner; its pools are sets of cycles of the same key frames."""
