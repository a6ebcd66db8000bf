"""Choose tau, up to which colour distance motion is trusted, from the key frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warprefine.core.errors import KeyFrameError
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset, Video
from warprefine.evaluation.confusion import count, mean_iou
from warprefine.io.array_cache import ArrayCache
from warprefine.io.frames import open_frames
from warprefine.propagation.cycle import carry, cycles_of, key_to_key, there_and_back
from warprefine.propagation.engine import read_key_labels
from warprefine.propagation.evidence import Evidence
from warprefine.training.cycles import ModelsOf

TRIALS = 16
"""Journeys that each candidate is tried on, spread over the key frames."""
FARTHEST = 40
"""Key frames further apart than this share too little to be labelled from one another."""


def journeys(dataset: Dataset, longest_cycle: int) -> list[tuple[Video, Sequence[int]]]:
    """List the journeys that tau is tried on: from key frame to key frame, else cycles.

    A key frame labelled from its neighbour is compared with what a person made of it. Where no clip
    has two key frames close enough, cycles must do; they favour a large tau, because errors of the
    motion on the way out are undone on the way back.

    Raises:
        KeyFrameError: No key frame has a neighbouring frame.
    """
    ways: list[tuple[Video, Sequence[int]]] = [
        (video, stops) for video in dataset.videos for stops in key_to_key(video, FARTHEST)
    ] or [
        (video, there_and_back(cycle))
        for video in dataset.videos
        for cycle in cycles_of(video, longest_cycle)
    ]
    if not ways:
        raise KeyFrameError(
            f"{dataset.root}: no key frame has a frame before or after it, so tau cannot be chosen; "
            "set propagation.tau in the recipe, or use videos of more than one frame"
        )
    return [ways[int(i)] for i in np.unique(np.linspace(0, len(ways) - 1, TRIALS).round())]


def try_taus(
    dataset: Dataset,
    cache: ArrayCache,
    candidates: Sequence[float],
    *,
    models_of: ModelsOf,
    longest_cycle: int,
    progress: Progress = silent,
) -> dict[float, float]:
    """Return, for each candidate, the mIoU (0 to 1) of labels that arrived at key frames."""
    classes = dataset.classes
    confusion = {tau: np.zeros((len(classes) + 1, len(classes) + 1), np.int64) for tau in candidates}
    tried = journeys(dataset, longest_cycle)
    for done, (video, stops) in enumerate(tried, 1):
        with open_frames(video) as frames:
            evidence = Evidence(video, frames, models_of(video, stops[-1]), cache)
            arrived = carry(evidence, stops, read_key_labels(evidence, stops[0], classes), taus=candidates)
            truth = read_key_labels(evidence, stops[-1], classes)
        for tau, returned in zip(candidates, arrived, strict=True):
            confusion[tau] += count(returned.labelling.labels, truth, class_count=len(classes))
        progress("choosing tau", done, len(tried))
    return {tau: mean_iou(matrix) for tau, matrix in confusion.items()}
