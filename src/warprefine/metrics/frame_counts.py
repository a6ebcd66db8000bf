"""Count what scores are computed from, a few frames at a time; what is counted is kept.

An evaluation that was interrupted goes on with the frames that are not counted yet, and another one of the
same labels decodes no frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError
from warprefine.core.tensors import size_of
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file, fingerprint_of_frames
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics import confusion
from warprefine.metrics.boundaries import count_boundaries
from warprefine.metrics.confusion import Confusion
from warprefine.metrics.consistency import count_walk_agreement
from warprefine.metrics.run_labels import predicted_labels
from warprefine.propagation.units import stepwise_units

_VERSION = 1
"""Of what is counted: another one counts something else in the same files."""
_LENGTH = 16
"""Frames of a piece: so many are counted again at most after an interruption, by each thread."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Frames of a walk away from a key frame that are counted together.

    Attributes:
        video: Their video.
        key_frame: The key frame.
        before: The frame on the walk before the first of them; the key frame itself, or a labelled one.
        frames: The frames, in the order of the walk.
    """

    video: Video
    key_frame: int
    before: int
    frames: tuple[int, ...]

    @property
    def walk(self) -> tuple[int, ...]:
        """The frames, and the one before them."""
        return (self.before, *self.frames)


def split_walks(dataset: Dataset, horizon: int) -> Iterator[Piece]:
    """Yield all propagated frames in pieces of a few, walk by walk."""
    for video in dataset.videos:
        for unit in stepwise_units(video, horizon):
            walk = (*unit.key_frames, *unit.frames)
            for begin in range(0, len(unit.frames), _LENGTH):
                yield Piece(
                    video=video,
                    key_frame=walk[0],
                    before=walk[begin],
                    frames=walk[begin + 1 : begin + 1 + _LENGTH],
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class PieceCounts:
    """Counts of one method's labels of the t frames of a piece; zeros for frames without truth.

    Attributes:
        confusion: Pixels of each frame by truth and label.
        boundaries: `BoundaryCounts` of each frame; zeros where boundaries are not scored.
        agreement: Pixels by the label of the frame before and their own, of all frames, also without truth.
    """

    confusion: Int64[np.ndarray, "t n n"]
    boundaries: Int64[np.ndarray, "t c 4"]
    agreement: Confusion


class FrameCounter:
    """Counts the labels of some methods in the pieces of a run, or reads what was counted before.

    Counts are known by the content of all files that they come from. None are kept where the run folder is
    only read.

    Args:
        run: The run folder.
        classes: The classes.
        methods: The methods whose labels are counted.
        boundaries: Count boundaries too.
    """

    def __init__(
        self, run: RunFolder, classes: ClassSet, *, methods: Sequence[str], boundaries: bool = True
    ) -> None:
        self._run, self._classes = run, classes
        self._methods, self._boundaries = methods, boundaries
        self._kept = ArrayCache(run.counts)

    def __call__(self, piece: Piece) -> dict[str, PieceCounts]:
        """Return the counts of each method.

        Raises:
            FrameError: A frame cannot be read.
            RunFolderError: A method has not labelled a frame yet.
            LabelError: A label map is damaged, or the truth has another size than its frame.
        """
        frames = fingerprint_of_frames(piece.video, piece.walk)
        keys = {method: self._key(piece, method, frames) for method in self._methods}
        found = {method: kept for method, key in keys.items() if (kept := self._kept.get(key))}
        counts = {method: _as_counts(kept) for method, kept in found.items()}
        counts |= self._count(piece, [method for method in self._methods if method not in counts])
        if not self._run.read_only:
            for method in counts.keys() - found.keys():
                named = vars(counts[method]).items()
                self._kept.put(keys[method], {name: torch.from_numpy(array) for name, array in named})
        return {method: counts[method] for method in self._methods}

    def _key(self, piece: Piece, method: str, frames: str) -> str:
        """Return a hash of all that the counts of a method depend on; `frames` is that of the frames."""
        video = piece.video
        written = [self._run.labels_path(method, video.name, video.stems[frame]) for frame in piece.walk]
        labels = [*written[1:], video.labels[piece.before] if piece.before in video.labels else written[0]]
        content = [fingerprint_of_file(path, LabelError) if path.exists() else "" for path in labels]
        truth = [
            fingerprint_of_file(video.truth[frame], LabelError) if frame in video.truth else ""
            for frame in piece.frames
        ]
        settings = _VERSION, self._boundaries, self._classes.coding
        return fingerprint_of(*settings, frames, content, truth)

    def _count(self, piece: Piece, methods: Sequence[str]) -> dict[str, PieceCounts]:
        """Count the labels of those methods of which nothing is kept."""
        if not methods:
            return {}
        classes, class_count = self._classes, len(self._classes)
        length, size = len(piece.frames), class_count + 1
        confusions = {method: np.zeros((length, size, size), np.int64) for method in methods}
        boundaries = {method: np.zeros((length, class_count, 4), np.int64) for method in methods}
        for k, frame in enumerate(piece.frames):
            if frame not in piece.video.truth:
                continue
            labels = {
                method: predicted_labels(self._run, classes, method=method, video=piece.video, frame=frame)
                for method in methods
            }
            truth = read_labels(piece.video.truth[frame], classes, size=size_of(labels[methods[0]]))
            for method, prediction in labels.items():
                confusions[method][k] = confusion.count(prediction, truth, class_count=class_count)
                if self._boundaries:
                    boundaries[method][k] = count_boundaries(prediction, truth, class_count=class_count)
        agreements = count_walk_agreement(
            self._run, classes, methods=methods, video=piece.video, walk=piece.walk
        )
        return {
            method: PieceCounts(
                confusion=confusions[method], boundaries=boundaries[method], agreement=agreements[method]
            )
            for method in methods
        }


def _as_counts(kept: Mapping[str, torch.Tensor]) -> PieceCounts:
    return PieceCounts(**{name: tensor.numpy() for name, tensor in kept.items()})
