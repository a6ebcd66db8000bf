"""Count how far the confidence of labelled frames can be believed, where there is truth or without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from warprefine.core.classes import ClassSet
from warprefine.core.engine import HERE, Engine, map_over
from warprefine.core.parallel import thread_count
from warprefine.core.tensors import size_of
from warprefine.core.video import Dataset, Video
from warprefine.io.images import read_gray, read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics.calibration import CalibrationScores, score_confidence
from warprefine.metrics.run_labels import labelled_frames, predicted_labels
from warprefine.metrics.scores import in_order
from warprefine.ops.calibration import LEVELS, Hits, count_hits


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Scores of a method's confidence against truth.

    Attributes:
        raw: Of its own confidence.
        calibrated: Of the calibrated one; None where it is not calibrated.
    """

    raw: CalibrationScores
    calibrated: CalibrationScores | None

    def to_json(self) -> Mapping[str, object]:
        """Return the scores as they are written."""
        calibrated = None if self.calibrated is None else self.calibrated.to_json()
        return {"raw": self.raw.to_json(), "calibrated": calibrated}


def measure_reliability(
    run: RunFolder, dataset: Dataset, *, methods: Sequence[str], horizon: int, engine: Engine = HERE
) -> dict[str, Reliability]:
    """Score the confidence of each method that wrote any, on all frames with truth; empty without truth.

    Args:
        run: The run folder.
        dataset: The videos.
        methods: The methods that have labelled them.
        horizon: Frames are labelled up to this far from a key frame.
        engine: Where frames are looked at; the scores do not depend on it.
    """
    raw: dict[str, Hits] = {}
    calibrated: dict[str, Hits] = {}
    labelled = [
        (method, video.name, frame)
        for video, frame, _ in labelled_frames(dataset, horizon)
        if frame in video.truth
        for method in in_order(methods)
    ]
    count = partial(_hits, run, dataset.classes, {video.name: video for video in dataset.videos})
    counted = map_over(engine, count, labelled, frames=len(labelled), threads=thread_count())
    for (method, _, _), found in zip(labelled, counted, strict=True):
        for counts, hits in zip((raw, calibrated), found, strict=True):
            if hits is not None:
                _add(counts, method, hits)
    return {
        method: Reliability(
            raw=score_confidence(hits),
            calibrated=score_confidence(calibrated[method]) if method in calibrated else None,
        )
        for method, hits in raw.items()
    }


def _hits(
    run: RunFolder, classes: ClassSet, videos: Mapping[str, Video], labelled: tuple[str, str, int]
) -> tuple[Hits | None, Hits | None]:
    """Count the hits of labels of a frame by raw and by calibrated confidence, where it has them."""
    method, name, frame = labelled
    video = videos[name]
    stem = video.stems[frame]
    written = run.confidence_path(method, video.name, stem)
    if not written.exists():
        return None, None
    n = len(classes)
    labels = predicted_labels(run, classes, method=method, video=video, frame=frame)
    truth = read_labels(video.truth[frame], classes, size=size_of(labels))
    before = run.raw_confidence_path(method, video.name, stem)
    raw = count_hits(labels, _raw(written, before), truth, class_count=n)
    if not before.exists():
        return raw, None
    return raw, count_hits(labels, read_gray(written), truth, class_count=n)


def raw_confidence_counts(
    run: RunFolder, dataset: Dataset, method: str, *, horizon: int
) -> Int64[np.ndarray, "k n 256"]:
    """Count the pixels of all labelled frames by distance to the key frame, label and raw confidence.

    Any calibration can then be applied to the whole run at once.
    """
    return _counts(run, dataset, method, labelled_frames(dataset, horizon), farthest=horizon)


def raw_confidence_counts_alone(
    run: RunFolder, dataset: Dataset, method: str
) -> Int64[np.ndarray, "1 n 256"]:
    """Count the same of all frames together that the segmenter alone has labelled."""
    frames = (
        (video, frame, 1)
        for video in dataset.videos
        for frame, origin in run.manifest.provenances(video.name, method).items()
        if not origin.key_frames
    )
    return _counts(run, dataset, method, frames, farthest=1)


def _counts(
    run: RunFolder,
    dataset: Dataset,
    method: str,
    frames: Iterable[tuple[Video, int, int]],
    *,
    farthest: int,
) -> Int64[np.ndarray, "k n 256"]:
    """Count the pixels of frames, each given with its distance."""
    n = len(dataset.classes) + 1
    counts = np.zeros((farthest, n, LEVELS), np.int64)
    for video, frame, distance in frames:
        stem = video.stems[frame]
        written = run.confidence_path(method, video.name, stem)
        if written.exists():
            labels = predicted_labels(run, dataset.classes, method=method, video=video, frame=frame)
            sure = _raw(written, run.raw_confidence_path(method, video.name, stem))
            hits = count_hits(labels, sure, torch.zeros_like(labels), class_count=n - 1)
            counts[distance - 1] += hits.sum(axis=2)
    return counts


def _raw(written: Path, before: Path) -> torch.Tensor:
    return read_gray(before if before.exists() else written)


def _add(counts: dict[str, Hits], method: str, hits: Hits) -> None:
    counts[method] = counts[method] + hits if method in counts else hits
