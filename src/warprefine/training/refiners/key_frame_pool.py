"""Training samples of the two-sided refiner from key frames: cycles, and labels of other key frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset, Video
from warprefine.propagation.evidence import content_of, open_evidence
from warprefine.propagation.stepwise.cycle import cycles_of
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.recipe.plus import FARTHEST
from warprefine.recipe.two_sided_refiner import TwoSidedTraining
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.training.data.samples import LabelledFrame, count_pixels, evenly
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.refiners.cycles import ModelsOf
from warprefine.training.refiners.sample_store import NamedSide, SampleSettings, SampleStore
from warprefine.training.refiners.samples import Sample

_Find = Callable[[], NamedSide]


def places_of(dataset: Dataset, training: TwoSidedTraining) -> list[tuple[Video, int]]:
    """Return the key frames that are targets: those that a cycle passes through, at most so many.

    Args:
        dataset: The videos with key frames.
        training: How many there are at most, and the longest cycle.
    """
    videos = {video.name: video for video in dataset.videos}
    cycles = [c for video in dataset.videos for c in cycles_of(video, training.longest_cycle)]
    places = sorted({(cycle.video, cycle.key_frame) for cycle in cycles})
    return [(videos[name], key) for name, key in evenly(places, training.key_frames)]


class KeyFramePool:
    """Key frames as targets, with sides from cycles and from other key frames.

    Labels carried from another key frame have errors of the motion that those of a cycle lack: errors in
    the first half of a cycle are undone in its second half.

    Args:
        dataset: The videos with key frames.
        settings: What samples are computed with.
        models_of: Returns the networks whose segmenter is used for each key frame.
    """

    def __init__(self, dataset: Dataset, settings: SampleSettings, models_of: ModelsOf) -> None:
        self._dataset, self._settings, self._models_of = dataset, settings, models_of
        self._videos = {video.name: video for video in dataset.videos}
        self._places = [(video.name, key) for video, key in places_of(dataset, settings.training)]
        self._open_carrier: LabelCarrier | None = None
        self._store = SampleStore(settings, models_of)

    def __len__(self) -> int:
        return len(self._places)

    def prepare(self, *, progress: Progress = silent, world: World = ALONE) -> None:
        """Compute all sides and targets that are not on disk yet; each rank computes its share."""
        for name, key in self._places:
            self._models_of(self._videos[name], key)  # on all ranks: it may train networks
        own = shard(range(len(self)), world)
        with world.parting():
            for done, number in enumerate(own, start=1):
                self._prepare(number)
                name, key = self._places[number]
                progress("cycling in both directions", done, len(own), f"{name} {key}")

    def _prepare(self, number: int) -> None:
        """Compute the sides and the target of a key frame."""
        name, key = self._places[number]
        with self._carrier(name) as carrier:
            self._open_carrier = carrier  # trajectories to one key frame share their parts
            for sign in (1, -1):
                for find in (*self._by_cycle(name, key, sign), *self._by_key_frame(name, key, sign)):
                    check_time()
                    self._store.prepare_side(*find())
                carrier.keep(())  # those into the other direction share none
        self._open_carrier = None
        self._store.target(self._labelled(number))

    def draw(self, rng: np.random.Generator) -> Sample[TwoSidedInput]:
        """Return a sample: a key frame with one or two sides, and its labels as the target."""
        number = int(rng.integers(len(self)))
        sides = [self._store.side(*find()) for find in self._drawn(*self._places[number], rng)]
        return self._store.target(self._labelled(number)).sample(sides)

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Return the number of pixels of each label in the key frames."""
        paths = [self._videos[name].labels[key] for name, key in self._places]
        return count_pixels(paths, self._dataset.classes)

    def _labelled(self, number: int) -> LabelledFrame:
        name, key = self._places[number]
        return LabelledFrame(video=self._videos[name], frame=key, classes=self._dataset.classes)

    def _drawn(self, name: str, key: int, rng: np.random.Generator) -> list[_Find]:
        """Choose a cycle in each direction, or another key frame on one side; one side may be dropped."""
        training = self._settings.training
        choices = {sign: self._by_cycle(name, key, sign) for sign in (1, -1)}
        real = [sign for sign in (1, -1) if self._by_key_frame(name, key, sign)]
        if real and rng.random() < training.real_share:
            sign = real[int(rng.integers(len(real)))]
            choices[sign] = self._by_key_frame(name, key, sign)
        chosen = [sides[int(rng.integers(len(sides)))] for sides in choices.values() if sides]
        if len(chosen) == 2 and rng.random() < training.one_sided:
            chosen.pop(int(rng.integers(2)))
        return chosen

    def _by_cycle(self, name: str, key: int, sign: int) -> Sequence[_Find]:
        """Return the sides from cycles into the future (+1) or into the past (-1)."""
        reaches = (sign * length for length in range(1, self._settings.training.longest_cycle + 1))
        stretch = self._videos[name].stretch(key)
        return [partial(self._cycle, name, key, r) for r in reaches if key + r in stretch]

    def _by_key_frame(self, name: str, key: int, sign: int) -> Sequence[_Find]:
        """Return the side from the next key frame after (+1) or before (-1), if nearer than `FARTHEST`."""
        video = self._videos[name]
        others = (key + sign * distance for distance in range(1, FARTHEST))
        other = next((k for k in others if k in video.labels and k in video.stretch(key)), None)
        return [] if other is None else [partial(self._from_other, name, key, other)]

    def _cycle(self, name: str, key: int, reach: int) -> NamedSide:
        side_name = f"{name}/{key:06d}{reach:+d}-{self._content(name, (key, key + reach), key)}"
        return side_name, self._computed(name, lambda carrier: carrier.cycle(key, key + reach))

    def _from_other(self, name: str, key: int, other: int) -> NamedSide:
        side_name = f"{name}/{key:06d}-from-{other:06d}-{self._content(name, (key, other), other)}"
        return side_name, self._computed(name, lambda carrier: carrier.side(key, (other,)))

    def _content(self, name: str, frames: tuple[int, int], key: int) -> str:
        """Return a hash of the frames that labels are carried through, and of the labels."""
        motion = self._settings.models.motion
        return content_of(self._videos[name], self._dataset.classes, motion, frames, key_frames=[key])

    def _computed(self, video: str, compute: Callable[[LabelCarrier], Side]) -> Callable[[], Side]:
        def computed() -> Side:
            with self._carrier(video) as carrier:
                return compute(carrier)

        return computed

    @contextmanager
    def _carrier(self, name: str) -> Iterator[LabelCarrier]:
        if self._open_carrier is not None:
            yield self._open_carrier
            return
        settings, video = self._settings, self._videos[name]
        with open_evidence(video, self._dataset.classes, settings.models, settings.cache) as evidence:
            yield LabelCarrier(
                evidence,
                settings.carry,
                evidence.key_labels,
                motion=settings.models.motion,
                folder=evidence.folder,
            )
