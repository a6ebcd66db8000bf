"""Teach a refiner of sides on single labelled pictures, from clips that are made out of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Flow, Frames
from warprefine.io.array_cache import rounded_flow
from warprefine.propagation.sides import SideMaker
from warprefine.refinement.sides import Side
from warprefine.training.cycles import ModelsOf
from warprefine.training.samples import Kept, LabelledFrame
from warprefine.training.side_samples import SideSample
from warprefine.training.side_store import Making, SideStore, Target, count_pixels, hand_of
from warprefine.training.synthetic import SyntheticMotion, synthetic_clip

_SEED = 20211
"""Where the clips begin; they are the same in every run, so that they can be shared."""


class StillPool:
    """Single labelled pictures, seen from both sides in clips that are made out of them.

    A clip's labels are known in every frame, so a refiner sees here what motion misses, and not only what it
    misses twice, as on a cycle. The picture itself is untouched, and so is what the segmenter says of it.

    Args:
        models_of: Gives the segmenter that stands beside each picture; one that has not seen it.
        variants: Clips per picture; two of them are the two sides of a sample.
    """

    def __init__(
        self,
        stills: Sequence[LabelledFrame],
        making: Making,
        models_of: ModelsOf,
        *,
        motion: SyntheticMotion,
        variants: int,
    ) -> None:
        self._stills, self._making, self._models_of = list(stills), making, models_of
        self._motion, self._variants = motion, variants
        self._sides = SideStore(making)
        self._targets: Kept[Target] = Kept()

    def __len__(self) -> int:
        return len(self._stills)

    def make(self, *, progress: Progress = silent) -> None:
        """Make everything that is not on disk yet."""
        for number, still in enumerate(self._stills):
            for variant in range(self._variants):
                self._side(number, variant)
            self._target(number)
            progress("moving single pictures", number + 1, len(self), still.video.name)

    def draw(self, rng: np.random.Generator) -> SideSample:
        """Return one picture with what one or two sides say of it."""
        number = int(rng.integers(len(self)))
        count = 1 if rng.random() < self._making.recipe.one_sided else 2
        variants = rng.permutation(self._variants)[:count].tolist()
        return self._target(number).seen_from([self._side(number, variant) for variant in variants])

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Count the pixels of each label in the pictures."""
        return count_pixels([still.label_path for still in self._stills], self._stills[0].classes)

    def _side(self, number: int, variant: int) -> Side:
        still = self._stills[number]
        longest = self._making.recipe.longest_cycle
        speeds = "-".join(f"{value:g}" for value in self._motion.model_dump().values())
        name = f"{still.video.name}/{hand_of(still.video, still.frame)}-film{variant}-{longest}-{speeds}"
        return self._sides.get(name, lambda: self._filmed(number, variant))

    def _filmed(self, number: int, variant: int) -> Side:
        """Make a clip, and label its first frame, the picture, from its last."""
        still = self._stills[number]
        rng = np.random.default_rng((_SEED, variant, still.frame, *still.video.name.encode()))
        away = int(rng.integers(1, self._making.recipe.longest_cycle + 1))
        target = self._target(number)
        clip = synthetic_clip(target.frame, target.labels, length=away + 1, motion=self._motion, rng=rng)
        footage = _Film(clip.frames, self._making.motion)
        return SideMaker(footage, self._making.ways, lambda k: clip.labels[k]).side(0, (away,))

    def _target(self, number: int) -> Target:
        still = self._stills[number]

        def read() -> Target:
            return Target.read(still, self._models_of(still.video, still.frame), self._making.cache)

        return self._targets.get(number, read, lambda target: target.nbytes)


class _Film:
    """A clip in memory and the flow between its neighbours, as estimated: `trajectories.Footage`."""

    def __init__(self, frames: Sequence[Frames], motion: MotionEstimator) -> None:
        self._frames, self._motion = frames, motion
        self._flows: dict[tuple[int, int], Flow] = {}

    def frame(self, k: int) -> Frames:
        return self._frames[k]

    def flow(self, b: int, a: int) -> Flow:
        if (b, a) not in self._flows:
            self._flows[b, a] = rounded_flow(self._motion(self._frames[b], self._frames[a]))
        return self._flows[b, a]
