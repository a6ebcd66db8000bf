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
from pathlib import Path

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
from warprefine.training.data.epochs import Drawn, EpochDraws
from warprefine.training.data.samples import LabelledFrame, Samples, covered_share
from warprefine.training.data.sampling import Centroid, Draw, class_centroids
from warprefine.training.engine.distributed import ALONE, World, shard


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
        self.draw = EpochDraws(
            [Drawn(count=len(one.samples), by_class=one.by_class, share=one.share) for one in self._sources],
            class_uniform=augmentation.class_uniform,
            epoch_length=epoch_length,
            seed=seed,
        )
        """Returns the source and the draw of one sample, counted from the first of the training."""

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        first = step * self._batch
        return Batch.of([self._crop(first + slot) for slot in self._slots])

    def _crop(self, position: int) -> tuple[Picture, Picture]:
        which, (image, centroid) = self.draw(position)
        rng = np.random.default_rng((self._seed, position))
        return augment(*self._sources[which].samples[image], self._augmentation, rng, around=centroid)
