"""Follow the tracks of "CVAT for video": which shapes a frame has, from key frames and what lies between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.interchange.cvat_shapes import Shape, between, draw_outline, draw_shape, outline_of
from warprefine.interchange.cvat_xml import Task
from warprefine.interchange.imported import Positions

_MOST_FRAMES = 1_000_000
"""Ten hours of 25 frames a second; a file that claims more is damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a track says about a frame.

    Attributes:
        frame: The number of the frame in the source video.
        shape: The shape there.
        is_key: Somebody has put it there; else the tool has computed it.
        is_outside: The thing is not to be seen, from here to the next entry.
        z: The z order.
    """

    frame: int
    shape: Shape
    is_key: bool
    is_outside: bool
    z: int


@dataclass(frozen=True, kw_only=True)
class Track:
    """A thing over time.

    Attributes:
        position: The position of its class.
        entries: In order of frames, each frame once.
        where: How messages name it.
    """

    position: int
    entries: Sequence[Entry]
    where: str

    def __post_init__(self) -> None:
        for before, after in pairwise(self.entries):
            if before.frame == after.frame:
                raise DatasetError(
                    f"{self.where} has two shapes in frame {after.frame}; expected one; export it again"
                )

    @property
    def is_mask(self) -> bool:
        """Whether it is a mask, which CVAT neither moves nor holds: it is of its own frame alone."""
        return any(entry.shape.kind == "mask" for entry in self.entries)


@dataclass(kw_only=True, eq=False)
class Tracks:
    """The tracks of a task, and the shapes of each of its frames.

    CVAT writes a shape into each frame of a track that was not deleted. Other programs, and people, write key frames
    alone; then CVAT holds and moves shapes between them, and up to the last frame of the task, and so does this. A
    file is of the second kind if nothing in it was computed, and a track goes on after its last shape.

    Attributes:
        task: The task.
        tracks: In the order of the file.
    """

    task: Task
    tracks: Sequence[Track]
    _drawn: dict[int, list[tuple[int, int, Entry]]] = field(default_factory=dict)
    _spans: list[tuple[int, Sequence[Entry], Sequence[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._check()
        for number, track in enumerate(self.tracks):
            for entry in track.entries:
                if not entry.is_outside:
                    self._drawn.setdefault(entry.frame, []).append((entry.z, number, entry))
            if not track.is_mask and (self.are_key_frames or self._has_gaps(track)):
                self._spans.append((number, track.entries, [entry.frame for entry in track.entries]))

    def _check(self) -> None:
        task = self.task
        for track in self.tracks:
            for entry in track.entries:
                late = task.stop is not None and entry.frame > task.stop
                if entry.is_outside and late:
                    continue  # it ends behind the last frame
                if late or entry.frame < task.start or (entry.frame - task.start) % task.step:
                    every = "" if task.step == 1 else f", every {task.step}"
                    raise DatasetError(
                        f"{track.where} has a shape in frame {entry.frame}, which is no frame of the task; expected "
                        f"numbers from {task.start} to {task.stop}{every}; export it again"
                    )
        if (self.last - task.start) // task.step > _MOST_FRAMES:
            raise DatasetError(
                f"the task {task.name!r} goes from frame {task.start} to {self.last}; expected at most "
                f"{_MOST_FRAMES:,} frames; export it again"
            )

    @property
    def last(self) -> int:
        """The number of the last frame of the task; of the last one with a shape where the file does not say."""
        if self.task.stop is not None:
            return self.task.stop
        return max((entry.frame for track in self.tracks for entry in track.entries), default=self.task.start)

    @property
    def are_key_frames(self) -> bool:
        """Whether there are key frames alone, and what lies between is to be computed."""
        moving = [track for track in self.tracks if not track.is_mask]
        if any(not entry.is_key for track in moving for entry in track.entries):
            return False
        return any(self._goes_on(track) for track in moving)

    def _goes_on(self, track: Track) -> bool:
        """Return whether a track of key frames is more than a shape of one frame, as CVAT writes it.

        CVAT ends such a shape one step later, but not where that is the last frame of the task, or behind it.
        """
        seen = [entry for entry in track.entries if not entry.is_outside]
        if len(seen) != 1:
            return bool(seen)
        following = [entry.frame for entry in track.entries if entry.frame > seen[0].frame]
        closing = seen[0].frame + self.task.step
        return following[0] != closing if following else closing < self.last

    @property
    def doubtful(self) -> list[int]:
        """Frames of shapes that may go on up to the last frame: nothing ends them, and nothing says that they do."""
        if self.are_key_frames:
            return []
        return sorted(
            {
                track.entries[-1].frame
                for track in self.tracks
                if not track.is_mask and len(track.entries) == 1 and track.entries[-1].frame < self.last
            }
        )

    def _known(self) -> Sequence[int]:
        """Return the frames that were not deleted, as far as the file shows."""
        if self.are_key_frames:
            return range(self.task.start, self.last + 1, self.task.step)
        return sorted({entry.frame for track in self.tracks for entry in track.entries if entry.frame <= self.last})
