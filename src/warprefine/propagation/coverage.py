"""Count which frames of a video are labelled, and which are out of reach of all key frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from warprefine.core.errors import shorten
from warprefine.core.video import Video
from warprefine.propagation.units import stepwise_units

Horizon: TypeAlias = int | Literal["all"]
"""Frames to the nearest key frame up to which frames are labelled; "all" labels every frame."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which frames of a video are labelled.

    Attributes:
        video: The video's name.
        frames: How many frames it has.
        out_of_reach: The frames farther than the horizon from every key frame, ascending: they get no labels.

    Example:
        >>> print(Coverage(video="drive", frames=21, out_of_reach=(0, 1, 18, 19, 20)))
        16 of 21 frames labelled, 5 out of reach (0 to 1, 18 to 20)
    """

    video: str
    frames: int
    out_of_reach: tuple[int, ...] = ()

    @property
    def labelled(self) -> int:
        """How many frames have labels, those labelled by hand included."""
        return self.frames - len(self.out_of_reach)

    def __str__(self) -> str:
        counted = f"{self.labelled} of {self.frames} frames labelled"
        if not self.out_of_reach:
            return counted
        return f"{counted}, {len(self.out_of_reach)} out of reach ({shorten(ranges(self.out_of_reach))})"


def coverage(video: Video, horizon: int) -> Coverage:
    """Return which frames of a video are labelled from key frames at most `horizon` frames away."""
    walked = (frame for unit in stepwise_units(video, horizon) for frame in unit.frames)
    reached = {*video.key_frames, *walked}
    out_of_reach = tuple(frame for frame in range(len(video)) if frame not in reached)
    return Coverage(video=video.name, frames=len(video), out_of_reach=out_of_reach)


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


def ranges(numbers: Iterable[int]) -> list[str]:
    """Return ascending numbers as texts, consecutive ones as a range.

    Example:
        >>> ranges([3, 5, 6, 7])
        ['3', '5 to 7']
    """
    spans = [(span[0],) if len(span) == 1 else (span[0], span[-1]) for span in consecutive(numbers)]
    return [" to ".join(map(str, span)) for span in spans]


def consecutive(numbers: Iterable[int]) -> list[range]:
    """Return the runs of consecutive numbers among ascending ones.

    Example:
        >>> consecutive([3, 5, 6, 7])
        [range(3, 4), range(5, 8)]
    """
    spans: list[range] = []
    for number in numbers:
        if spans and number == spans[-1].stop:
            spans[-1] = range(spans[-1].start, number + 1)
        else:
            spans.append(range(number, number + 1))
    return spans
