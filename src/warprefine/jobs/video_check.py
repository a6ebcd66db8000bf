"""Check the files of a video before a run: each is opened once, and not again before it changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from warprefine.core.classes import ClassSet
from warprefine.core.continuity import Continuity
from warprefine.core.errors import FrameError, FrameSizeError, WarpRefineError
from warprefine.core.parallel import map_in_order, thread_count
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Frames
from warprefine.core.video import Video
from warprefine.datasets.summary import check_video
from warprefine.io.foreign import is_of_the_system
from warprefine.io.frames import open_frames
from warprefine.jobs.checked_videos import CheckedVideos, Verdict
from warprefine.jobs.cut_guard import CutGuard
from warprefine.ops.thumbnails import Thumbnail, thumbnail


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is wrong with a video that can be labelled, by frame, and where its picture does not go on.

    Attributes:
        damaged: Frames that cannot be read.
        broken_truth: Truth that cannot be used.
        continuity: What the guard has found.
    """

    damaged: dict[int, FrameError]
    broken_truth: dict[int, WarpRefineError]
    continuity: Continuity


@dataclass(frozen=True, kw_only=True)
class VideoCheck:
    """Opens all files of a video that a job needs.

    Attributes:
        classes: The classes of label maps.
        motion: Estimates flow between frames.
        guard: Finds the cuts of the videos; None: none are looked for.
        checked: What was found before; None: every file is opened.
    """

    classes: ClassSet
    motion: MotionEstimator
    guard: CutGuard | None = None
    checked: CheckedVideos | None = None

    def __call__(self, video: Video, needed: Sequence[int]) -> Findings:
        """Return what is wrong with a video.

        Args:
            video: The video.
            needed: The frames that the job needs, ascending.

        Raises:
            FrameError: The video cannot be opened, all its key frames are damaged, frames differ in size or
                are too small for motion, or the disk fails.
            LabelError: A key frame's label map is damaged, or does not fit its frame or the class set.
        """
        if self.checked is None:
            return self._open_all(video, needed)
        cuts = None if self.guard is None else self.guard.depends_on
        key = self.checked.key(video, needed, self.classes, motion=self.motion.name, cuts=cuts)
        verdict = self.checked.get(key)
        if verdict is not None and (known := self._broken_as_before(video, verdict)) is not None:
            return known
        found = self._open_all(video, needed)
        self.checked.put(
            key,
            Verdict(
                damaged=tuple(found.damaged),
                broken_truth=tuple(found.broken_truth),
                continuity=found.continuity,
            ),
        )
        return found

    def _open_all(self, video: Video, needed: Sequence[int]) -> Findings:
        damaged: dict[int, FrameError] = {}
        seen = self._intact_frames(video, needed, damaged)
        if self.guard is not None:
            continuity = self.guard.find(seen)
        else:
            continuity = Continuity()
            deque(seen, maxlen=0)
        sound = without_frames(video, damaged)
        if not sound.labels:
            raise next(iter(damaged.values()))
        return Findings(damaged=damaged, broken_truth=check_video(sound, self.classes), continuity=continuity)

    def _broken_as_before(self, video: Video, verdict: Verdict) -> Findings | None:
        """Open what was broken once more; None if something can be read now, as with other permissions."""
        damaged: dict[int, FrameError] = {}
        if verdict.damaged:
            with open_frames(video) as frames:
                for number in verdict.damaged:
                    try:
                        frames[number]
                    except FrameError as error:
                        if _is_of_the_video(error):
                            raise
                        damaged[number] = error
        truth = {number: video.truth[number] for number in verdict.broken_truth if number in video.truth}
        broken_truth = check_video(replace(video, labels={}, truth=truth), self.classes)
        if (tuple(damaged), tuple(broken_truth)) != (verdict.damaged, verdict.broken_truth):
            return None
        return Findings(damaged=damaged, broken_truth=broken_truth, continuity=verdict.continuity)

    def _intact_frames(
        self, video: Video, needed: Sequence[int], damaged: dict[int, FrameError]
    ) -> Iterator[tuple[int, Thumbnail]]:
        """Yield thumbnails of the frames that can be read, by number; note what is wrong with the others."""
        tried = False
        with open_frames(video) as frames:

            def look_at(number: int) -> tuple[Frames, Thumbnail] | FrameError:
                try:
                    frame = frames[number]
                except FrameError as error:
                    return error
                return frame, thumbnail(frame)

            # A video file is decoded in order, a picture by itself.
            threads = 1 if video.container is not None else thread_count()
            for number, found in zip(needed, map_in_order(look_at, needed, threads=threads), strict=True):
                if isinstance(found, FrameError):
                    if _is_of_the_video(found):
                        raise found
                    damaged[number] = found
                    continue
                frame, small = found
                if not tried:
                    _try_motion(video, frame, self.motion)
                    tried = True
                yield number, small


def without_frames(video: Video, damaged: Collection[int]) -> Video:
    """Return a video of which some frames cannot be read, nor their label maps used."""
    labels, truth = (
        {k: path for k, path in maps.items() if k not in damaged} for maps in (video.labels, video.truth)
    )
    return replace(video, labels=labels, truth=truth, damaged=video.damaged | {*damaged})


def _is_of_the_video(error: FrameError) -> bool:
    """Return whether an error is no damage of the frame alone: sizes that differ, or a disk that fails."""
    return isinstance(error, FrameSizeError) or is_of_the_system(error)


def _try_motion(video: Video, frame: Frames, motion: MotionEstimator) -> None:
    try:
        motion(frame, frame)
    except FrameError as error:
        raise FrameError(f"video {video.name!r}: {error}") from error
