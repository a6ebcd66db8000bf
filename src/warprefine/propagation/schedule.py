"""Decide which key frame labels which frame: the nearer one, the earlier on a tie."""

from __future__ import annotations

from dataclasses import dataclass

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
