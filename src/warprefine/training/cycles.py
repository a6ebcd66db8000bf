"""Make the refiner's training samples: cycles through every key frame, kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID, Frames, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import fingerprint
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels
from warprefine.propagation.cycle import Cycle, cycles_of, run_cycle
from warprefine.propagation.engine import read_key_labels
from warprefine.propagation.evidence import Evidence, Models
from warprefine.training.losses import balanced_weights
from warprefine.training.samples import Kept

ModelsOf = Callable[[Video, int], Models]
"""Gives the networks for a key frame (video, frame): with folds, a segmenter that has not seen it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CycleSample:
    """What the refiner sees at a key frame after a cycle, and what it should say (b = 1)."""

    frame: Frames
    warped_frame: Frames
    labels: LabelMaps
    segmentation: Segmentation
    target: LabelMaps


class Cycles:
    """All cycles of a data set, each made once and kept on disk."""

    def __init__(
        self,
        dataset: Dataset,
        cache: ArrayCache,
        *,
        longest: int,
        models_of: ModelsOf,
    ) -> None:
        self._dataset, self._cache, self._models_of = dataset, cache, models_of
        self._videos = {video.name: video for video in dataset.videos}
        self.members: Sequence[Cycle] = [c for video in dataset.videos for c in cycles_of(video, longest)]
        self._kept: Kept[CycleSample] = Kept()

    def __len__(self) -> int:
        return len(self.members)

    def make(self, tau: float, *, progress: Progress = silent) -> None:
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
        return self._kept.get(index, lambda: self._read(self.members[index]), _size)

    def _run(self, cycle: Cycle, key: str) -> None:
        with open_frames(self._videos[cycle.video]) as frames:
            evidence = self._evidence(cycle, frames)
            truth = read_key_labels(evidence, cycle.key_frame, self._dataset.classes)
            returned = run_cycle(evidence, cycle, truth, tau=self._tau)
        warped_frame = returned.pair.warped_frame.round().clamp(0, 255).to(torch.uint8)
        self._cache.put(key, {"labels": returned.labelling.labels, "warped_frame": warped_frame})

    def _read(self, cycle: Cycle) -> CycleSample:
        stored = self._cache.get(self._key(cycle))
        assert stored is not None, "make() runs before samples are read"
        with open_frames(self._videos[cycle.video]) as frames:
            evidence = self._evidence(cycle, frames)
            return CycleSample(
                frame=evidence.frame(cycle.key_frame),
                warped_frame=stored["warped_frame"],
                labels=stored["labels"],
                segmentation=evidence.segmentation(cycle.key_frame),
                target=read_key_labels(evidence, cycle.key_frame, self._dataset.classes),
            )

    def _evidence(self, cycle: Cycle, frames: FrameSource) -> Evidence:
        video = self._videos[cycle.video]
        # A cycle's two ways and all candidates for tau visit the same frames, so keep a whole journey.
        return Evidence(
            video,
            frames,
            self._models_of(video, cycle.key_frame),
            self._cache,
            kept_in_memory=2 * abs(cycle.reach) + 2,
        )

    def _key(self, cycle: Cycle) -> str:
        video = self._videos[cycle.video]
        models = self._models_of(video, cycle.key_frame)
        made_with = f"{models.motion.name}_{models.segmenter_fingerprint}_{self._tau:g}"
        sent_out = fingerprint(video.labels[cycle.key_frame])  # somebody may correct these labels
        return f"cycle/{made_with}/{cycle.video}/{cycle.key_frame:06d}{cycle.reach:+d}_{sent_out}"


def _size(sample: CycleSample) -> int:
    tensors: list[Tensor] = [sample.frame, sample.warped_frame, sample.labels, sample.target]
    tensors += [sample.segmentation.logits, sample.segmentation.features]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
