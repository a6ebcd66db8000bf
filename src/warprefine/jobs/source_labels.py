"""The labels that one source alone gives a frame: the key frame before or after it, or the segmenter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from warprefine.core.errors import RunFolderError
from warprefine.core.tensors import LabelMaps, size_of
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.propagation.calibrated import CalibratedLabeller
from warprefine.propagation.evidence import Evidence, open_evidence
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.run import Job
from warprefine.propagation.stepwise.step import segment
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.propagation.two_sided.label import TwoSidedLabeller
from warprefine.propagation.unreached import WithUnreached

Source: TypeAlias = Literal["before", "after", "segmenter"]


def labels_of_source(job: Job, video: Video, frame: int, *, of: Source, cache: Path) -> LabelMaps:
    """Return the labels of a frame, (1, h, w), that one source alone gives: on the CPU, unrefined.

    Args:
        job: The job of warp-refine-plus, as `Relabeller.jobs` returns it.
        video: The video, as the run has it.
        frame: The number of the frame.
        of: The nearest key frame before or after the frame, or the segmenter.
        cache: The folder of the cache; nothing is written into it.

    Raises:
        RunFolderError: No key frame is within reach on that side, or the job has no warp-refine-plus.
        FrameError: A frame cannot be read.

    Example:
        >>> (job, *_) = Relabeller(Path("RUN")).jobs()  # doctest: +SKIP
        >>> labels = labels_of_source(job, video, 25, of="before", cache=Path("RUN/cache"))  # doctest: +SKIP
    """
    inner = (_unwrapped(one) for one in job.labellers)
    labeller = next((one for one in inner if isinstance(one, TwoSidedLabeller)), None)
    if labeller is None:
        raise RunFolderError(
            "labels of one source alone come with warp-refine-plus, which this run does not have; label "
            "with `warprefine autolabel --method warp-refine-plus`"
        )
    # The process that labels gaps clears half-written files of the cache away, so nothing is written here.
    models = replace(labeller.models, keep="nothing")
    with open_evidence(video, job.dataset.classes, models, ArrayCache(cache)) as evidence:
        if of == "segmenter":
            return segment(evidence.segmentation(frame), size_of(evidence.frame(frame))).labels.cpu()
        return _carried(evidence, labeller, frame, of).cpu()


def _unwrapped(labeller: Labeller) -> Labeller:
    """Return the labeller that carries labels, whatever is added to it."""
    while isinstance(labeller, CalibratedLabeller | WithUnreached):
        labeller = labeller.labeller
    return labeller


def _carried(evidence: Evidence, labeller: TwoSidedLabeller, frame: int, of: Source) -> LabelMaps:
    video, reach = evidence.video, labeller.recipe.choose.reach
    side = range(frame - reach, frame) if of == "before" else range(frame + 1, frame + reach + 1)
    keys = [key for key in video.key_frames if key in side and key in video.stretch(frame)]
    if not keys:
        raise RunFolderError(
            f"frame {frame} of {video.name} has no key frame {of} it within {reach} frames; take the region "
            "from another source"
        )
    carrier = LabelCarrier(
        evidence, labeller.recipe.carry, evidence.key_labels, motion=labeller.models.motion
    )
    nearest = min(keys, key=lambda key: abs(key - frame))
    labels, _ = carrier.side(frame, [nearest]).soft.harden()
    return labels
