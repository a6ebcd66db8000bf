"""Training samples of the two-sided refiner from synthetic clips of single labelled images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Flow, Frames
from warprefine.core.time_limit import check_time
from warprefine.io.array_cache import rounded_flow
from warprefine.propagation.evidence import content_of
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.training.data.samples import LabelledFrame, count_pixels
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.refiners.cycles import ModelsOf
from warprefine.training.refiners.sample_store import NamedSide, SampleSettings, SampleStore
from warprefine.training.refiners.samples import Sample
from warprefine.training.synthetic.clips import synthetic_clip

_SEED = 20211
"""Seed of the clips, the same in every run, so that runs can share them."""


class StillPool:
    """Single labelled images as targets, with sides from clips that are rendered from them.

    The labels of a clip are known in every frame, so all errors of the motion show here, and not only those
    that remain after a cycle. The image itself is unchanged, and so is the segmenter's output for it.

    Args:
        stills: The labelled images.
        settings: What samples are computed with.
        models_of: Returns networks whose segmenter was not trained on an image.
    """

    def __init__(
        self, stills: Sequence[LabelledFrame], settings: SampleSettings, models_of: ModelsOf
    ) -> None:
        self._stills, self._settings, self._models_of = list(stills), settings, models_of
        self._clips = settings.training.synthetic
        self._store = SampleStore(settings, models_of)

    def __len__(self) -> int:
        return len(self._stills)

    def prepare(self, *, progress: Progress = silent, world: World = ALONE) -> None:
        """Compute all sides and targets that are not on disk yet; each rank computes its share."""
        for still in self._stills:
            self._models_of(still.video, still.frame)  # on all ranks: it may train networks
        own = shard(range(len(self)), world)
        with world.parting():
            for done, number in enumerate(own, start=1):
                for variant in range(self._clips.variants):
                    check_time()
                    self._store.prepare_side(*self._named(number, variant))
                self._store.target(self._stills[number])
                progress("moving single images", done, len(own), self._stills[number].video.name)

    def draw(self, rng: np.random.Generator) -> Sample[TwoSidedInput]:
        """Return an image with one or two sides."""
        number = int(rng.integers(len(self)))
        count = 1 if rng.random() < self._settings.training.one_sided else 2
        variants = rng.permutation(self._clips.variants)[:count].tolist()
        sides = [self._store.side(*self._named(number, variant)) for variant in variants]
        return self._store.target(self._stills[number]).sample(sides)

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Return the number of pixels of each label in the images."""
        return count_pixels([still.label_path for still in self._stills], self._stills[0].classes)

    def _named(self, number: int, variant: int) -> NamedSide:
        """Return the name of a side, and what computes it."""
        still, longest = self._stills[number], self._settings.training.longest_cycle
        speeds = "-".join(f"{value:g}" for value in self._clips.motion.model_dump().values())
        motion = self._settings.models.motion
        content = content_of(still.video, still.classes, motion, [still.frame], key_frames=[still.frame])
        name = f"{still.video.name}/{still.frame:06d}-clip{variant}-{longest}-{speeds}-{content}"
        return name, lambda: self._carried(number, variant)

    def _carried(self, number: int, variant: int) -> Side:
        """Render a clip, and carry the labels of its last frame to the first, which is the image."""
        still, settings = self._stills[number], self._settings
        rng = np.random.default_rng((_SEED, variant, still.frame, *still.video.name.encode()))
        distance = int(rng.integers(1, settings.training.longest_cycle + 1))
        target = self._store.target(still)
        clip = synthetic_clip(
            target.frame, target.labels, length=distance + 1, motion=self._clips.motion, rng=rng
        )
        motion = settings.models.motion
        footage = _ClipFootage(clip.frames, motion)
        carrier = LabelCarrier(footage, settings.carry, lambda k: clip.labels[k], motion=motion)
        return carrier.side(0, (distance,))


class _ClipFootage:
    """A clip in memory with estimated flow between its neighbours: a `trajectories.Footage`."""

    def __init__(self, frames: Sequence[Frames], motion: MotionEstimator) -> None:
        self._frames, self._motion = frames, motion
        self._flows: dict[tuple[int, int], Flow] = {}

    def frame(self, k: int) -> Frames:
        return self._frames[k]

    def flow(self, b: int, a: int) -> Flow:
        if (b, a) not in self._flows:
            self._flows[b, a] = rounded_flow(self._motion(self._frames[b], self._frames[a]))
        return self._flows[b, a]
