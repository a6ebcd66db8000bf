"""Draw training samples in epochs of a fixed length: each source has its share, half of it class by class.

Section 4.2 and supplement C.1 of the paper: an epoch has a fixed length, three times the images labelled by
hand, so that no method trains longer than another; half of it is drawn class by class. The paper leaves open
in which order source and class are drawn: here the source comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from warprefine.training.data.sampling import Draw, draw_epoch

_LEAST_PER_CLASS = 10
"""Draws of each class in a block at least, however short an epoch is."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a share of every epoch is drawn from.

    Attributes:
        count: Number of images.
        by_class: For each class, the draws of its centroids.
        share: Its part of an epoch; only the ratios of shares count.
    """

    count: int
    by_class: Sequence[Sequence[Draw]]
    share: float


class EpochDraws:
    """Draws of a training; each is a pure function of the seed and its position.

    Args:
        sources: What is drawn from, each with images and a share above 0.
        class_uniform: Share of the draws of each source that is drawn class by class.
        epoch_length: Draws of an epoch; each source has its share of every epoch, to the draw.
        seed: Seed of all draws.

    Example:
        >>> source = Drawn(count=2, by_class=[[]], share=1.0)
        >>> draws = EpochDraws([source], class_uniform=0.0, epoch_length=2, seed=0)
        >>> sorted(draws(position)[1].image for position in range(2))
        [0, 1]
    """

    def __init__(
        self, sources: Sequence[Drawn], *, class_uniform: float, epoch_length: int, seed: int
    ) -> None:
        self._sources, self._class_uniform, self._seed = sources, class_uniform, seed
        self._counts = _apportion(epoch_length, [source.share for source in sources])
        self._epoch_length = epoch_length
        self._order = lru_cache(maxsize=2)(self._make_order)
        self._block = lru_cache(maxsize=2 * len(sources))(self._make_block)

    def __call__(self, position: int) -> tuple[int, Draw]:
        """Return the number of the source and the draw of a position, counted from the training's first."""
        epoch, place = divmod(position, self._epoch_length)
        which, ordinal = self._order(epoch)[place]
        number = epoch * self._counts[which] + ordinal
        block, offset = divmod(number, self._block_length(which))
        return which, self._block(which, block)[offset]

    def _make_order(self, epoch: int) -> list[tuple[int, int]]:
        """Return, for each place of an epoch, its source and its ordinal among the samples of that source."""
        entries = [(which, ordinal) for which, count in enumerate(self._counts) for ordinal in range(count)]
        order = np.random.default_rng((self._seed, epoch, 1)).permutation(len(entries))
        return [entries[number] for number in cast(list[int], order.tolist())]

    def _block_length(self, which: int) -> int:
        """Return how many draws of a source are sampled together: an epoch's, or more if those are few."""
        class_count = len(self._sources[which].by_class)
        share = self._class_uniform
        least = round(_LEAST_PER_CLASS * class_count / share) if share else 1
        return max(self._counts[which], least)

    def _make_block(self, which: int, number: int) -> list[Draw]:
        source = self._sources[which]
        draws = draw_epoch(
            source.count,
            source.by_class,
            share=self._class_uniform,
            seed=self._seed + which,
            epoch=number,
            fill_up=True,
            length=self._block_length(which),
        )
        order = np.random.default_rng((self._seed, number, which, 2)).permutation(len(draws))
        return [draws[place] for place in cast(list[int], order.tolist())]


def _apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Divide `total` in proportion to the shares into integers that add up to it."""
    edges = np.round(np.cumsum([0.0, *shares]) / sum(shares) * total).astype(int)
    return cast(list[int], np.diff(edges).tolist())
