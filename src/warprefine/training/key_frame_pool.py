"""Teach a refiner of sides on key frames: by cycles both ways, and from one key frame to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.io.frames import open_frames
from warprefine.propagation.cycle import cycles_of
from warprefine.propagation.engine import read_key_labels
from warprefine.propagation.evidence import Evidence
from warprefine.propagation.sides import SideMaker
from warprefine.refinement.sides import Side
from warprefine.training.cycles import ModelsOf
from warprefine.training.samples import Kept, LabelledFrame, evenly
from warprefine.training.side_samples import SideSample
from warprefine.training.side_store import Making, SideStore, Target, count_pixels, hand_of

FARTHEST = 39
"""Key frames further apart than this share too little to be labelled from one another."""
_Make = Callable[[], Side]


class KeyFramePool:
    """Key frames seen from both sides, on cycles and from other key frames.

    A key frame labelled from another one is compared with what a person made of it: no cycle shows the
    errors that motion makes on the way out and undoes on the way back.

    Args:
        models_of: Gives the segmenter that stands beside each key frame.
    """

    def __init__(self, dataset: Dataset, making: Making, models_of: ModelsOf) -> None:
        self._dataset, self._making, self._models_of = dataset, making, models_of
        self._videos = {video.name: video for video in dataset.videos}
        longest = making.recipe.longest_cycle
        places = sorted({(c.video, c.key_frame) for v in dataset.videos for c in cycles_of(v, longest)})
        self._places = evenly(places, making.recipe.key_frames)
        self._maker_at_hand: SideMaker | None = None
        self._sides = SideStore(making)
        self._targets: Kept[Target] = Kept()

    def __len__(self) -> int:
        return len(self._places)

    def make(self, *, progress: Progress = silent) -> None:
        """Make everything that is not on disk yet."""
        for number, (name, key) in enumerate(self._places):
            with self._maker(name) as self._maker_at_hand:  # ways to one key frame have much in common
                for sign in (1, -1):
                    for make in (*self._by_cycle(name, key, sign), *self._by_hand(name, key, sign)):
                        make()
            self._maker_at_hand = None
            self._target(number)
            progress("cycling both ways", number + 1, len(self), f"{name} {key}")

    def draw(self, rng: np.random.Generator) -> SideSample:
        """Return one key frame with what one or two sides say of it."""
        number = int(rng.integers(len(self)))
        sides = [make() for make in self._drawn(*self._places[number], rng)]
        return self._target(number).seen_from(sides)

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Count the pixels of each label in the key frames."""
        paths = [self._videos[name].labels[key] for name, key in self._places]
        return count_pixels(paths, self._dataset.classes)

    def _drawn(self, name: str, key: int, rng: np.random.Generator) -> list[_Make]:
        """Choose a cycle each way, or another key frame on one side; one of the two may be dropped."""
        recipe = self._making.recipe
        ways = {sign: self._by_cycle(name, key, sign) for sign in (1, -1)}
        real = [sign for sign in (1, -1) if self._by_hand(name, key, sign)]
        if real and rng.random() < recipe.real_share:
            sign = real[int(rng.integers(len(real)))]
            ways[sign] = self._by_hand(name, key, sign)
        chosen = [makes[int(rng.integers(len(makes)))] for makes in ways.values() if makes]
        if len(chosen) == 2 and rng.random() < recipe.one_sided:
            chosen.pop(int(rng.integers(2)))
        return chosen

    def _by_cycle(self, name: str, key: int, sign: int) -> Sequence[_Make]:
        """Return how to make the cycles into the future (+1) or into the past (-1)."""
        reaches = (sign * length for length in range(1, self._making.recipe.longest_cycle + 1))
        video = self._videos[name]
        return [partial(self._cycle, name, key, r) for r in reaches if 0 <= key + r < len(video)]

    def _by_hand(self, name: str, key: int, sign: int) -> Sequence[_Make]:
        """Return how to label a key frame from the next one after (+1) or before (-1) it, if it is near."""
        labels = self._videos[name].labels
        others = (key + sign * away for away in range(1, FARTHEST + 1))
        other = next((k for k in others if k in labels), None)
        return [] if other is None else [partial(self._from_other, name, key, other)]

    def _cycle(self, name: str, key: int, reach: int) -> Side:
        hand = hand_of(self._videos[name], key)
        return self._side(f"{name}/{hand}{reach:+d}", name, lambda maker: maker.cycle(key, key + reach))

    def _from_other(self, name: str, key: int, other: int) -> Side:
        hand = hand_of(self._videos[name], other)
        return self._side(f"{name}/{key:06d}-from-{hand}", name, lambda maker: maker.side(key, (other,)))

    def _side(self, called: str, name: str, make: Callable[[SideMaker], Side]) -> Side:
        def made() -> Side:
            with self._maker(name) as maker:
                return make(maker)

        return self._sides.get(called, made)

    @contextmanager
    def _maker(self, name: str) -> Iterator[SideMaker]:
        if self._maker_at_hand is not None:
            yield self._maker_at_hand
            return
        video, classes = self._videos[name], self._dataset.classes
        with open_frames(video) as frames:
            # No segmenter takes part in a way, so whichever comes first will do; motion does.
            models = replace(self._models_of(video, video.key_frames[0]), motion=self._making.motion)
            evidence = Evidence(video, frames, models, self._making.cache)
            yield SideMaker(evidence, self._making.ways, lambda k: read_key_labels(evidence, k, classes))

    def _target(self, number: int) -> Target:
        name, key = self._places[number]
        video = self._videos[name]

        def read() -> Target:
            still = LabelledFrame(video=video, frame=key, classes=self._dataset.classes)
            return Target.read(still, self._models_of(video, key), self._making.cache)

        return self._targets.get(number, read, lambda target: target.nbytes)
