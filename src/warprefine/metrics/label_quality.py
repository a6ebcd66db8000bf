"""Score propagated labels against truth, by distance to their key frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, RunFolderError
from warprefine.core.tensors import LabelMaps, size_of
from warprefine.core.video import Dataset, Video
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics import confusion
from warprefine.metrics.boundaries import count_boundaries
from warprefine.metrics.consistency import measure_agreement
from warprefine.metrics.scores import GROUPS, Group, GroupScores, MethodScores, in_order
from warprefine.propagation.units import is_between, stepwise_units
from warprefine.recipe.plus import ChooseSettings


def has_truth(dataset: Dataset, horizon: int) -> bool:
    """Return whether any frame within the horizon has truth."""
    return any(frame in video.truth for video, frame, _ in labelled_frames(dataset, horizon))


def evaluate(
    run: RunFolder,
    dataset: Dataset,
    *,
    methods: Sequence[str],
    horizon: int,
    reach: int = ChooseSettings().reach,
    void_as_class: bool = False,
) -> dict[str, MethodScores]:
    """Score the label maps of each method in `run` against the truth, by distance to the key frame.

    Frames between two key frames, and frames beside them, are also scored apart. Temporal consistency is
    measured on all frames, with truth or without.

    Args:
        reach: Largest distance of a key frame that labels may come from, see `is_between`.

    Raises:
        DatasetError: No frame within the horizon has truth.
        FrameError: A frame cannot be read.
        RunFolderError: A method has not labelled a frame yet.
        LabelError: A label map is damaged, or the truth has another size than its frame.
    """
    if not has_truth(dataset, horizon):
        raise DatasetError(
            f"{dataset.root} has no truth for any frame within {horizon} of a key frame; put label maps "
            "into a truth folder, or hold some labelled frames back with --keyframes START::STEP"
        )
    tallies, frames = _compare(run, dataset, methods=in_order(methods), horizon=horizon, reach=reach)
    agreements = measure_agreement(run, dataset, methods=list(tallies), horizon=horizon)
    return {
        method: MethodScores.of(
            sum(tally.confusion.values(), np.zeros((), np.int64)),
            classes=dataset.classes,
            frames_by_distance=np.sum(list(frames.values()), axis=0).tolist(),
            void_as_class=void_as_class,
            boundary_counts=tally.boundaries,
            agreement=agreements[method],
            **_scores_of_groups(tally, frames, dataset.classes, void_as_class=void_as_class),
        )
        for method, tally in tallies.items()
    }


def _scores_of_groups(
    tally: _Tally, frames: Mapping[Group, Sequence[int]], classes: ClassSet, *, void_as_class: bool
) -> dict[Group, GroupScores]:
    """Return the scores of those groups that have frames."""
    return {
        group: GroupScores.of(
            tally.confusion[group],
            classes=classes,
            frames_by_distance=frames[group],
            void_as_class=void_as_class,
        )
        for group in GROUPS
        if any(frames[group])
    }


def predicted_labels(
    run: RunFolder, classes: ClassSet, *, method: str, video: Video, frame: int
) -> LabelMaps:
    """Read the label map, (1, h, w), that a method wrote for one frame.

    Raises:
        RunFolderError: It has not labelled the frame yet.
    """
    path = run.labels_path(method, video.name, video.stems[frame])
    if not path.exists():
        raise RunFolderError(
            f"there is no label map {path}, expected one for every frame within the horizon; "
            f"run `warprefine autolabel` with the same options again, it finishes what is missing"
        )
    return read_labels(path, classes)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tally:
    """Counts of one method, by distance; those of classes also by group of frames."""

    confusion: Mapping[Group, Int64[np.ndarray, "k n n"]]
    boundaries: Int64[np.ndarray, "k c 4"]

    @classmethod
    def empty(cls, horizon: int, class_count: int) -> _Tally:
        size = class_count + 1
        return cls(
            confusion={group: np.zeros((horizon, size, size), np.int64) for group in GROUPS},
            boundaries=np.zeros((horizon, class_count, 4), np.int64),
        )


def _compare(
    run: RunFolder, dataset: Dataset, *, methods: Sequence[str], horizon: int, reach: int
) -> tuple[dict[str, _Tally], dict[Group, list[int]]]:
    """Count the pixels of every frame with truth, for each method, and the frames at each distance."""
    classes, class_count = dataset.classes, len(dataset.classes)
    tallies = {method: _Tally.empty(horizon, class_count) for method in methods}
    frames_by_distance: dict[Group, list[int]] = {group: [0] * horizon for group in GROUPS}
    for video, frame, distance in labelled_frames(dataset, horizon):
        if frame not in video.truth:
            continue
        k = distance - 1
        group: Group = "between" if is_between(video, frame, reach=reach) else "beside"
        frames_by_distance[group][k] += 1
        predictions = {m: predicted_labels(run, classes, method=m, video=video, frame=frame) for m in methods}
        truth = read_labels(video.truth[frame], classes, size=size_of(predictions[methods[0]]))
        for method, prediction in predictions.items():
            tally = tallies[method]
            tally.confusion[group][k] += confusion.count(prediction, truth, class_count=class_count)
            tally.boundaries[k] += count_boundaries(prediction, truth, class_count=class_count)
    return tallies, frames_by_distance


def labelled_frames(dataset: Dataset, horizon: int) -> Iterator[tuple[Video, int, int]]:
    """Yield every propagated frame with its distance to the key frame."""
    for video in dataset.videos:
        for unit in stepwise_units(video, horizon):
            for frame in unit.frames:
                yield video, frame, unit.distance(frame)
