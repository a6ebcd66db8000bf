"""Describe what is exported: the classes, and frames with their label maps, each read when it is needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from warprefine.core.classes import ClassSet, Color
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Video
from warprefine.interchange.imported import Positions
from warprefine.io.places import at_hand


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedFrame:
    """A frame with its labels.

    Attributes:
        video: Name of the video.
        stem: Name of the frame; of a video file its decode index in six digits.
        number: The number of the frame in the video, from 0; its decode index.
        size: (h, w).
        split: "train" or "val" (`--split`); "train" if there is no split.
        labels: Reads its label map: positions in the classes or VOID, also where labels are less sure than
            `--min-confidence`; all VOID where the frame has no labels.
        picture: The file of its picture; None where it is a frame of a video file.
        pixels: Reads its picture, (h, w, 3) RGB.
        confidence: Reads how sure each label is, (h, w), 0 to 255; 255 on key frames.
    """

    video: str
    stem: str
    number: int
    size: tuple[int, int]
    split: str
    labels: Callable[[], Positions]
    picture: Path | None
    pixels: Callable[[], UInt8[np.ndarray, "h w 3"]]
    confidence: Callable[[], UInt8[np.ndarray, "h w"]]

    @property
    def picture_name(self) -> str:
        """The name of its picture in an export: that of its file, else STEM.png."""
        return f"{self.stem}{self.picture.suffix.lower()}" if self.picture else f"{self.stem}.png"

    @property
    def path(self) -> str:
        """VIDEO/STEM.png: the path under which exports name the picture."""
        return f"{self.video}/{self.picture_name}"

    @property
    def flat_name(self) -> str:
        """VIDEO__STEM, without ending: the name in formats without folders, which imports match as well."""
        return f"{self.video}__{self.stem}"

    def write_picture(self, target: Path) -> None:
        """Write the picture into a draft: a copy of its file, or a PNG of the frame of a video file."""
        from warprefine.interchange.pixels import write_colors

        target.parent.mkdir(parents=True, exist_ok=True)
        if self.picture is not None:
            shutil.copyfile(at_hand(self.picture), target)
        else:
            write_colors(target, self.pixels())


@dataclass(frozen=True, kw_only=True, eq=False)
class Exported:
    """What an exporter writes.

    Attributes:
        classes: The classes, with colours and ids.
        videos: The videos, with all of their frames.
        numbers: The numbers of the frames to write of each video, in order.
        open_frames: Yields the frames, video by video in order; one call reads all of them once.
        progress: Called as frames are read.
    """

    classes: ClassSet
    videos: Sequence[Video]
    numbers: Mapping[str, Sequence[int]]
    open_frames: Callable[[], Iterator[ExportedFrame]]
    progress: Progress = silent

    def __len__(self) -> int:
        """Return the number of frames."""
        return sum(map(len, self.numbers.values()))

    def frames(self) -> Iterator[ExportedFrame]:
        """Yield the frames, video by video in order, and report the progress."""
        for done, frame in enumerate(self.open_frames(), start=1):
            yield frame
            self.progress("exporting", done, len(self), frame.stem)

    def color(self, position: int) -> Color:
        """Return the colour of a class."""
        return self.classes.colors[position]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What the user says about an export.

    Attributes:
        instances: Write each connected region of a class as an instance (`--instances`), where the format
            has any.
        pictures: Write the pictures too (`--pictures`).
        split: There are "val" frames beside those of "train".
        min_confidence: As given, for cards and notes; `labels` has void there already.
        opacity: How much of the labels a picture shows that they are painted over, 0 to 1 (`--opacity`).
    """

    instances: bool = False
    pictures: bool = False
    split: bool = False
    min_confidence: float = 0.0
    opacity: float = 0.5
