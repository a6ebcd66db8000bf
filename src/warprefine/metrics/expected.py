"""Scores to be expected without truth, from the confidence of labels: by frame, distance and class.

Confidence is the probability that a label is right, so its mean is the expected accuracy. For an expected IoU
it must be known besides which classes the wrong pixels have in truth: that is taken from key frames that were
labelled as if they were none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from warprefine.core.classes import ClassSet
from warprefine.core.video import Dataset, Video
from warprefine.io.images import read_gray
from warprefine.io.run import RunFolder
from warprefine.metrics.confusion import Confusion
from warprefine.metrics.scores import mean

NOT_CALIBRATED = (
    "confidence is not calibrated: the order of frames is usable, the numbers are not; run `warprefine "
    "autolabel` with the same options and --calibrate"
)
_LEVEL = 255
_PRIOR_PIXELS = 100.0
"""Wrong pixels of a class that are spread over all classes by their size, before those that were counted."""


@dataclass(frozen=True, kw_only=True)
class ExpectedScores:
    """What a method's labels can be expected to score, in percent; None where there is nothing to expect.

    Fields named `by_distance` run over the distance to the key frame, k = 1, 2, ..., horizon. `miou` is the
    mean of `miou_by_distance`, as `MethodScores.miou` is.

    Attributes:
        accuracy: The expected share of right pixels of all frames.
        accuracy_by_distance: The same of the frames at each distance.
        accuracy_by_class: The expected share of right pixels of those that are labelled as a class.
        iou_by_class: The expected IoU over all frames.
        miou_by_distance: Its mean over the classes that occur, at each distance.
        miou: The mean of these.
    """

    accuracy: float | None
    accuracy_by_distance: Sequence[float | None]
    accuracy_by_class: Mapping[str, float | None]
    iou_by_class: Mapping[str, float | None]
    miou_by_distance: Sequence[float | None]
    miou: float | None


def expected_scores(
    sums_by_distance: Int64[np.ndarray, "k n 2"], confusion: Confusion, classes: ClassSet
) -> ExpectedScores:
    """Return expected scores from sums of confidence.

    Args:
        sums_by_distance: By distance and label, VOID last: pixels, and the sum of their levels, 0 to 255.
        confusion: Pixels by truth and label of key frames that were labelled as if they were none.
        classes: The classes.

    Example:
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
        >>> sums = np.array([[[100, 100 * 255], [100, 50 * 255], [0, 0]]])  # half of the cars are road
        >>> found = expected_scores(sums, np.zeros((3, 3), np.int64), classes)
        >>> found.accuracy, found.accuracy_by_class["car"], found.iou_by_class["car"]
        (75.0, 50.0, 50.0)
    """
    spread = _truth_of_wrong(confusion, sums_by_distance.sum(axis=0))
    total = sums_by_distance.sum(axis=0)
    by_distance = [_ious(sums, spread) for sums in sums_by_distance]
    mious = [_percent(_mean(values)) for values in by_distance]
    right = total[:-1, 1] / _LEVEL
    by_class = zip(classes.names, right, total[:-1, 0], strict=True)
    return ExpectedScores(
        accuracy=_share(total),
        accuracy_by_distance=[_share(sums) for sums in sums_by_distance],
        accuracy_by_class={name: 100 * float(r / n) if n else None for name, r, n in by_class},
        iou_by_class=dict(zip(classes.names, map(_percent, _ious(total, spread)), strict=True)),
        miou_by_distance=mious,
        miou=mean(mious),
    )


def confidence_by_distance(
    run: RunFolder, dataset: Dataset, method: str, *, horizon: int
) -> Int64[np.ndarray, "k n 2"]:
    """Add up the sums of confidence of all labelled frames, by distance to the key frame.

    Frames that the segmenter alone has labelled are not among them: no key frame reaches them.
    """
    sums = np.zeros((horizon, len(dataset.classes) + 1, 2), np.int64)
    for video in dataset.videos:
        provenances = run.manifest.provenances(video.name, method)
        for frame, of_frame in run.expectations.sums(video.name, method).items():
            origin = provenances[frame]
            if origin.key_frames and 0 < origin.distance <= horizon:
                sums[origin.distance - 1] += of_frame
    return sums


def expected_errors(run: RunFolder, video: Video, method: str) -> Float32[np.ndarray, " n"]:
    """Return the expected share of wrong pixels of each frame, 0 to 1; 0 on key frames, NaN without labels.

    It is kept in the manifest since the labels were written, so thousands of frames take milliseconds. Frames
    that an earlier version has labelled have no record there: their confidence is read from the files.

    Args:
        run: The run folder.
        video: A video of the run.
        method: A method that has labelled it.
    """
    errors = np.full(len(video), np.nan, np.float32)
    recorded = run.expectations.errors(video.name, method)
    for frame, error in recorded.items():
        if frame < len(video):
            errors[frame] = error
    for frame in run.manifest.provenances(video.name, method).keys() - recorded.keys():
        path = run.confidence_path(method, video.name, video.stems[frame])
        if path.exists():
            errors[frame] = 1 - float(read_gray(path).mean(dtype=torch.float64))
    errors[list(video.key_frames)] = 0
    return errors


def is_calibrated(run: RunFolder, dataset: Dataset, method: str) -> bool:
    """Return whether the confidence of all frames that a method has labelled from key frames is calibrated.

    Args:
        run: The run folder.
        dataset: The videos that it has labelled.
        method: A method that has labelled them.
    """
    return all(
        run.raw_confidence_path(method, video.name, video.stems[frame]).exists()
        for video in dataset.videos
        for frame, origin in run.manifest.provenances(video.name, method).items()
        if origin.key_frames and frame < len(video) and frame not in video.corrected
    )


def _truth_of_wrong(confusion: Confusion, sums: Int64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n c"]:
    """Return, for each label, the shares of the classes in the truth of its wrong pixels."""
    n = len(confusion)
    wrong = confusion[:-1].T.astype(np.float64)  # by label and true class
    wrong[np.arange(n - 1), np.arange(n - 1)] = 0
    sizes = np.tile(sums[:-1, 0] + 1.0, (n, 1))
    sizes[np.arange(n - 1), np.arange(n - 1)] = 0
    scale = sizes.sum(axis=1, keepdims=True)
    wrong += _PRIOR_PIXELS * np.divide(sizes, scale, out=np.zeros_like(sizes), where=scale > 0)
    total = wrong.sum(axis=1, keepdims=True)
    spread: Float64[np.ndarray, "n c"] = np.divide(wrong, total, out=np.zeros_like(wrong), where=total > 0)
    return spread


def _ious(sums: Int64[np.ndarray, "n 2"], spread: Float64[np.ndarray, "n c"]) -> Float64[np.ndarray, " c"]:
    """Return the expected IoU of each class; NaN where a class is neither labelled nor expected."""
    pixels, right = sums[:, 0].astype(np.float64), sums[:, 1] / _LEVEL
    missed = (pixels - right) @ spread
    hits = right[:-1]
    union = pixels[:-1] + missed
    occurring = (pixels[:-1] > 0) | (missed >= 1)
    ious: Float64[np.ndarray, " c"] = np.where(occurring, hits / np.maximum(union, 1e-9), np.nan)
    return ious


def _share(sums: Int64[np.ndarray, "n 2"]) -> float | None:
    pixels, levels = sums.sum(axis=0).tolist()
    return 100 * levels / (_LEVEL * pixels) if pixels else None


def _mean(values: Float64[np.ndarray, " c"]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else 100 * float(share)
