"""Follow the tracks of "CVAT for video": which shapes a frame has, at key frames and between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.interchange.cvat_shapes import Shape, between, draw_outline, draw_shape, outline_of
from warprefine.interchange.cvat_xml import Task
from warprefine.interchange.imported import Positions
from warprefine.interchange.shapes import MaskArray

_MOST_FRAMES = 1_000_000
"""Eleven hours of 25 frames a second: a file that claims more is damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a track says about a frame.

    Attributes:
        frame: The number of the frame in the source video.
        shape: The shape there.
        is_key: Somebody has put it there; else CVAT has computed it.
        is_outside: Nothing is to be seen from here on, up to the next entry.
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
        entries: In the order of frames, each of which has one.
        where: How messages name it.
    """

    position: int
    entries: Sequence[Entry]
    where: str

    def __post_init__(self) -> None:
        for before, after in pairwise(self.entries):
            if before.frame >= after.frame:
                raise DatasetError(
                    f"{self.where} has two shapes in frame {after.frame}; expected one; export it again"
                )

    @cached_property
    def frames(self) -> list[int]:
        """The frames of the entries."""
        return [entry.frame for entry in self.entries]

    @cached_property
    def is_mask(self) -> bool:
        """Whether it is made of masks, which CVAT neither moves nor holds: each is of its own frame alone."""
        return any(entry.shape.kind == "mask" for entry in self.entries)

    def goes_on(self, *, step: int, last: int) -> bool:
        """Return whether it is more than a shape of one frame.

        CVAT ends a shape of one frame a step later, but not where that is the last frame of the task or
        behind it.
        """
        seen = [number for number, entry in enumerate(self.entries) if not entry.is_outside]
        if len(seen) != 1:
            return bool(seen)
        following = self.frames[seen[0] + 1 :]
        closing = self.frames[seen[0]] + step
        return following[0] > closing if following else closing < last

    def mask(self, frame: int, size: tuple[int, int]) -> MaskArray:
        """Return the pixels in a frame between two entries, or behind the last one, which is held."""
        number = bisect_right(self.frames, frame) - 1
        before = self.entries[number]
        if number + 1 == len(self.entries):
            return draw_shape(before.shape, size)
        after = self.entries[number + 1]
        part = (frame - before.frame) / (after.frame - before.frame)
        outline = between(outline_of(before.shape), outline_of(after.shape), part)
        return draw_outline(
            outline, size, where=f"{self.where}, between frames {before.frame} and {after.frame}"
        )


class Tracks:
    """The tracks of a task, and what they draw in its frames.

    CVAT writes a shape into every frame of a track that was not deleted. People and other programs write key
    frames alone: CVAT then moves shapes from one to the next, and holds the last one up to the end of the
    task, and so does this. A file is of the second kind if nothing in it was computed and a track has more
    than a shape of one frame.

    Args:
        task: The task.
        tracks: In the order of the file; of those of the same z order, later ones lie on top.
        named: How messages name the file.

    Raises:
        DatasetError: A shape is in a frame that the task does not have, or changes its kind between key
            frames.
    """

    def __init__(self, task: Task, tracks: Sequence[Track], *, named: str) -> None:
        self._tracks = tracks
        frames = [frame for track in tracks for frame in track.frames]
        self._last = max(frames, default=0) if task.stop is None else task.stop
        for track in tracks:
            self._check(track, task)
        if (self._last - task.start) // task.step > _MOST_FRAMES:
            raise DatasetError(
                f"{named} is of frames {task.start} to {self._last}; expected at most {_MOST_FRAMES:,}; "
                "export it again"
            )
        moving = [track for track in tracks if not track.is_mask]
        self.are_key_frames = all(entry.is_key for track in moving for entry in track.entries) and any(
            track.goes_on(step=task.step, last=self._last) for track in moving
        )
        known = range(task.start, self._last + 1, task.step) if self.are_key_frames else sorted({*frames})
        self._known = np.array([frame for frame in known if frame <= self._last], np.int64)
        self._drawn: dict[int, list[tuple[int, int, Entry]]] = {}
        self._filling: list[int] = []
        self._has_labels = np.zeros(len(self._known), bool)
        for number, track in enumerate(tracks):
            for entry in track.entries:
                if not entry.is_outside:
                    self._drawn.setdefault(entry.frame, []).append((entry.z, number, entry))
            seen = [entry.frame for entry in track.entries if not entry.is_outside]
            self._has_labels[np.searchsorted(self._known, seen)] = True
            if not track.is_mask and self._fill(track):
                self._filling.append(number)

    @property
    def labelled(self) -> list[int]:
        """The numbers of the frames that have a shape, in order."""
        labelled: list[int] = self._known[self._has_labels].tolist()
        return labelled

    @property
    def doubtful(self) -> list[int]:
        """The frames of shapes that nothing ends or carries on: each is taken for its own frame alone."""
        ends = {
            track.frames[-1]
            for track in self._tracks
            if not track.is_mask and len(track.entries) == 1 and track.frames[-1] < self._last
        }
        return [] if self.are_key_frames else sorted(ends)

    def draw(self, frame: int, size: tuple[int, int]) -> Positions:
        """Paint the shapes of a frame, by ascending z order, then in the order of the file."""
        labels = np.full(size, VOID, np.uint8)
        for _, number, entry in sorted(self._at(frame), key=lambda found: found[:2]):
            track = self._tracks[number]
            own = entry.frame == frame
            labels[draw_shape(entry.shape, size) if own else track.mask(frame, size)] = track.position
        return labels

    def _at(self, frame: int) -> Iterator[tuple[int, int, Entry]]:
        """Yield the z order, the number of the track, and its entry in a frame or the one before."""
        yield from self._drawn.get(frame, ())
        for number in self._filling:
            track = self._tracks[number]
            before = bisect_right(track.frames, frame) - 1
            if before < 0 or track.entries[before].is_outside or track.frames[before] == frame:
                continue
            if before + 1 < len(track.entries) or self.are_key_frames:
                yield track.entries[before].z, number, track.entries[before]

    def _fill(self, track: Track) -> bool:
        """Mark the frames between the entries of a track, where there are any."""
        found = False
        places = [*np.searchsorted(self._known, track.frames).tolist(), len(self._known)]
        for number, entry in enumerate(track.entries):
            is_last = number + 1 == len(track.entries)
            begin, end = places[number] + 1, places[number + 1]
            if entry.is_outside or begin >= end or (is_last and not self.are_key_frames):
                continue
            if not is_last and track.entries[number + 1].shape.kind != entry.shape.kind:
                raise DatasetError(
                    f"{track.where} turns from {entry.shape.kind} to {track.entries[number + 1].shape.kind} "
                    f"between the key frames {entry.frame} and {track.frames[number + 1]}; expected one "
                    "kind; label the frames between them"
                )
            self._has_labels[begin:end] = found = True
        return found

    def _check(self, track: Track, task: Task) -> None:
        for entry in track.entries:
            late = entry.frame > self._last
            if late and entry.is_outside:
                continue  # it ends behind the last frame
            if late or entry.frame < task.start or (entry.frame - task.start) % task.step:
                every = "" if task.step == 1 else f", every {task.step}"
                raise DatasetError(
                    f"{track.where} has a shape in frame {entry.frame}, which is no frame of the task; "
                    f"expected those from {task.start} to {self._last}{every}; export it again"
                )
