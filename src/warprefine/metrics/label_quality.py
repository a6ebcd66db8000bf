"""Score propagated labels against truth, by distance to their key frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from warprefine.core.classes import ClassSet
from warprefine.core.engine import HERE, Engine, map_over
from warprefine.core.errors import DatasetError
from warprefine.core.parallel import thread_count
from warprefine.core.video import Dataset, Video
from warprefine.io.run import RunFolder
from warprefine.metrics.confusion import Confusion
from warprefine.metrics.frame_counts import FrameCounter, Piece, PieceCounts, split_walks
from warprefine.metrics.run_labels import labelled_frames
from warprefine.metrics.scores import GROUPS, Group, GroupScores, MethodScores, in_order
from warprefine.propagation.units import is_between
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
    boundaries: bool = True,
    engine: Engine = HERE,
) -> dict[str, MethodScores]:
    """Score the label maps of each method in `run` against the truth, by distance to the key frame.

    Frames between two key frames, and frames beside them, are also scored apart. Temporal consistency is
    measured on all frames, with truth or without. What is counted is kept in the run folder, see
    `FrameCounter`.

    Args:
        run: The run folder.
        dataset: The videos.
        methods: The methods that have labelled them.
        horizon: Frames are labelled up to this far from a key frame.
        reach: Largest distance of a key frame that labels may come from, see `is_between`.
        void_as_class: Score VOID as a class of its own.
        boundaries: Score boundaries too.
        engine: Where label maps are counted; the scores do not depend on it.

    Raises:
        DatasetError: No frame within the horizon has truth.
        FrameError: A frame cannot be read.
        RunFolderError: A method has not labelled a frame yet.
        LabelError: A label map is damaged, or the truth has another size than its frame.
    """
    if not has_truth(dataset, horizon):
        raise DatasetError(
            f"{dataset.root} has no truth for any frame within {horizon} of a key frame; put label maps "
            "into a truth folder, or hold some labelled frames back with --keyframes START::STEP; without "
            "truth, `warprefine evaluate RUN --hold-out` estimates the quality"
        )
    methods = in_order(methods)
    counter = FrameCounter(run, dataset.classes, methods=methods, boundaries=boundaries)
    pieces = list(split_walks(dataset, horizon))
    counted = _count(engine, counter, dataset, pieces)
    tallies, frames = _tally(pieces, counted, dataset, methods=methods, horizon=horizon, reach=reach)
    return {
        method: MethodScores.of(
            sum(tally.confusion.values(), np.zeros((), np.int64)),
            classes=dataset.classes,
            frames_by_distance=np.sum(list(frames.values()), axis=0).tolist(),
            void_as_class=void_as_class,
            boundary_counts=tally.boundaries if boundaries else None,
            agreement=tally.agreement,
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tally:
    """Counts of one method, by distance; those of classes also by group of frames."""

    confusion: Mapping[Group, Int64[np.ndarray, "k n n"]]
    boundaries: Int64[np.ndarray, "k c 4"]
    agreement: Confusion

    @classmethod
    def empty(cls, horizon: int, class_count: int) -> _Tally:
        size = class_count + 1
        return cls(
            confusion={group: np.zeros((horizon, size, size), np.int64) for group in GROUPS},
            boundaries=np.zeros((horizon, class_count, 4), np.int64),
            agreement=np.zeros((size, size), np.int64),
        )

    def add(self, piece: Piece, counts: PieceCounts, groups: Sequence[Group]) -> None:
        """Add the counts of a piece, each of whose frames belongs to a group."""
        for place, (frame, group) in enumerate(zip(piece.frames, groups, strict=True)):
            k = abs(frame - piece.key_frame) - 1
            self.confusion[group][k] += counts.confusion[place]
            self.boundaries[k] += counts.boundaries[place]
        np.add(self.agreement, counts.agreement, out=self.agreement)


@dataclass(frozen=True)
class _CountNamed:
    """Counts pieces, each given without its video but with its name: workers get every video once."""

    counter: FrameCounter
    videos: Mapping[str, Video]

    def __call__(self, named: tuple[str, int, int, tuple[int, ...]]) -> dict[str, PieceCounts]:
        name, key_frame, before, frames = named
        piece = Piece(video=self.videos[name], key_frame=key_frame, before=before, frames=frames)
        return self.counter(piece)


def _count(
    engine: Engine, counter: FrameCounter, dataset: Dataset, pieces: Sequence[Piece]
) -> Iterator[dict[str, PieceCounts]]:
    """Yield the counts of each piece, in order."""
    return map_over(
        engine,
        _CountNamed(counter, {video.name: video for video in dataset.videos}),
        [(one.video.name, one.key_frame, one.before, one.frames) for one in pieces],
        frames=sum(len(one.frames) for one in pieces),
        threads=thread_count(),
    )


def _tally(
    pieces: Sequence[Piece],
    counted: Iterable[Mapping[str, PieceCounts]],
    dataset: Dataset,
    *,
    methods: Sequence[str],
    horizon: int,
    reach: int,
) -> tuple[dict[str, _Tally], dict[Group, list[int]]]:
    """Add up the counts of every frame, for each method, and the frames with truth at each distance."""
    tallies = {method: _Tally.empty(horizon, len(dataset.classes)) for method in methods}
    frames_by_distance: dict[Group, list[int]] = {group: [0] * horizon for group in GROUPS}
    for piece, counts in zip(pieces, counted, strict=True):
        groups = [_group(piece.video, frame, reach=reach) for frame in piece.frames]
        for frame, group in zip(piece.frames, groups, strict=True):
            frames_by_distance[group][abs(frame - piece.key_frame) - 1] += frame in piece.video.truth
        for method, tally in tallies.items():
            tally.add(piece, counts[method], groups)
    return tallies, frames_by_distance


def _group(video: Video, frame: int, *, reach: int) -> Group:
    return "between" if is_between(video, frame, reach=reach) else "beside"
