"""The pseudo-labels of a finished run as samples to train on, some with images propagated alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from warprefine.core.errors import RunFolderError
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.images import read_gray, read_labels, write_labels
from warprefine.io.run import RunFolder
from warprefine.jobs.motions import motion_of_run
from warprefine.propagation.joint import joint_path
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.units import stepwise_units
from warprefine.recipe.recipe import Recipe
from warprefine.training.data.samples import LabelledFrame

JOINT_METHOD = "motion-only"
"""Its labels are paired with images propagated alike, as Zhu et al. (CVPR 2019) recommend."""


def pseudo_labelled_frames(
    run: RunFolder,
    dataset: Dataset,
    method: str,
    *,
    offsets: Collection[int],
    images: RunFolder | None = None,
    confident: Confident | None = None,
) -> list[LabelledFrame]:
    """Return the frames that a method has labelled at `offsets` from their key frames.

    Args:
        run: The run with the labels.
        dataset: Its videos.
        method: A method of the run; the oracle has only frames with truth.
        offsets: Distances from the key frame.
        images: Where propagated images of these frames lie; None: the frames themselves are used.
        confident: Which labels are used; None: all.

    Raises:
        RunFolderError: There is none, or one that should be there has no labels yet.
    """
    found = [
        LabelledFrame(
            video=video,
            frame=frame,
            classes=dataset.classes,
            labels=run.labels_path(method, video.name, video.stems[frame]),
            picture=joint_path(images, video.name, video.stems[frame]) if images else None,
        )
        for video, frame in _frames_at(dataset, offsets)
        if method != ORACLE or frame in video.truth
    ]
    missing = [member.label_path for member in found if not member.label_path.exists()]
    if missing or not found:
        what = f"{missing[0]} is missing" if missing else f"{run.root} has no such frame"
        raise RunFolderError(
            f"no labels of {method} at {sorted(offsets)} frames from the key frames: {what}; make them "
            f"with `warprefine autolabel --method {method}`, with a horizon of at least {max(offsets)}"
        )
    return found if confident is None else [confident.of(run, member, method) for member in found]


@dataclass(frozen=True, kw_only=True)
class Confident:
    """Pseudo-labels whose confidence is high enough; the others become VOID.

    Attributes:
        least: The least confidence, from 0 to 1.
        folder: Where label maps without the others are written, as VIDEO/STEM.png.
    """

    least: float
    folder: Path

    def of(self, run: RunFolder, member: LabelledFrame, method: str) -> LabelledFrame:
        """Return a frame with those labels of a method that are confident enough."""
        video, stem = member.video, member.video.stems[member.frame]
        path = self.folder / video.name / f"{stem}.png"
        labels = read_labels(member.label_path, member.classes)
        confidence = read_gray(run.confidence_path(method, video.name, stem))
        write_labels(path, labels.masked_fill(confidence < self.least, VOID), member.classes)
        return replace(member, labels=path)


def motion_of_labels(run: RunFolder, recipe: Recipe, *, device: torch.device) -> MotionEstimator:
    """Return the motion that the labels of a run were propagated with.

    Raises:
        RunFolderError: It was supplied as an object.
    """
    supplied = run.job().get("parts", {}).get("motion")
    if supplied:
        raise RunFolderError(
            f"{run.root} was labelled with the motion {supplied!r}, supplied as an object; take the "
            f"pseudo-labels of {JOINT_METHOD} from what `autolabel` returned, or those of another method"
        )
    return motion_of_run(run, recipe, device=device)


def _frames_at(dataset: Dataset, offsets: Collection[int]) -> Iterator[tuple[Video, int]]:
    for video in dataset.videos:
        for unit in stepwise_units(video, max(offsets)):
            for frame in unit.frames:
                if unit.distance(frame) in offsets:
                    yield video, frame
