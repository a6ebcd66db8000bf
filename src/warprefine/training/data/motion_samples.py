"""Excerpts of neighbouring frames with the flow between them: the samples that motion networks train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.lru_cache import LRUCache
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.motion.sdcnet_motion import mirror_flows, mirror_frames
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.recipe.motion import MotionRecipe
from warprefine.training.data.samples import MEMORY
from warprefine.training.engine.distributed import ALONE, World

MOST_HELD_OUT = 40
"""Limit of held-out excerpts; more would slow down every validation and hardly change its result."""


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Neighbouring frames of a video, in the order of the network's input; the last is reconstructed."""

    video: Video
    classes: ClassSet
    frames: tuple[int, ...]

    def backwards(self) -> Excerpt:
        """Return the same frames in reverse order of time."""
        return replace(self, frames=self.frames[::-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """Frames and flow of excerpts: flow i lives on frame i + 1 and points into frame i, in pixels."""

    frames: UInt8[Tensor, "b t 3 h w"]
    flows: Float[Tensor, "b s 2 h w"]

    @property
    def nbytes(self) -> int:
        """Size in memory, in bytes."""
        return self.frames.nbytes + self.flows.nbytes

    def mirrored(self) -> Footage:
        """Mirror frames and flow left to right; the sign of the horizontal flow changes."""
        signs = torch.tensor([-1.0, 1.0]).view(2, 1, 1)
        return Footage(frames=self.frames.flip(-1), flows=self.flows.flip(-1) * signs)


def excerpts_of(dataset: Dataset, length: int) -> list[Excerpt]:
    """List all excerpts of `length` frames, forwards, video by video."""
    return [
        Excerpt(video=video, classes=dataset.classes, frames=tuple(range(first, first + length)))
        for video in dataset.videos
        for stretch in video.stretches
        for first in range(stretch.start, stretch.stop - length + 1)
    ]


def hold_out(dataset: Dataset, *, length: int, every: int) -> tuple[list[Excerpt], list[Excerpt]]:
    """Split the excerpts of a data set into those to train on and, evenly spaced, those to validate on.

    No two neighbouring frames of a held-out excerpt occur together in training, in either order.

    Args:
        length: Frames of an excerpt.
        every: One in this many excerpts is held out, but at most `MOST_HELD_OUT`.

    Returns:
        The excerpts to train on, and the held-out ones.

    Raises:
        DatasetError: The videos are too short to leave excerpts for both.
    """
    excerpts = excerpts_of(dataset, length)
    every = max(min(every, len(excerpts)), -(-len(excerpts) // MOST_HELD_OUT))
    held_out = excerpts[every // 2 :: max(every, 1)]
    measured = {(excerpt.video.name, pair) for excerpt in held_out for pair in _pairs(excerpt)}
    trained = [
        excerpt
        for excerpt in excerpts
        if measured.isdisjoint((excerpt.video.name, pair) for pair in _pairs(excerpt))
    ]
    if not held_out or not trained:
        raise DatasetError(
            f"{dataset.root} holds {len(excerpts)} excerpts of {length} neighbouring frames, too few to "
            "train motion on some and measure it on others; add longer videos"
        )
    return trained, held_out


def _pairs(excerpt: Excerpt) -> list[tuple[int, int]]:
    return list(zip(excerpt.frames[:-1], excerpt.frames[1:], strict=True))


class Excerpts:
    """Excerpts by index, decoded once and cached; flow is estimated once and cached on disk, if it is kept.

    Args:
        members: The excerpts.
        models: The motion that flow is estimated by, and whether flow is kept.
        cache: Where it is kept.
    """

    def __init__(self, members: Sequence[Excerpt], *, models: Models, cache: ArrayCache) -> None:
        self.members = list(members)
        self._models, self._cache = models, cache
        self._decoded: LRUCache[Footage] = LRUCache(MEMORY, lambda footage: footage.nbytes)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> Footage:
        return self._decoded.get(index, lambda: self._read(self.members[index]))

    def _read(self, excerpt: Excerpt) -> Footage:
        with open_evidence(excerpt.video, excerpt.classes, self._models, self._cache) as evidence:
            return Footage(
                frames=torch.stack([evidence.frame(k) for k in excerpt.frames], dim=1),
                flows=torch.stack([evidence.flow(b, a) for a, b in _pairs(excerpt)], dim=1),
            )


class BatchMaker:
    """Batches of excerpts; the batch of a step is a pure function of the seed and the step's number.

    Args:
        forwards: The excerpts to train on.
        backwards: The same excerpts, each in reverse order of time.
        recipe: Batch size, crops and augmentation.
        seed: Seed of all draws.
        world: The ranks that share the batch; each returns its slots of it.
    """

    def __init__(
        self,
        forwards: Excerpts,
        backwards: Excerpts,
        recipe: MotionRecipe,
        *,
        seed: int,
        world: World = ALONE,
    ) -> None:
        self._forwards, self._backwards = forwards, backwards
        self._recipe, self._seed = recipe, seed
        self._slots = world.slots(recipe.optimisation.batch)

    def __call__(self, step: int) -> Footage:
        """Return the batch of a step."""
        crops = []
        for slot in self._slots:
            rng = np.random.default_rng((self._seed, step, slot))
            excerpts = self._backwards if rng.random() < self._recipe.reverse else self._forwards
            crops.append(augment(excerpts[int(rng.integers(len(excerpts)))], self._recipe, rng))
        return Footage(
            frames=torch.cat([crop.frames for crop in crops]), flows=torch.cat([crop.flows for crop in crops])
        )


def augment(footage: Footage, recipe: MotionRecipe, rng: np.random.Generator) -> Footage:
    """Cut a random crop, the same in all frames of an excerpt, and mirror a share of the excerpts."""
    frames = mirror_frames(footage.frames, recipe.crop)
    flows = mirror_flows(footage.flows, recipe.crop)
    top, left = (
        int(rng.integers(have - cut + 1)) for have, cut in zip(frames.shape[-2:], recipe.crop, strict=True)
    )
    window = (..., slice(top, top + recipe.crop[0]), slice(left, left + recipe.crop[1]))
    crop = Footage(frames=frames[window], flows=flows[window])
    return crop.mirrored() if rng.random() < recipe.flip else crop
