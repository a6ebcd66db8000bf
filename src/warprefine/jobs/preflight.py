"""Checks before a run: errors are found before hours of work, and before anything is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from warprefine.core.errors import (
    DeviceError,
    FrameError,
    FrameSizeError,
    KeyFrameError,
    LabelError,
    RecipeError,
    WarpRefineError,
    shorten,
)
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import Frames
from warprefine.core.video import Dataset, Video
from warprefine.datasets.summary import check_video
from warprefine.io.frames import open_frames
from warprefine.jobs.context import GivenParts
from warprefine.propagation.coverage import Horizon, consecutive, farthest
from warprefine.propagation.units import frames_in_reach
from warprefine.recipe.recipe import Recipe
from warprefine.refinement import REFINERS, TWO_SIDED_REFINERS
from warprefine.segmentation import SEGMENTERS
from warprefine.training.losses import LOSSES

LARGEST_SEED = 2**32 - 1
"""A training's own seeds are this times a million and more, which 64 bits have to hold."""


def describe_job(
    dataset: Dataset,
    *,
    horizon: Horizon,
    also_train: Sequence[Dataset],
    seed: int,
    recipe: Recipe,
    parts: GivenParts,
) -> dict[str, Any]:
    """Return what identifies a run, to be compared with a later call on the same folder."""
    return {
        "data": _origin(dataset),
        "classes": list(dataset.classes.names),
        # Broken videos are included: once they are repaired, the run continues with them.
        "videos": sorted({*dataset.broken, *(video.name for video in dataset.videos)}),
        "horizon": horizon,
        "also_train": [_origin(further) for further in also_train],
        "seed": seed,
        "recipe": recipe.to_dict(),
        **({"parts": parts.identities} if parts.identities else {}),
    }


def check_names(recipe: Recipe) -> None:
    """Check that every network and loss that the recipe names exists.

    Raises:
        RecipeError: One does not; the message has the nearest name.
    """
    look_up(SEGMENTERS, recipe.segmenter.network, what="segmenter")
    look_up(REFINERS, recipe.refiner.network, what="refiner")
    look_up(TWO_SIDED_REFINERS, recipe.plus.refiner.network, what="two-sided refiner")
    for part in (recipe.segmenter, recipe.refiner, recipe.plus.refiner):
        look_up(LOSSES, part.loss, what="loss")


def check_parts(parts: GivenParts, dataset: Dataset) -> None:
    """Check that networks that are supplied as objects score the classes of the data set.

    Raises:
        LabelError: One scores another number of classes.
    """
    for kind, part in vars(parts).items():
        count = getattr(part, "class_count", len(dataset.classes))
        if count != len(dataset.classes):
            raise LabelError(
                f"the {kind.replace('_', '-')} {part.name!r} scores {count} classes, but {dataset.root} has "
                f"{len(dataset.classes)}; supply one whose class_count is {len(dataset.classes)}"
            )


def check_device(device: str) -> torch.device:
    """Return the device if it can compute.

    Raises:
        DeviceError: There is no such device here, or only the shapes of tensors exist on it (meta).
    """
    try:
        probe = torch.ones(1, device=device)
        float(probe + 1)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise DeviceError(
            f"device {device[:40]!r} cannot be used here; expected cpu, or cuda where there is a GPU"
        ) from error
    return probe.device


def check_seed(seed: int) -> None:
    """Check that random numbers can be drawn from a seed, by numpy and torch alike.

    Raises:
        RecipeError: It is negative, or has more than 32 bits.

    Example:
        >>> check_seed(2**32 - 1)
    """
    if not 0 <= seed <= LARGEST_SEED:
        found = f"seed {seed}" if -(10**20) < seed < 10**20 else "a seed of more than 20 digits"
        raise RecipeError(f"{found} cannot be used; expected a whole number from 0 to {LARGEST_SEED}")


def check_reach(dataset: Dataset, horizon: Horizon) -> int:
    """Check that there is a key frame, and a frame that can be labelled from it.

    Returns:
        The horizon in frames, see `reached_horizon`.

    Raises:
        KeyFrameError: No video has a key frame, or the horizon is no number of frames.
        WarpRefineError: No video has a key frame, but one is broken: its problem.
    """
    lengths = [len(video) for video in dataset.videos if video.labels]
    if not lengths and dataset.broken:
        raise next(iter(dataset.broken.values()))
    if not lengths:
        raise KeyFrameError(
            f"{dataset.root} has no key frame at all; put label maps into videos/NAME/labels, "
            "or choose labelled frames with --keyframes START::STEP"
        )
    if max(lengths) == 1:
        raise KeyFrameError(
            f"no video of {dataset.root} has more than one frame; expected key frames in a video whose other "
            "frames can be labelled; single pictures can be trained on with --also-train"
        )
    return reached_horizon(dataset, horizon)


