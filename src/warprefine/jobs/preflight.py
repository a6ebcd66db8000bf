"""Checks before a run: errors are found before hours of work, and before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from warprefine.core.errors import DeviceError, KeyFrameError, LabelError, RecipeError, shorten
from warprefine.core.names import look_up
from warprefine.core.video import Dataset
from warprefine.io.places import address_of
from warprefine.jobs.context import GivenParts
from warprefine.propagation.coverage import Horizon, farthest
from warprefine.recipe.former import FORMER_VALUES
from warprefine.recipe.recipe import Recipe
from warprefine.refinement import REFINERS, TWO_SIDED_REFINERS
from warprefine.segmentation import SEGMENTERS
from warprefine.training.losses import LOSSES

FORMER_JOB = {f"recipe.{key}": value for key, value in FORMER_VALUES.items()}
"""What the job of a run folder of an earlier version stands for in keys that it lacks."""
CALIBRATION = ("calibration_key_frames", "calibration_steps")
"""The settings of propagation that say how confidence is calibrated."""
CHANGEABLE_JOB = tuple(f"recipe.propagation.{key}" for key in CALIBRATION)
"""What may change in the job of a run folder: all networks and labels stay valid."""
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


def check_reach(dataset: Dataset, horizon: Horizon, *, single_frames: bool = False) -> int:
    """Check that there is a key frame, and a frame that can be labelled from it.

    Args:
        dataset: The videos.
        horizon: As `reached_horizon` takes it.
        single_frames: Let the key frames do: nothing is labelled.

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
    if max(lengths) == 1 and not single_frames:
        raise KeyFrameError(
            f"no video of {dataset.root} has more than one frame; expected key frames in a video whose other "
            "frames can be labelled; single pictures can be trained on with --also-train or `train segmenter`"
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


def _origin(dataset: Dataset) -> dict[str, Any]:
    return dict(dataset.origin) or {"root": address_of(dataset.root)}
