"""Choose tau, the colour distance up to which motion is trusted, on the key frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warprefine.core.errors import KeyFrameError
from warprefine.core.progress import Progress, silent
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.metrics.confusion import count, mean_iou
from warprefine.propagation.evidence import open_evidence
from warprefine.propagation.stepwise.cycle import carry, cycles_of, key_to_key, there_and_back
from warprefine.recipe.plus import FARTHEST
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.refiners.cycles import ModelsOf

TRIALS = 16
"""Walks on which each candidate is evaluated, spread over the key frames."""


def trial_walks(dataset: Dataset, longest_cycle: int) -> list[tuple[Video, Sequence[int]]]:
    """Return the walks on which tau is chosen: from key frame to key frame, else cycles.

    A key frame labelled from its neighbour is compared with its hand-made labels. Where no clip has two
    key frames close enough, cycles are used; they favour a large tau, because the second half of a cycle
    undoes errors of the motion in its first half.

    Raises:
        KeyFrameError: No key frame has a neighbouring frame.
    """
    walks: list[tuple[Video, Sequence[int]]] = [
        (video, stops) for video in dataset.videos for stops in key_to_key(video, FARTHEST)
    ] or [
        (video, there_and_back(cycle))
        for video in dataset.videos
        for cycle in cycles_of(video, longest_cycle)
    ]
    if not walks:
        raise KeyFrameError(
            f"{dataset.root}: no key frame has a frame before or after it, so tau cannot be chosen; "
            "set propagation.tau in the recipe, or use videos of more than one frame"
        )
    return [walks[int(i)] for i in np.unique(np.linspace(0, len(walks) - 1, TRIALS).round())]


def evaluate_taus(
    dataset: Dataset,
    cache: ArrayCache,
    candidates: Sequence[float],
    *,
    models_of: ModelsOf,
    longest_cycle: int,
    progress: Progress = silent,
    world: World = ALONE,
) -> dict[float, float]:
    """Return, for each candidate, the mIoU (0 to 1) of warp-inpainted labels at key frames.

    Each rank labels its share of them, and all get the same scores.
    """
    classes = dataset.classes
    confusion = {tau: np.zeros((len(classes) + 1, len(classes) + 1), np.int64) for tau in candidates}
    # All ranks get all networks first: it may train them.
    walks = [(*walk, models_of(walk[0], walk[1][-1])) for walk in trial_walks(dataset, longest_cycle)]
    own = shard(walks, world)
    with world.parting():
        for done, (video, stops, models) in enumerate(own, 1):
            check_time()
            with open_evidence(video, classes, models, cache) as evidence:
                carried = carry(evidence, stops, evidence.key_labels(stops[0]), taus=candidates)
                truth = evidence.key_labels(stops[-1])
            for tau, returned in zip(candidates, carried, strict=True):
                confusion[tau] += count(returned.labelling.labels, truth, class_count=len(classes))
            progress("choosing tau", done, len(own))
    return {tau: mean_iou(world.sum(matrix)) for tau, matrix in confusion.items()}
