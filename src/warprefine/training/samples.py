"""Gather the labelled frames of data sets and hand them out, decoded once and kept while they fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, Frames
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import open_frames
from warprefine.io.images import read_frame, read_labels
from warprefine.propagation.schedule import nearest_key_frame

MEMORY = 2 << 30
"""Decoded samples are kept up to this many bytes; beyond, the oldest are decoded again when due."""

T = TypeVar("T")
Picture = NDArray[np.uint8]


class Kept(Generic[T]):
    """Remember what was made, oldest forgotten first, up to a number of bytes."""

    def __init__(self, limit: int = MEMORY) -> None:
        self._items: OrderedDict[int, tuple[T, int]] = OrderedDict()
        self._limit, self._bytes = limit, 0

    def get(self, key: int, make: Callable[[], T], size_of: Callable[[T], int]) -> T:
        """Return what `key` stands for, making it if it is not remembered."""
        if key not in self._items:
            made = make()
            self._items[key] = (made, size_of(made))
            self._bytes += self._items[key][1]
            while self._bytes > self._limit and len(self._items) > 1:
                self._bytes -= self._items.popitem(last=False)[1][1]
        return self._items[key][0]


@dataclass(frozen=True, kw_only=True)
class LabelledFrame:
    """One frame with labels: made by hand, unless `labels` names others.

    `picture` takes the place of the frame, where labels were carried together with a picture.
    """

    video: Video
    frame: int
    classes: ClassSet
    labels: Path | None = None
    picture: Path | None = None

    @property
    def label_path(self) -> Path:
        """The file of the labels."""
        return self.labels or self.video.labels[self.frame]

    def read_frame(self) -> Frames:
        """Read the picture, (1, 3, h, w)."""
        if self.picture is not None:
            return read_frame(self.picture)
        with open_frames(self.video) as frames:
            return frames[self.frame]


def labelled_frames(dataset: Dataset) -> list[LabelledFrame]:
    """List the key frames of all videos of a data set."""
    return [
        LabelledFrame(video=video, frame=frame, classes=dataset.classes)
        for video in dataset.videos
        for frame in video.key_frames
    ]


def evenly(members: Sequence[T], most: int) -> list[T]:
    """Take at most so many members, evenly spread."""
    count = min(len(members), most)
    return [members[i * len(members) // count] for i in range(count)]


def covered_share(manual: Sequence[LabelledFrame], generated: Sequence[LabelledFrame]) -> float:
    """Return the share of the frames labelled by hand from which generated labels were carried."""
    origins = {(one.video.name, nearest_key_frame(one.video, one.frame)) for one in generated}
    return len(origins) / len(manual) if manual else 0.0


class Samples:
    """Labelled frames by number, each as (h, w, 3) RGB and (h, w) labels, both uint8."""

    def __init__(self, members: Sequence[LabelledFrame]) -> None:
        self.members = list(members)
        self._kept: Kept[tuple[Picture, Picture]] = Kept()

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> tuple[Picture, Picture]:
        return self._kept.get(
            index, lambda: self._decode(self.members[index]), lambda pictures: sum(p.nbytes for p in pictures)
        )

    @staticmethod
    def _decode(member: LabelledFrame) -> tuple[Picture, Picture]:
        frame = member.read_frame()
        size = (frame.shape[-2], frame.shape[-1])
        labels = read_labels(member.label_path, member.classes, size=size)
        return np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy()), labels[0].numpy()

    def count_classes(self) -> list[NDArray[np.int64]]:
        """Count the pixels of each label, 256 of them, in every sample."""
        return [np.bincount(self[index][1].ravel(), minlength=256) for index in range(len(self))]


def members_by_class(counts: Sequence[NDArray[np.int64]]) -> dict[int, list[int]]:
    """Return, for each class that occurs, the numbers of the samples that hold it."""
    found: dict[int, list[int]] = {}
    for index, of_sample in enumerate(counts):
        for label in np.flatnonzero(of_sample[:VOID]).tolist():
            found.setdefault(label, []).append(index)
    return dict(sorted(found.items()))
