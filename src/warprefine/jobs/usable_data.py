"""Find what of a data set can be used: check all its files, and leave out what is broken or shows nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from warprefine.core.continuity import Continuity
from warprefine.core.engine import HERE, Engine, map_over
from warprefine.core.errors import FrameError, KeyFrameError, WarpRefineError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.spans import consecutive
from warprefine.core.video import Dataset, Video
from warprefine.io.foreign import is_of_the_system
from warprefine.jobs.cut_guard import with_continuity
from warprefine.jobs.video_check import Findings, VideoCheck, without_frames
from warprefine.propagation.units import frames_in_reach


def sound_videos(
    dataset: Dataset,
    check: VideoCheck,
    *,
    within: int,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> tuple[Dataset, dict[str, str]]:
    """Check all files that the job needs; leave out videos that cannot be labelled, frames and broken truth.

    Args:
        dataset: The videos.
        check: Opens the files of a video.
        within: Frames are needed up to this far from a key frame.
        engine: Where files are opened; what is found does not depend on it.
        progress: Called as videos are checked.

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
    with_frames = [(video, needed[video.name]) for video in labelled]
    checked = map_over(engine, partial(_findings, check), with_frames, frames=total, threads=1)
    for video, found in zip(labelled, checked, strict=True):
        if isinstance(found, WarpRefineError):
            errors[video.name] = found
        else:
            errors |= _by_stretch(video, found.damaged)
            errors |= {_of_frame(video, frame): error for frame, error in found.broken_truth.items()}
            continuity[video.name] = found.continuity
            if check.guard is not None:
                check.guard.note(video, found.continuity)
        done += len(needed[video.name])
        progress("checking frames", done, total, video.name)
    if all(video.name in errors for video in labelled):
        raise _worst(dataset, [error for name, error in errors.items() if name in names])
    failures = {name: str(error) for name, error in errors.items()}
    sound_ones = without(replace(dataset, videos=tuple(labelled)), failures)
    return with_continuity(sound_ones, continuity), failures


def _findings(check: VideoCheck, checked: tuple[Video, Sequence[int]]) -> Findings | WarpRefineError:
    """Return what is wrong with a video, or why it cannot be labelled at all."""
    try:
        return check(*checked)
    except WarpRefineError as error:
        if is_of_the_system(error):  # else networks would be trained without it
            raise
        return error


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
        video = without_frames(video, _frames_named(video, damaged))
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


def _worst(dataset: Dataset, errors: Sequence[WarpRefineError]) -> WarpRefineError:
    """Return the first error, with the number of all."""
    if len(errors) == 1:
        return errors[0]
    return type(errors[0])(
        f"{errors[0]} (all {len(errors)} videos are broken: `warprefine inspect {dataset.root} --check` "
        "lists every problem)"
    )
