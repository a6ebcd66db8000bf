"""Look before leaping: find what is wrong with the data before hours of work are spent on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from warprefine.core.errors import KeyFrameError, WarpRefineError
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset, Video
from warprefine.datasets.summary import check_video
from warprefine.io.frames import open_frames
from warprefine.propagation.schedule import plan
from warprefine.training.recipe import Recipe

log = logging.getLogger(__name__)


def describe_job(
    dataset: Dataset, *, horizon: int, also_train: Sequence[Dataset], seed: int, recipe: Recipe
) -> dict[str, Any]:
    """Say what a run is about, in terms that a later run can be compared with."""
    return {
        "data": dict(dataset.origin) or {"root": str(dataset.root.resolve())},
        "classes": list(dataset.classes.names),
        "videos": [video.name for video in dataset.videos],
        "horizon": horizon,
        "also_train": [[str(further.root.resolve()), len(further.videos)] for further in also_train],
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
    }


def sound_videos(
    dataset: Dataset, horizon: int, *, progress: Progress = silent
) -> tuple[Dataset, dict[str, str]]:
    """Open everything that the job will need, and leave out the videos that cannot be labelled.

    Returns:
        The data set without the broken videos, and what is wrong with each of those.

    Raises:
        KeyFrameError: No video has a key frame, or the horizon reaches beyond every clip.
        WarpRefineError: Every video is broken: the first one's problem.
    """
    labelled = [video for video in dataset.videos if video.labels]
    if not labelled:
        raise KeyFrameError(
            f"{dataset.root} has no key frame at all; put label maps into videos/NAME/labels, "
            "or hand some labels out with --keyframes START::STEP"
        )
    longest = max(len(video) for video in labelled)
    if horizon >= longest:
        raise KeyFrameError(
            f"horizon {horizon} lies beyond the longest clip of {dataset.root} ({longest} frames); "
            f"choose a horizon from 1 to {longest - 1}"
        )
    failures: dict[str, str] = {}
    errors: list[WarpRefineError] = []
    for done, video in enumerate(labelled, 1):
        try:
            check_video(video, dataset.classes)
            _decode(video, horizon, progress=progress)
        except WarpRefineError as error:
            log.error("%s", error)
            failures[video.name] = str(error)
            errors.append(error)
        progress("checking videos", done, len(labelled), video.name)
    if len(errors) == len(labelled):
        raise errors[0]
    sound = tuple(video for video in labelled if video.name not in failures)
    return replace(dataset, videos=sound), failures


def without(dataset: Dataset, failures: dict[str, str]) -> Dataset:
    """Leave out the videos that failed."""
    return replace(dataset, videos=tuple(v for v in dataset.videos if v.name not in failures))


def _decode(video: Video, horizon: int, *, progress: Progress) -> None:
    """Decode every frame that will be needed; a broken one raises."""
    needed = sorted({*video.key_frames, *(frame for unit in plan(video, horizon) for frame in unit.frames)})
    with open_frames(video) as frames:
        for done, frame in enumerate(needed, 1):
            frames[frame]
            progress(f"checking {video.name}", done, len(needed))
