"""Choose tau, the colour distance up to which motion is trusted, on the key frames."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from warprefine.core.classes import ClassSet
from warprefine.core.errors import KeyFrameError
from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import LabelMaps
from warprefine.core.time_limit import check_time
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.atomic import draft_of, make_folder
from warprefine.io.images import write_frame, write_labels
from warprefine.metrics.confusion import count, mean_iou
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.stepwise.cycle import ReturnedLabels, carry, key_to_key
from warprefine.recipe.plus import FARTHEST
from warprefine.recipe.synthetic import SyntheticMotion
from warprefine.training.engine.distributed import ALONE, World, shard
from warprefine.training.refiners.cycles import ModelsOf
from warprefine.training.synthetic.clips import SyntheticClip, synthetic_clip

TRIALS = 16
"""Walks on which each candidate is evaluated, spread over the key frames."""
SYNTHETIC_STEPS = (3, 6, 10)
"""Lengths of synthetic clips: in short ones motion is right nearly everywhere, whatever tau is."""
_SEED = 0x7A0


def trial_walks(dataset: Dataset) -> list[tuple[Video, Sequence[int]]]:
    """Return the walks on which tau is chosen: from key frame to key frame, else on the spot.

    A key frame labelled from its neighbour is compared with its hand-made labels. Where no clip has two
    key frames close enough, a walk that stays at a key frame stands for a synthetic clip of it, as long as
    the walk. Cycles would favour a large tau: the second half of a cycle undoes the errors of the motion in
    its first half.

    Raises:
        KeyFrameError: No key frame has a neighbouring frame.
    """
    walks: list[tuple[Video, Sequence[int]]] = [
        (video, stops) for video in dataset.videos for stops in key_to_key(video, FARTHEST)
    ] or [
        (video, (key,) * (1 + steps))
        for video in dataset.videos
        for key in video.key_frames
        for steps in SYNTHETIC_STEPS
        if len(video.stretch(key)) > 1
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
    progress: Progress = silent,
    world: World = ALONE,
) -> dict[float, float]:
    """Return, for each candidate, the mIoU (0 to 1) of warp-inpainted labels at the ends of walks.

    Each rank labels its share of them, and all get the same scores.
    """
    classes = dataset.classes
    confusion = {tau: np.zeros((len(classes) + 1, len(classes) + 1), np.int64) for tau in candidates}
    # All ranks get all networks first: it may train them.
    walks = [(*walk, models_of(walk[0], walk[1][-1])) for walk in trial_walks(dataset)]
    own = shard(walks, world)
    with world.parting():
        for done, (video, stops, models) in enumerate(own, 1):
            check_time()
            carried, truth = _carried((video, stops), models, classes, cache, candidates)
            for tau, returned in zip(candidates, carried, strict=True):
                confusion[tau] += count(returned.labelling.labels, truth, class_count=len(classes))
            progress("choosing tau", done, len(own))
    return {tau: mean_iou(world.sum(matrix)) for tau, matrix in confusion.items()}


def _carried(
    walk: tuple[Video, Sequence[int]],
    models: Models,
    classes: ClassSet,
    cache: ArrayCache,
    candidates: Sequence[float],
) -> tuple[list[ReturnedLabels], LabelMaps]:
    """Return the labels that arrive at the end of a walk with each candidate, and the true ones."""
    video, stops = walk
    with open_evidence(video, classes, models, cache) as evidence:
        if stops[0] != stops[-1]:
            carried = carry(evidence, stops, evidence.key_labels(stops[0]), taus=candidates)
            return carried, evidence.key_labels(stops[-1])
        frame, labels = evidence.frame(stops[0]), evidence.key_labels(stops[0])
    rng, length = np.random.default_rng((_SEED, *stops, *video.name.encode())), len(stops)
    clip = synthetic_clip(frame.cpu(), labels.cpu(), length=length, motion=SyntheticMotion(), rng=rng)
    folder = draft_of(cache.root / "clip")
    try:
        made = _written(clip, make_folder(folder), classes)
        with open_evidence(made, classes, models, ArrayCache(folder)) as evidence:
            carried = carry(evidence, range(length), evidence.key_labels(0), taus=candidates)
            return carried, clip.labels[-1].to(evidence.device)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _written(clip: SyntheticClip, folder: Path, classes: ClassSet) -> Video:
    """Write a clip as a video whose first frame is its key frame."""
    frames = [folder / f"{number}.png" for number in range(len(clip.frames))]
    for path, frame in zip(frames, clip.frames, strict=True):
        write_frame(path, frame)
    write_labels(folder / "labels.png", clip.labels[0], classes)
    stems = [path.stem for path in frames]
    return Video(name=folder.name, stems=stems, frame_paths=frames, labels={0: folder / "labels.png"})
