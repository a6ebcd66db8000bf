"""Draw the batches of a segmenter: augmented crops of labelled images, from several pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.data.augment import augment
from warprefine.training.data.batch import Batch, Picture
from warprefine.training.data.samples import Samples, members_by_class
from warprefine.training.engine.distributed import ALONE, World


class BatchMaker:
    """Returns the batch of a step, a pure function of the seed and the step's number.

    Args:
        pools: Sets of samples with the share of the batch that each provides.
        recipe: The augmentation.
        batch: Crops per batch, over all ranks.
        seed: Seed of the crops.
        world: The ranks that share the batch; each returns its slots of it.
    """

    def __init__(
        self,
        pools: Sequence[tuple[Samples, float]],
        recipe: SegmenterRecipe,
        *,
        batch: int,
        seed: int,
        world: World = ALONE,
    ) -> None:
        self._pools = [pool for pool, share in pools if len(pool) and share > 0]
        shares = np.array([share for pool, share in pools if len(pool) and share > 0])
        self._shares = shares / shares.sum()
        counts = [pool.count_classes(world) for pool in self._pools]
        self._by_class = [members_by_class(of_pool) for of_pool in counts]
        self.pixels = np.concatenate(counts).sum(axis=0)
        self._augmentation, self._slots, self._seed = recipe.augmentation, world.slots(batch), seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        rngs = [np.random.default_rng((self._seed, step, slot)) for slot in self._slots]
        return Batch.of([self._crop(rng) for rng in rngs])

    def _crop(self, rng: np.random.Generator) -> tuple[Picture, Picture]:
        which = int(rng.choice(len(self._pools), p=self._shares))
        pool, by_class = self._pools[which], self._by_class[which]
        focus = None
        index = int(rng.integers(len(pool)))
        if by_class and rng.random() < self._augmentation.class_uniform:
            focus = int(rng.choice(list(by_class)))
            index = int(rng.choice(by_class[focus]))
        return augment(*pool[index], self._augmentation, rng, focus=focus)
