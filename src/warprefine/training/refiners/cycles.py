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
from warprefine.propagation.stepwise.cycle import Cycle, cycles_of, run_cycle
from warprefine.training.data.samples import MEMORY, count_pixels
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.refiners.samples import Sample

ModelsOf: TypeAlias = Callable[[Video, int], Models]
"""Returns the networks for a key frame (video, frame): with folds, a segmenter not trained on it."""


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
        self._samples = LRUCache[Sample[RefinerInput]](MEMORY, _size)

    def __len__(self) -> int:
        return len(self.members)

    def prepare(self, tau: float, *, progress: Progress = silent, world: World = ALONE) -> None:
        """Run every cycle that is not on disk yet; each rank runs those of its share of the key frames."""
        self._tau = tau
        # Cycles of a key frame visit the same frames. All ranks get the networks first: it may train them.
        by_key_frame = [list(one) for _, one in groupby(self.members, lambda c: (c.video, c.key_frame))]
        for cycles in by_key_frame:
            self._models_of(self._videos[cycles[0].video], cycles[0].key_frame)
        own = [cycle for cycles in shard(by_key_frame, world) for cycle in cycles]
        with world.parting():
            for done, cycle in enumerate(own, 1):
                key = self._key(cycle)
                if self._cache.get(key) is None:
                    check_time()
                    self._run(cycle, key)
                progress("cycling", done, len(own), f"{cycle.video} {cycle.key_frame}{cycle.reach:+d}")

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Return the number of pixels of each label in the key frames."""
        paths = [path for video in self._dataset.videos for path in video.labels.values()]
        return count_pixels(paths, self._dataset.classes)

    def __getitem__(self, index: int) -> Sample[RefinerInput]:
        """Return the refiner's input at a key frame after a cycle, and the key frame's labels (b = 1)."""
        return self._samples.get(index, lambda: self._read(self.members[index]))

    def _run(self, cycle: Cycle, key: str) -> None:
        with self._evidence(cycle) as evidence:
            returned = run_cycle(evidence, cycle, evidence.key_labels(cycle.key_frame), tau=self._tau)
        warped_frame = returned.pair.warped_frame.round().clamp(0, 255).to(torch.uint8)
        self._cache.put(key, {"labels": returned.labelling.labels, "warped_frame": warped_frame})

    def _read(self, cycle: Cycle) -> Sample[RefinerInput]:
        stored = self._cache.get(self._key(cycle))
        assert stored is not None, "prepare() runs before samples are read"
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
        # Both halves of a cycle visit the same frames, so keep those of the whole cycle.
        return open_evidence(
            video,
            self._dataset.classes,
            self._models_of(video, cycle.key_frame),
            self._cache,
            kept_in_memory=2 * abs(cycle.reach) + 2,
        )

    def _key(self, cycle: Cycle) -> str:
        video = self._videos[cycle.video]
        models = self._models_of(video, cycle.key_frame)
        networks = f"{models.motion.name}_{models.segmenter_key}_{self._tau:g}"
        ends = (cycle.key_frame, cycle.key_frame + cycle.reach)
        content = content_of(video, self._dataset.classes, models.motion, ends, key_frames=[cycle.key_frame])
        return f"cycle/{networks}/{cycle.video}/{cycle.key_frame:06d}{cycle.reach:+d}_{content}"


def _size(sample: Sample[RefinerInput]) -> int:
    inputs = sample.inputs
    return sum(one.nbytes for one in (*inputs.images, inputs.labels, inputs.segmentation, sample.target))
