"""Labelled frames of data sets as training samples, decoded once and cached up to a byte limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError, shorten
from warprefine.core.lru_cache import LRUCache
from warprefine.core.tensors import VOID, Frames, size_of
from warprefine.core.video import Dataset, Video
from warprefine.io.frames import open_frames
from warprefine.io.images import read_frame, read_labels
from warprefine.propagation.units import nearest_key_frame
from warprefine.training.engine.distributed import ALONE, World, shard

MEMORY = 2 << 30
"""Limit of a cache of decoded samples, in bytes; beyond it, the least recently used are decoded again."""

T = TypeVar("T")
Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class LabelledFrame:
    """A frame and its labels: those of a key frame, unless `labels` names a file of others.

    `picture` replaces the frame where labels were warped together with an image.
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
        """Read the image, (1, 3, h, w)."""
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
    """Return at most `most` members, evenly spaced.

    Example:
        >>> evenly("abcdef", 3)
        ['a', 'c', 'e']
    """
    count = min(len(members), most)
    return [members[i * len(members) // count] for i in range(count)]


def covered_share(manual: Sequence[LabelledFrame], pseudo_labelled: Sequence[LabelledFrame]) -> float:
    """Return the share of the key frames (`manual`) from which pseudo-labels were propagated."""
    origins = {(one.video.name, nearest_key_frame(one.video, one.frame)) for one in pseudo_labelled}
    return len(origins) / len(manual) if manual else 0.0


class Samples:
    """Labelled frames by index, each as (h, w, 3) RGB and (h, w) labels, both uint8."""

    def __init__(self, members: Sequence[LabelledFrame]) -> None:
        self.members = list(members)
        self._decoded: LRUCache[tuple[Picture, Picture]] = LRUCache(
            MEMORY, lambda pictures: sum(picture.nbytes for picture in pictures)
        )

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> tuple[Picture, Picture]:
        return self._decoded.get(index, lambda: self.read(index))

    def read(self, index: int) -> tuple[Picture, Picture]:
        """Return a sample as `samples[index]` does, but do not keep it in memory: for those needed once."""
        member = self.members[index]
        frame = member.read_frame()
        labels = read_labels(member.label_path, member.classes, size=size_of(frame))
        return np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy()), labels[0].numpy()

    def count_classes(self, world: World = ALONE) -> Int64[np.ndarray, "n 256"]:
        """Count the pixels of each label in every sample; each rank reads its share of them."""
        counts = np.zeros((len(self), VOID + 1), np.int64)
        with world.parting():
            for index in shard(range(len(self)), world):
                member = self.members[index]
                labels = read_labels(member.label_path, member.classes)
                counts[index] = np.bincount(labels.numpy().ravel(), minlength=VOID + 1)
        return world.sum(counts)


def count_pixels(paths: Iterable[Path], classes: ClassSet) -> Int64[Tensor, " 256"]:
    """Return the number of pixels of each label in label maps."""
    pixels = torch.zeros(VOID + 1, dtype=torch.int64)
    for path in paths:
        pixels += torch.bincount(read_labels(path, classes).flatten().long(), minlength=VOID + 1)
    return pixels


def check_learnable(members: Iterable[LabelledFrame], class_names: Sequence[str]) -> None:
    """Check that labels show two classes at least: a segmenter learns to tell classes from one another.

    VOID means "no label" and is not learned, so a segmenter of one class gives that class to every pixel.
    Label maps are read until two classes are found.

    Raises:
        LabelError: Fewer than two classes occur; the message says how to mend it.
    """
    shown: set[int] = set()
    for member in members if len(class_names) > 1 else ():
        shown |= set(torch.unique(read_labels(member.label_path, member.classes)).tolist()) - {VOID}
        if len(shown) > 1:
            return
    if len(class_names) == 1:
        raise LabelError(
            f"{class_names[0]!r} is the only class, so a segmenter would give it to every pixel; expected a "
            "class for the rest too, because VOID (255) means that there is no label; where 255 in the label "
            "maps stands for the rest, say so in classes.toml: void_ids = [254] at the top, a [[class]] with "
            'name = "background" and id = 255, and an id for the other class'
        )
    found = f"only {class_names[min(shown)]!r}" if shown else "none"
    raise LabelError(
        f"of the {len(class_names)} classes ({shorten(class_names)}) the label maps of the key frames show "
        f"{found}, so a segmenter has nothing to tell apart; expected two classes at least; label pixels of "
        "others, or check that the numbers in the label maps are those of the classes"
    )


def members_by_class(counts: Iterable[NDArray[np.int64]]) -> dict[int, list[int]]:
    """Return, for each class that occurs, the indices of the samples that contain it.

    Example:
        >>> members_by_class([np.bincount([0, 0, 2], minlength=256), np.bincount([2, 255], minlength=256)])
        {0: [0], 2: [0, 1]}
    """
    found: dict[int, list[int]] = {}
    for index, of_sample in enumerate(counts):
        for label in np.flatnonzero(of_sample[:VOID]).tolist():
            found.setdefault(label, []).append(index)
    return dict(sorted(found.items()))