def reached_horizon(dataset: Dataset, horizon: Horizon) -> int:
    """Return the horizon in frames.

    "all", and a number that lies beyond every clip, become the largest distance of a frame from its nearest
    key frame: clips are labelled as far as they go.

    Raises:
        KeyFrameError: It is neither "all" nor a number of at least 1.
    """
    asked: object = horizon  # whatever a caller without a type checker passes
    if asked != "all" and not (isinstance(asked, int) and asked >= 1):
        raise KeyFrameError(
            f"horizon {asked} is no number of frames; choose 1 or more, or 'all' to label every frame"
        )
    labelled = [video for video in dataset.videos if video.labels]
    if horizon != "all" and horizon < max(map(len, labelled), default=0):
        return horizon
    return max(1, farthest(labelled))


def check_further(dataset: Dataset, also_train: Sequence[Dataset]) -> None:
    """Check that further data have the same classes, and no broken video, which would go unnoticed.

    Raises:
        LabelError: Other classes.
        WarpRefineError: A video is broken: its problem.
    """
    for further in also_train:
        if further.classes.names != dataset.classes.names:
            raise LabelError(
                f"{further.root} has the classes {shorten(further.classes.names)}, but "
                f"{dataset.root} has {shorten(dataset.classes.names)}; "
                "further training data needs the same classes in the same order"
            )
        for error in further.broken.values():
            raise error


def sound_videos(
    dataset: Dataset, *, reach: int, motion: MotionEstimator, progress: Progress = silent
) -> tuple[Dataset, dict[str, str]]:
    """Open all files that the job needs; leave out videos that cannot be labelled, frames and broken truth.

    Args:
        dataset: The videos.
        reach: Frames are needed up to this far from a key frame.
        motion: Estimates flow between frames.
        progress: Called as frames are decoded.

    Returns:
        The data set of the videos that have key frames and can be labelled, as far as they are intact, and
        what is wrong with each broken video, by name, with damaged frames, by VIDEO/frames/STEM or
        VIDEO/frames/STEM to STEM, and with each broken truth, by VIDEO/STEM.

    Raises:
        WarpRefineError: Every video is broken: the first one's problem.
    """
    labelled = [video for video in dataset.videos if video.labels]
    needed = {video.name: frames_in_reach(video, reach) for video in labelled}
    total, done = sum(map(len, needed.values())), 0
    errors: dict[str, WarpRefineError] = dict(dataset.broken)
    for video in labelled:
        try:
            damaged = _decode(video, needed[video.name], motion)
            sound = _without_frames(video, damaged)
            if not sound.labels:
                raise next(iter(damaged.values()))
            errors |= _by_stretch(video, damaged)
            broken_truth = check_video(sound, dataset.classes)
            errors |= {_of_frame(video, frame): error for frame, error in broken_truth.items()}
        except WarpRefineError as error:
            errors[video.name] = error
        done += len(needed[video.name])
        progress("checking frames", done, total, video.name)
    if all(video.name in errors for video in labelled):
        raise _worst(dataset, list(errors.values()))
    failures = {name: str(error) for name, error in errors.items()}
    return without(replace(dataset, videos=tuple(labelled)), failures), failures


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


def _origin(dataset: Dataset) -> dict[str, Any]:
    return dict(dataset.origin) or {"root": str(dataset.root.resolve())}


def _decode(video: Video, needed: Sequence[int], motion: MotionEstimator) -> dict[int, FrameError]:
    """Decode every frame that will be needed.

    Returns:
        What is wrong with the damaged ones.

    Raises:
        FrameError: The video cannot be opened, its frames differ in size, or are too small for motion.
    """
    damaged: dict[int, FrameError] = {}
    tried = False
    with open_frames(video) as frames:
        for number in needed:
            try:
                frame = frames[number]
            except FrameSizeError:
                raise
            except FrameError as error:
                damaged[number] = error
                continue
            if not tried:
                _try_motion(video, frame, motion)
                tried = True
    return damaged


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
