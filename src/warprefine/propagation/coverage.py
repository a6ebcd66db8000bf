"""Count which frames of a video are labelled, and which are out of reach of all key frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from warprefine.core.continuity import Continuity
from warprefine.core.errors import shorten
from warprefine.core.spans import ranges
from warprefine.core.video import Video
from warprefine.propagation.units import frames_in_reach, stepwise_units

Horizon: TypeAlias = int | Literal["all"]
"""Frames to the nearest key frame up to which frames are labelled; "all" labels every frame."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which frames of a video are labelled.

    Attributes:
        video: The video's name.
        frames: How many frames it has.
        out_of_reach: The frames that no key frame reaches within the horizon, ascending.
        cut_off: Those of them that are near enough, but cuts or blank frames lie between.
        by_segmenter: Those of them that have labels all the same, of the segmenter alone.

    Example:
        >>> print(Coverage(video="drive", frames=21, out_of_reach=(0, 1, 18, 19, 20), cut_off=(0, 1)))
        16 of 21 frames labelled, 5 out of reach (0 to 1, 18 to 20), 2 of them because of cuts or blank frames
    """

    video: str
    frames: int
    out_of_reach: tuple[int, ...] = ()
    cut_off: tuple[int, ...] = ()
    by_segmenter: tuple[int, ...] = ()

    @property
    def labelled(self) -> int:
        """How many frames have labels, those labelled by hand included."""
        return self.frames - len(self.out_of_reach) + len(self.by_segmenter)

    def __str__(self) -> str:
        counted = f"{self.labelled} of {self.frames} frames labelled"
        if not self.out_of_reach:
            return counted
        counted = f"{counted}, {len(self.out_of_reach)} out of reach ({shorten(ranges(self.out_of_reach))})"
        cut_off = f", {len(self.cut_off)} of them because of cuts or blank frames" if self.cut_off else ""
        alone = f", {len(self.by_segmenter)} by the segmenter alone" if self.by_segmenter else ""
        return f"{counted}{cut_off}{alone}"


def coverage(video: Video, horizon: int) -> Coverage:
    """Return which frames of a video are labelled from key frames at most `horizon` frames away."""
    reached = {*frames_in_reach(video, horizon)}
    out_of_reach = tuple(frame for frame in range(len(video)) if frame not in reached)
    near = {*frames_in_reach(replace(video, continuity=Continuity()), horizon)}
    return Coverage(
        video=video.name,
        frames=len(video),
        out_of_reach=out_of_reach,
        cut_off=tuple(frame for frame in out_of_reach if frame in near),
    )


def farthest(videos: Iterable[Video]) -> int:
    """Return the largest distance of a frame from its nearest key frame in any video that has key frames."""
    return max(
        (
            unit.distance(unit.frames[-1])
            for video in videos
            for unit in stepwise_units(video, horizon=len(video))
        ),
        default=0,
    )
