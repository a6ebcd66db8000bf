"""Decide which key frames label which frame: the nearer one, or those on both sides of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from warprefine.core.video import Video


@dataclass(frozen=True, kw_only=True, order=True)
class Unit:
    """One piece of work that is done whole or not at all: walk from a key frame in one direction.

    `frames` are the frames that this unit labels, in walking order; every one lies one step
    further from the key frame than the one before it, the first at distance 1.
    """

    video: str
    key_frame: int
    direction: int  # +1 forwards, -1 backwards
    frames: tuple[int, ...]

    @property
    def name(self) -> str:
        """A name that is unique in a run."""
        return f"{self.video}/{self.key_frame:06d}{'+' if self.direction > 0 else '-'}"

    def distance(self, frame: int) -> int:
        """Return how many steps `frame` is from the key frame."""
        return abs(frame - self.key_frame)


def nearest_key_frame(video: Video, frame: int) -> int:
    """Return the key frame nearest to `frame`, the earlier one on a tie."""
    return min(video.key_frames, key=lambda key: (abs(key - frame), key))


def plan(video: Video, horizon: int) -> list[Unit]:
    """Split the frames within `horizon` of a key frame into units, in order of key frame, forwards first."""
    units = []
    for key in video.key_frames:
        for direction in (1, -1):
            reach = range(key + direction, key + direction * (horizon + 1), direction)
            frames = tuple(
                k
                for k in reach
                if 0 <= k < len(video) and k not in video.labels and nearest_key_frame(video, k) == key
            )
            if frames:
                units.append(Unit(video=video.name, key_frame=key, direction=direction, frames=frames))
    return units


@dataclass(frozen=True, kw_only=True, order=True)
class Stretch:
    """Neighbouring frames that are labelled from the key frames on both sides, together.

    `frames` follow one another in time; `key_frames` are all that may be asked, those within `reach` of one
    of the frames.
    """

    video: str
    frames: tuple[int, ...]
    key_frames: tuple[int, ...]

    @property
    def name(self) -> str:
        """A name that is unique in a run."""
        return f"{self.video}/{self.frames[0]:06d}-{self.frames[-1]:06d}"

    def distance(self, frame: int) -> int:
        """Return how many frames `frame` is from the nearest key frame."""
        return min(abs(frame - key) for key in self.key_frames)


def plan_stretches(video: Video, horizon: int, *, reach: int) -> list[Stretch]:
    """Gather the frames within `horizon` of a key frame into stretches, in order of time.

    They are the frames of `plan`.

    Args:
        reach: How far a key frame may be from a frame that it helps to label; at least `horizon`.
    """
    due = sorted(frame for unit in plan(video, horizon) for frame in unit.frames)
    begins = [i for i, frame in enumerate(due) if i == 0 or frame != due[i - 1] + 1]
    runs = [tuple(due[i:j]) for i, j in pairwise((*begins, len(due)))]
    return [
        Stretch(
            video=video.name,
            frames=run,
            key_frames=tuple(key for key in video.key_frames if run[0] - reach <= key <= run[-1] + reach),
        )
        for run in runs
    ]


def sides_of(frame: int, key_frames: Sequence[int], *, reach: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the key frames within `reach` before and after a frame; the side with the nearest comes first.

    Each side begins with its nearest; the earlier side comes first on a tie. The nearest of all is asked
    however far it is.
    """
    reach = max(reach, min((abs(k - frame) for k in key_frames), default=0))
    before = tuple(sorted((k for k in key_frames if frame - reach <= k < frame), reverse=True))
    after = tuple(sorted(k for k in key_frames if frame < k <= frame + reach))
    if not before or (after and after[0] - frame < frame - before[0]):
        return after, before
    return before, after
