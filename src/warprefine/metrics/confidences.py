"""Mean confidence by distance and by class; it needs no truth, and does not measure quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, Confidence, LabelMaps
from warprefine.core.video import Dataset
from warprefine.io.images import read_gray, read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics.run_labels import labelled_frames, predicted_labels
from warprefine.metrics.scores import in_order, mean


@dataclass(frozen=True, kw_only=True)
class ConfidenceStatistics:
    """The mean confidence of one method's labels, in percent; None where there is nothing to average.

    Attributes:
        by_distance: The mean over the pixels of all frames at distance 1, 2, ..., horizon.
        by_class: The mean over the pixels that have the label of a class.
        shares: The share of each class in all pixels of the labels.
    """

    by_distance: Sequence[float | None]
    by_class: Mapping[str, float | None]
    shares: Mapping[str, float]

    @property
    def mean(self) -> float | None:
        """The mean over the distances: common classes dominate it."""
        return mean(self.by_distance)

    @property
    def mean_of_classes(self) -> float | None:
        """The mean over the classes, each counted alike; those without a pixel are left out."""
        return mean(list(self.by_class.values()))


def measure_confidence(
    run: RunFolder, dataset: Dataset, *, methods: Sequence[str], horizon: int
) -> dict[str, ConfidenceStatistics]:
    """Return the mean confidence of each method that wrote any, over the frames that it labelled."""
    found = {method: _Tally.empty(horizon) for method in in_order(methods)}
    for video, frame, distance in labelled_frames(dataset, horizon):
        for method, tally in found.items():
            path = run.confidence_path(method, video.name, video.stems[frame])
            if path.exists():
                labels = predicted_labels(run, dataset.classes, method=method, video=video, frame=frame)
                tally.add(labels, read_gray(path), distance=distance)
    return {method: tally.statistics(dataset.classes) for method, tally in found.items() if tally.any}


def key_frame_shares(dataset: Dataset) -> dict[str, float]:
    """Return the share of each class in all pixels of the key labels, in percent."""
    counts = torch.zeros(VOID + 1, dtype=torch.int64)
    for video in dataset.videos:
        for path in video.labels.values():
            counts += torch.bincount(read_labels(path, dataset.classes).flatten(), minlength=VOID + 1)
    return _shares(counts, dataset.classes)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tally:
    """Sums of one method."""

    by_distance: tuple[list[float], ...]
    pixels: Int64[Tensor, " 256"]
    sums: Float64[Tensor, " 256"]

    @classmethod
    def empty(cls, horizon: int) -> _Tally:
        return cls(
            by_distance=tuple([] for _ in range(horizon)),
            pixels=torch.zeros(VOID + 1, dtype=torch.int64),
            sums=torch.zeros(VOID + 1, dtype=torch.float64),
        )

    @property
    def any(self) -> bool:
        return any(self.by_distance)

    def add(self, labels: LabelMaps, confidence: Confidence, *, distance: int) -> None:
        self.by_distance[distance - 1].append(100 * float(confidence.mean()))
        self.pixels.add_(torch.bincount(labels.flatten(), minlength=VOID + 1))
        self.sums.add_(
            torch.bincount(labels.flatten(), weights=confidence.flatten().double(), minlength=VOID + 1)
        )

    def statistics(self, classes: ClassSet) -> ConfidenceStatistics:
        means = (100 * self.sums / self.pixels).tolist()
        return ConfidenceStatistics(
            by_distance=[mean(values) for values in self.by_distance],
            by_class={
                name: means[i] if bool(self.pixels[i]) else None for i, name in enumerate(classes.names)
            },
            shares=_shares(self.pixels, classes),
        )


def _shares(counts: Int64[Tensor, " 256"], classes: ClassSet) -> dict[str, float]:
    total = max(1, int(counts.sum()))
    return {name: 100 * int(counts[i]) / total for i, name in enumerate(classes.names)}
