"""Training samples of a student: key-frame labels and pseudo-labels, in the shares of the paper.

Section 4.2 and supplement C.1: an epoch has a fixed length, three times the images labelled by hand,
so that no method trains longer than another; 30 % of it is labelled by hand and 70 % pseudo-labelled;
half of each is drawn class by class. The paper leaves open in which order the two are drawn: here the
source comes first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np

from warprefine.core.errors import LabelError, TrainingError
from warprefine.core.progress import Progress, silent
from warprefine.io.atomic import write_text
from warprefine.io.claims import own_json
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.io.images import read_labels
from warprefine.recipe.network import Augmentation
from warprefine.recipe.student import StudentRecipe
from warprefine.training.data.augment import augment
from warprefine.training.data.batch import Batch, Picture
from warprefine.training.data.samples import LabelledFrame, Samples, covered_share
from warprefine.training.data.sampling import Centroid, Draw, class_centroids, draw_epoch
from warprefine.training.engine.distributed import ALONE, World, shard

_LEAST_PER_CLASS = 10
"""Draws of each class in a block at least, however short an epoch is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Labelled frames that a share of every epoch is drawn from.

    `by_class` holds, for each class, the draws of its centroids (`find_centroids`).
    """

    samples: Samples
    by_class: Sequence[Sequence[Draw]]
    share: float


def find_centroids(
    samples: Samples,
    *,
    tile: int,
    class_count: int,
    cache: Path,
    progress: Progress = silent,
    world: World = ALONE,
) -> list[list[Draw]]:
    """Return, for each class, one draw per centroid in the samples.

    Args:
        samples: Labelled frames.
        tile: Side of the tiles in pixels; 0 takes half the shorter side of each label map.
        class_count: Number of classes.
        cache: A folder; the centroids of a label map are cached there by its content, so that they are
            computed once and are never stale.
        progress: Called as label maps are done.
        world: The ranks that share the label maps; all get the centroids of all.
    """
    own: dict[int, list[Centroid]] = {}
    numbers = shard(range(len(samples)), world)
    with world.parting():
        for done, number in enumerate(numbers, start=1):
            own[number] = _centroids_of(samples.members[number], tile, class_count, cache)
            progress("finding classes", done, len(numbers))
    by_class: list[list[Draw]] = [[] for _ in range(class_count)]
    for number, member in enumerate(samples.members):
        found = own[number] if number in own else _centroids_of(member, tile, class_count, cache)
        for centroid in found:
            by_class[centroid.label].append(Draw(number, centroid))
    return by_class


def _centroids_of(member: LabelledFrame, tile: int, class_count: int, cache: Path) -> list[Centroid]:
    content = fingerprint_of(fingerprint_of_file(member.label_path, LabelError), member.classes.coding)
    path = cache / f"{content}_{class_count}_{tile}.json"
    if path.exists():
        with own_json(path, remedy="delete it, it is computed again"):
            return [Centroid(*values) for values in json.loads(path.read_text(encoding="utf-8"))]
    labels = read_labels(member.label_path, member.classes)[0].numpy()
    side = tile or max(min(labels.shape) // 2, 1)
    found = class_centroids(labels, tile=side, class_count=class_count)
    write_text(path, json.dumps(found))
    return found


def mixed(
    recipe: StudentRecipe,
    *,
    manual: Samples,
    pseudo_labelled: Samples,
    coarse: Samples,
    class_count: int,
    cache: Path,
    progress: Progress = silent,
    world: World = ALONE,
) -> list[Source]:
    """Return the sources of a student's samples with their shares: manual, pseudo-labelled, coarse.

    Args:
        manual: Frames labelled by hand.
        pseudo_labelled: Pseudo-labelled frames; empty if the student learns from manual labels only.
        coarse: Coarsely labelled frames, or empty.
        cache: As for `find_centroids`, and so are `progress` and `world`.
    """
    covered = covered_share(manual.members, pseudo_labelled.members)
    shares = recipe.shares(covered=covered, coarse=len(coarse) > 0)
    pools = list(zip((manual, pseudo_labelled, coarse), shares, strict=True))
    return sources_of(
        pools, tile=recipe.tile, class_count=class_count, cache=cache, progress=progress, world=world
    )


def sources_of(
    pools: Sequence[tuple[Samples, float]],
    *,
    tile: int,
    class_count: int,
    cache: Path,
    progress: Progress = silent,
    world: World = ALONE,
) -> list[Source]:
    """Return sources of samples with their shares, and the centroids of their classes.

    Args:
        pools: Sets of samples with the share of an epoch that each provides.
        tile: As for `find_centroids`.
        class_count: The classes that centroids are found of.
        cache: As for `find_centroids`.
        progress: Called as label maps are read.
        world: The ranks that share the label maps.
    """
    return [
        Source(
            samples=samples,
            by_class=find_centroids(
                samples,
                tile=tile,
                class_count=class_count,
                cache=cache,
                progress=progress,
                world=world,
            ),
            share=share,
        )
        for samples, share in pools
    ]


class StudentBatches:
    """Batches of a student; the batch of a step is a pure function of the seed and the step's number.

    Args:
        sources: Those without samples are skipped; the shares of the others are normalised to a sum of 1.
        epoch_length: Samples of an epoch; each source has its share of every epoch, to the sample.
        slots: Positions of a batch to return, the rest belonging to other processes; None is all.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        augmentation: Augmentation,
        *,
        epoch_length: int,
        batch: int,
        slots: range | None = None,
        seed: int,
    ) -> None:
        self._sources = [source for source in sources if len(source.samples) and source.share > 0]
        if not self._sources:
            raise TrainingError("a student has no labelled frame to learn from; expected at least one")
        self._augmentation, self._batch, self._seed = augmentation, batch, seed
        self._slots = range(batch) if slots is None else slots
        self._counts = _apportion(epoch_length, [source.share for source in self._sources])
        self._epoch_length = epoch_length
        self._order = lru_cache(maxsize=2)(self._make_order)
        self._block = lru_cache(maxsize=2 * len(self._sources))(self._make_block)

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        first = step * self._batch
        return Batch.of([self._crop(first + slot) for slot in self._slots])

    def draw(self, position: int) -> tuple[int, Draw]:
        """Return the source and the draw of one sample, counted from the first of the training."""
        epoch, place = divmod(position, self._epoch_length)
        which, ordinal = self._order(epoch)[place]
        number = epoch * self._counts[which] + ordinal
        block, offset = divmod(number, self._block_length(which))
        return which, self._block(which, block)[offset]

    def _crop(self, position: int) -> tuple[Picture, Picture]:
        which, (image, centroid) = self.draw(position)
        rng = np.random.default_rng((self._seed, position))
        return augment(*self._sources[which].samples[image], self._augmentation, rng, around=centroid)

    def _make_order(self, epoch: int) -> list[tuple[int, int]]:
        """Return, for each place of an epoch, its source and its ordinal among the samples of that source."""
        entries = [(which, ordinal) for which, count in enumerate(self._counts) for ordinal in range(count)]
        order = np.random.default_rng((self._seed, epoch, 1)).permutation(len(entries))
        return [entries[number] for number in cast(list[int], order.tolist())]

    def _block_length(self, which: int) -> int:
        """Return how many draws of a source are sampled together: an epoch's, or more if those are few."""
        class_count = len(self._sources[which].by_class)
        share = self._augmentation.class_uniform
        least = round(_LEAST_PER_CLASS * class_count / share) if share else 1
        return max(self._counts[which], least)

    def _make_block(self, which: int, number: int) -> list[Draw]:
        source = self._sources[which]
        draws = draw_epoch(
            len(source.samples),
            source.by_class,
            share=self._augmentation.class_uniform,
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
