"""Find what of a data set can be used: open all its files, and leave out what is broken or shows nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from warprefine.core.continuity import Continuity
from warprefine.core.errors import FrameError, FrameSizeError, KeyFrameError, WarpRefineError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.spans import consecutive
from warprefine.core.tensors import Frames
from warprefine.core.video import Dataset, Video
from warprefine.datasets.summary import check_video
from warprefine.io.foreign import is_of_the_system
from warprefine.io.frames import open_frames
from warprefine.jobs.cut_guard import CutGuard, with_continuity
from warprefine.propagation.units import frames_in_reach


def sound_videos(
    dataset: Dataset,
    *,
    within: int,
    motion: MotionEstimator,
    guard: CutGuard | None = None,
    progress: Progress = silent,
) -> tuple[Dataset, dict[str, str]]:
    """Open all files that the job needs; leave out videos that cannot be labelled, frames and broken truth.

    Args:
        dataset: The videos.
        within: Frames are needed up to this far from a key frame.
        motion: Estimates flow between frames.
        guard: Finds the cuts of the videos; None: none are looked for.
        progress: Called as frames are decoded.

    Returns:
        The data set of the videos that have key frames and can be labelled, as far as they are intact, and
        what is wrong with each broken video, by name, with damaged frames, by VIDEO/frames/STEM or
        VIDEO/frames/STEM to STEM, and with each broken truth, by VIDEO/STEM.

    Raises:
        WarpRefineError: Every video is broken: the first one's problem; or the disk fails.
    """
    labelled = [video for video in dataset.videos if video.labels]
    names = {*dataset.broken, *(video.name for video in labelled)}
    needed = {video.name: frames_in_reach(video, within) for video in labelled}
    total, done = sum(map(len, needed.values())), 0
    errors: dict[str, WarpRefineError] = dict(dataset.broken)
    continuity: dict[str, Continuity] = {}
    for video in labelled:
        try:
            damaged, found = _decode(video, needed[video.name], motion, guard)
            sound = replace(_without_frames(video, damaged), continuity=found)
            if not sound.labels:
                raise next(iter(damaged.values()))
            errors |= _by_stretch(video, damaged)
            broken_truth = check_video(sound, dataset.classes)
            errors |= {_of_frame(video, frame): error for frame, error in broken_truth.items()}
            continuity[video.name] = found
        except WarpRefineError as error:
            if is_of_the_system(error):  # else networks would be trained without it
                raise
            errors[video.name] = error
        done += len(needed[video.name])
        progress("checking frames", done, total, video.name)
    if all(video.name in errors for video in labelled):
        raise _worst(dataset, [error for name, error in errors.items() if name in names])
    failures = {name: str(error) for name, error in errors.items()}
    sound_ones = without(replace(dataset, videos=tuple(labelled)), failures)
    return with_continuity(sound_ones, continuity), failures


def set_aside(dataset: Dataset, empty: Mapping[str, Mapping[int, Path]]) -> dict[str, str]:
    """Return why intact videos and key frames are not used: those without one hand-made label.

    Args:
        dataset: The videos.
        empty: Label maps without one labelled pixel, by video and frame.

    Returns:
        Reasons by the name of the video; by VIDEO/STEM for a key frame whose video has others.

    Raises:
        KeyFrameError: No key frame is left.
    """
    reasons: dict[str, str] = {}
    for video in dataset.videos:
        blank = empty.get(video.name, {})
        why = {
            number: f"{path} holds no labelled pixel and makes no key frame" for number, path in blank.items()
        }
        if not video.labels:
            reasons[video.name] = f"video {video.name!r} has no key frame: no label map has a frame's name"
        elif len(blank) == len(video.labels):
            reasons[video.name] = f"video {video.name!r} has no key frame: {shorten(why.values())}"
        else:
            reasons |= {_of_frame(video, number): reason for number, reason in why.items()}
    if empty and all(video.name in reasons for video in dataset.videos):
        paths = [path for blank in empty.values() for path in blank.values()]
        raise KeyFrameError(
            f"no label map of {dataset.root} holds a labelled pixel: {shorten(paths)}; draw labels, or check "
            "in classes.toml which numbers are void (`warprefine inspect` shows what was found)"
        )
    return reasons


def without(dataset: Dataset, failures: Collection[str]) -> Dataset:
    """Leave out the videos that failed, by name, damaged frames, and label maps that are not used.

    The keys are those of `sound_videos` and `set_aside`.
    """
    damaged = [key for key in failures if "/frames/" in key]

    def used(video: Video) -> Video:
        video = _without_frames(video, _frames_named(video, damaged))
        if video.uncorrected is not None:
            video = replace(video, uncorrected=used(video.uncorrected))
        dropped = {k for k in (*video.labels, *video.truth) if _of_frame(video, k) in failures}
        if not dropped:
            return video
        labels, truth = (
            {k: path for k, path in maps.items() if k not in dropped} for maps in (video.labels, video.truth)
        )
        return replace(video, labels=labels, truth=truth)

    return replace(dataset, videos=tuple(used(v) for v in dataset.videos if v.name not in failures))


def _of_frame(video: Video, number: int) -> str:
    return f"{video.name}/{video.stems[number]}"


def _by_stretch(video: Video, damaged: Mapping[int, FrameError]) -> dict[str, WarpRefineError]:
    """Return what is wrong with damaged frames, neighbours together."""
    errors: dict[str, WarpRefineError] = {}
    for stretch in consecutive(damaged):
        first, last = video.stems[stretch[0]], video.stems[stretch[-1]]
        error = damaged[stretch[0]]
        if len(stretch) == 1:
            errors[f"{video.name}/frames/{first}"] = error
        else:
            message = f"{error} ({len(stretch)} frames, {first} to {last}, cannot be read)"
            errors[f"{video.name}/frames/{first} to {last}"] = FrameError(message)
    return errors


def _frames_named(video: Video, keys: Iterable[str]) -> list[int]:
    """Return the damaged frames of a video that `_by_stretch` gave names to."""
    numbers = {stem: number for number, stem in enumerate(video.stems)}
    found: list[int] = []
    for key in keys:
        name, _, stems = key.rpartition("/frames/")
        first, _, last = (stems, "", stems) if stems in numbers else stems.partition(" to ")
        if name == video.name and first in numbers and last in numbers:
            found += range(numbers[first], numbers[last] + 1)
    return found


def _without_frames(video: Video, damaged: Collection[int]) -> Video:
    """Return a video of which some frames cannot be read, nor their label maps used."""
    labels, truth = (
        {k: path for k, path in maps.items() if k not in damaged} for maps in (video.labels, video.truth)
    )
    return replace(video, labels=labels, truth=truth, damaged=video.damaged | {*damaged})


def _decode(
    video: Video, needed: Sequence[int], motion: MotionEstimator, guard: CutGuard | None
) -> tuple[dict[int, FrameError], Continuity]:
    """Decode every frame that will be needed.

    Returns:
        What is wrong with the damaged ones, and what the guard has found.

    Raises:
        FrameError: The video cannot be opened, its frames differ in size or are too small for motion, or the
            disk fails.
    """
    damaged: dict[int, FrameError] = {}
    frames = _intact_frames(video, needed, motion, damaged)
    if guard is not None:
        return damaged, guard.find(video, needed, frames)
    deque(frames, maxlen=0)
    return damaged, Continuity()


def _intact_frames(
    video: Video, needed: Sequence[int], motion: MotionEstimator, damaged: dict[int, FrameError]
) -> Iterator[tuple[int, Frames]]:
    """Yield the frames that can be read, by number, and note what is wrong with the others."""
    tried = False
    with open_frames(video) as frames:
        for number in needed:
            try:
                frame = frames[number]
            except FrameError as error:
                if isinstance(error, FrameSizeError) or is_of_the_system(error):
                    raise
                damaged[number] = error
                continue
            if not tried:
                _try_motion(video, frame, motion)
                tried = True
            yield number, frame


def _try_motion(video: Video, frame: Frames, motion: MotionEstimator) -> None:
    try:
        motion(frame, frame)
    except FrameError as error:
        raise FrameError(f"video {video.name!r}: {error}") from error


def _worst(dataset: Dataset, errors: Sequence[WarpRefineError]) -> WarpRefineError:
    """Return the first error, with the number of all."""
    if len(errors) == 1:
        return errors[0]
    return type(errors[0])(
        f"{errors[0]} (all {len(errors)} videos are broken: `warprefine inspect {dataset.root} --check` "
        "lists every problem)"
    )
