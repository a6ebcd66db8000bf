"""Training samples of the paper's refiner: cycles through every key frame, kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from warprefine.core.lru_cache import LRUCache
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Frames, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.io.images import read_labels
from warprefine.propagation.evidence import Evidence, Models, open_evidence
from warprefine.propagation.stepwise.cycle import Cycle, cycles_of, run_cycle
from warprefine.training.data.samples import MEMORY
from warprefine.training.losses import balanced_weights

ModelsOf: TypeAlias = Callable[[Video, int], Models]
"""Returns the networks for a key frame (video, frame): with folds, a segmenter not trained on it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CycleSample:
    """The refiner's input at a key frame after a cycle, and the key frame's labels (b = 1)."""

    frame: Frames
    warped_frame: Frames
    labels: LabelMaps
    segmentation: Segmentation
    target: LabelMaps


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
        self._samples = LRUCache[CycleSample](MEMORY, _size)

    def __len__(self) -> int:
        return len(self.members)

    def prepare(self, tau: float, *, progress: Progress = silent) -> None:
        """Run every cycle that is not on disk yet."""
        self._tau = tau
        for done, cycle in enumerate(self.members, 1):
            key = self._key(cycle)
            if self._cache.get(key) is None:
                self._run(cycle, key)
            progress("cycling", done, len(self), f"{cycle.video} {cycle.key_frame}{cycle.reach:+d}")

    def class_weights(self, balance: float) -> Tensor:
        """Return loss weights of the C + 1 channels, VOID last, from the labels of the key frames."""
        pixels = torch.zeros(VOID + 1, dtype=torch.int64)
        for video in self._dataset.videos:
            for path in video.labels.values():
                labels = read_labels(path, self._dataset.classes)
                pixels += torch.bincount(labels.flatten().long(), minlength=VOID + 1)
        return balanced_weights([*pixels[: len(self._dataset.classes)].tolist(), int(pixels[VOID])], balance)

    def __getitem__(self, index: int) -> CycleSample:
        return self._samples.get(index, lambda: self._read(self.members[index]))

    def _run(self, cycle: Cycle, key: str) -> None:
        with self._evidence(cycle) as evidence:
            returned = run_cycle(evidence, cycle, evidence.key_labels(cycle.key_frame), tau=self._tau)
        warped_frame = returned.pair.warped_frame.round().clamp(0, 255).to(torch.uint8)
        self._cache.put(key, {"labels": returned.labelling.labels, "warped_frame": warped_frame})

    def _read(self, cycle: Cycle) -> CycleSample:
        stored = self._cache.get(self._key(cycle))
        assert stored is not None, "prepare() runs before samples are read"
        with self._evidence(cycle) as evidence:
            return CycleSample(
                frame=evidence.frame(cycle.key_frame),
                warped_frame=stored["warped_frame"],
                labels=stored["labels"],
                segmentation=evidence.segmentation(cycle.key_frame),
                target=evidence.key_labels(cycle.key_frame),
            )

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
        networks = f"{models.motion.name}_{models.segmenter_fingerprint}_{self._tau:g}"
        key_labels = fingerprint_of_file(video.labels[cycle.key_frame])  # they may be corrected
        return f"cycle/{networks}/{cycle.video}/{cycle.key_frame:06d}{cycle.reach:+d}_{key_labels}"


def _size(sample: CycleSample) -> int:
    tensors: list[Tensor] = [sample.frame, sample.warped_frame, sample.labels, sample.target]
    tensors += [sample.segmentation.logits, sample.segmentation.features]
    return sum(tensor.nbytes for tensor in tensors)
