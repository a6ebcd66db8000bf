"""The labels of a video as a mapping from frame numbers to arrays, read when they are asked for."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.errors import shorten
from warprefine.core.names import counted
from warprefine.core.stages import Stage
from warprefine.datasets.label_notes import spread
from warprefine.io.images import read_gray, read_labels

_READ = 20  # confidences that are read to say how sure labels are
Kind: TypeAlias = Literal["labels", "confidence"]


class FrameMaps(Mapping[int, NDArray[Any]]):
    """Label maps or confidences by frame number, each read when it is asked for; (h, w).

    Args:
        paths: Frame number -> file.
        classes: The classes of the label maps.
        kind: What the files hold.
        beside: Maps that are removed no earlier than these.
    """

    def __init__(
        self, paths: Mapping[int, Path], classes: ClassSet, kind: Kind, *, beside: FrameMaps | None = None
    ) -> None:
        self._paths, self._classes, self._kind, self._beside = paths, classes, kind, beside

    def __getitem__(self, frame: int) -> NDArray[Any]:
        path = self._paths[frame]
        values = read_labels(path, self._classes) if self._kind == "labels" else read_gray(path)
        array: NDArray[Any] = values[0].numpy()
        return array

    def __iter__(self) -> Iterator[int]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __repr__(self) -> str:
        """Say how many there are."""
        return f"FrameMaps({self._kind} of {counted(len(self), 'frame')})"


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledVideo:
    """The labels of frames, key frames included; they are gone once it is closed or no longer used.

    Attributes:
        labels: Frame number -> label map (h, w) uint8; 255 is void.
        confidence: Frame number -> estimated probability that each label is right, (h, w) float32.
        classes: The classes, by position.
        key_frames: Frame numbers of those that were labelled by hand.
        stages: Frame number -> the stage that the labels are of; key frames, and methods without, have none.
    """

    labels: FrameMaps
    confidence: FrameMaps
    classes: ClassSet
    key_frames: tuple[int, ...]
    stages: Mapping[int, Stage]
    _remove: weakref.finalize[Any, Any]

    def __repr__(self) -> str:
        """Say what is labelled, and how sure that is: the mean confidence of up to 20 automatic frames."""
        if not self._remove.alive:
            return "LabelledVideo(closed)"
        found = (
            f"{counted(len(self.labels), 'frame')}, {counted(len(self.key_frames), 'key frame')} among them"
        )
        for first in islice(self.labels.values(), 1):
            found += f", {first.shape[0]} x {first.shape[1]} (h x w)"
        automatic = [k for k in self.labels if k not in self.key_frames]
        means = [float(self.confidence[k].mean()) for k in spread(automatic, most=_READ)]
        sure = f", mean confidence {fmean(means):.2f}" if means else ""
        return f"LabelledVideo({found}, classes: {shorten(self.classes.names)}{sure})"

    def __enter__(self) -> LabelledVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is kept on disk; labels can no longer be read."""
        self._remove()
