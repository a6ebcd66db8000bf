"""Training samples of the paper's refiner: cycles through every key frame, kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.lru_cache import LRUCache
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import RefinerInput
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.propagation.evidence import Evidence, Models, content_of, open_evidence
from warprefine.propagation.stepwise.cycle import Cycle, cycles_of, run_cycles
from warprefine.training.data.samples import LabelledFrame, Samples, count_pixels
from warprefine.training.data.sampling import Draw
from warprefine.training.data.student_samples import find_centroids
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.refiners.samples import Sample

ModelsOf: TypeAlias = Callable[[Video, int], Models]
"""Returns the networks for a key frame (video, frame): with folds, a segmenter not trained on it."""
_MEMORY = 256 << 20
"""Limit of the samples that are held in memory, in bytes; all can be read from disk."""


class Cycles:
    """All cycles of a data set, each run once and kept on disk.

    Args:
        dataset: The videos with key frames.
        cache: Where the labels that returned are kept.
        longest: Cycles are run for l = 1 to this, in both directions.
        models_of: Returns the networks for each key frame.
    """

    def __init__(self, dataset: Dataset, cache: ArrayCache, *, longest: int, models_of: ModelsOf) -> None:
        self._dataset, self._cache, self._models_of = dataset, cache, models_of
        self._videos = {video.name: video for video in dataset.videos}
        self.members: Sequence[Cycle] = [c for video in dataset.videos for c in cycles_of(video, longest)]
        numbers = range(len(self.members))
        self.by_key_frame = [list(one) for _, one in groupby(numbers, lambda i: _key_frame(self.members[i]))]
        """For each key frame that cycles pass through, the numbers of its cycles."""
        self._samples = LRUCache[Sample[RefinerInput]](_MEMORY, _size)

    def __len__(self) -> int:
        return len(self.members)

    def prepare(self, tau: float, *, progress: Progress = silent, world: World = ALONE) -> None:
        """Run every cycle that is not on disk yet, those of a key frame together; ranks share key frames."""
        self._tau = tau
        by_key_frame = [[self.members[i] for i in numbers] for numbers in self.by_key_frame]
        for cycles in by_key_frame:  # all ranks get the networks first: it may train them
            self._models_of(self._videos[cycles[0].video], cycles[0].key_frame)
        own = shard(by_key_frame, world)
        total, done = sum(map(len, own)), 0
        with world.parting():
            for cycles in own:
                due = [cycle for cycle in cycles if self._cache.get(self._key(cycle)) is None]
                if due:
                    check_time()
                    self._run(due)
                for cycle in cycles:
                    done += 1
                    progress("cycling", done, total, f"{cycle.video} {cycle.key_frame}{cycle.reach:+d}")

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Return the number of pixels of each label in the key frames."""
        paths = [path for video in self._dataset.videos for path in video.labels.values()]
        return count_pixels(paths, self._dataset.classes)

    def centroids(self, *, tile: int, world: World = ALONE) -> list[list[Draw]]:
        """Return, for each class, one draw per centroid; its image is the number of a key frame.

        Args:
            tile: Side of the tiles in pixels; 0 takes half the shorter side of each label map.
            world: The ranks that share the label maps; all get the centroids of all.
        """
        first = [self.members[numbers[0]] for numbers in self.by_key_frame]
        classes = self._dataset.classes
        key_frames = [
            LabelledFrame(video=self._videos[cycle.video], frame=cycle.key_frame, classes=classes)
            for cycle in first
        ]
        return find_centroids(
            Samples(key_frames),
            tile=tile,
            class_count=len(classes),
            cache=self._cache.root / "centroids",
            world=world,
        )

    def __getitem__(self, index: int) -> Sample[RefinerInput]:
        """Return the refiner's input at a key frame after a cycle, and the key frame's labels (b = 1)."""
        return self._samples.get(index, lambda: self._read(self.members[index]))

    def _run(self, cycles: Sequence[Cycle]) -> dict[Cycle, dict[str, Tensor]]:
        """Run cycles of one key frame, keep what returns, and return it."""
        farthest = max(cycles, key=lambda cycle: abs(cycle.reach))
        with self._evidence(farthest) as evidence:
            labels = evidence.key_labels(farthest.key_frame)
            returned = run_cycles(evidence, cycles, labels, tau=self._tau)
        found = {}
        for cycle, one in returned.items():
            warped_frame = one.pair.warped_frame.round().clamp(0, 255).to(torch.uint8)
            found[cycle] = {"labels": one.labelling.labels, "warped_frame": warped_frame}
            self._cache.put(self._key(cycle), found[cycle])
        return found

    def _read(self, cycle: Cycle) -> Sample[RefinerInput]:
        stored = self._cache.get(self._key(cycle))
        if stored is None:  # deleted since prepare(): the cache is bounded
            stored = self._run([cycle])[cycle]
        with self._evidence(cycle) as evidence:
            inputs = RefinerInput(
                frame=evidence.frame(cycle.key_frame),
                warped_frame=stored["warped_frame"],
                labels=stored["labels"],
                segmentation=evidence.segmentation(cycle.key_frame),
            )
            return Sample(inputs=inputs, target=evidence.key_labels(cycle.key_frame))

    def _evidence(self, cycle: Cycle) -> AbstractContextManager[Evidence]:
        video = self._videos[cycle.video]
        # The way back visits the frames of the way out, so keep those.
        return open_evidence(
            video,
            self._dataset.classes,
            self._models_of(video, cycle.key_frame),
            self._cache,
            kept_in_memory=abs(cycle.reach) + 2,
        )

    def _key(self, cycle: Cycle) -> str:
        video = self._videos[cycle.video]
        models = self._models_of(video, cycle.key_frame)
        networks = f"{models.motion.name}_{models.segmenter_key}_{self._tau:g}"
        ends = (cycle.key_frame, cycle.key_frame + cycle.reach)
        content = content_of(video, self._dataset.classes, models.motion, ends, key_frames=[cycle.key_frame])
        return f"cycle/{networks}/{cycle.video}/{cycle.key_frame:06d}{cycle.reach:+d}_{content}"


def _key_frame(cycle: Cycle) -> tuple[str, int]:
    return cycle.video, cycle.key_frame


def _size(sample: Sample[RefinerInput]) -> int:
    inputs = sample.inputs
    return sum(one.nbytes for one in (*inputs.images, inputs.labels, inputs.segmentation, sample.target))
