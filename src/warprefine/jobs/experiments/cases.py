"""Find labelled frames that are worth a picture: where methods differ, gain, or fail together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from warprefine.core.progress import Progress, silent
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Video
from warprefine.io.images import read_labels
from warprefine.jobs.finished import FinishedRun
from warprefine.metrics import confusion
from warprefine.metrics.run_labels import labelled_frames, predicted_labels
from warprefine.training.data.samples import evenly

METHOD = "warp-refine"
MOTION_ONLY, SEMANTIC_ONLY = EARLIER = ("motion-only", "semantic-only")
_LOOKED_AT = 2000
"""Frames that are compared at most, evenly spread: each has three label maps to be read."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A labelled frame, and how its labels compare; all are shares of 1.

    Attributes:
        video: The video.
        frame: The frame.
        lead: By how much the mIoU of warp-refine exceeds the better of the two methods before it; None
            without truth.
        disagreement: Share of the pixels at which methods give different labels.
        both_fail: Share of the pixels at which both cues fail: `both_fail`.
    """

    video: Video
    frame: int
    lead: float | None
    disagreement: float
    both_fail: float


def find_cases(finished: FinishedRun, *, progress: Progress = silent) -> list[Case]:
    """Compare the labels of the methods at frames of a run: those with truth, or all where none has any."""
    classes = finished.dataset.classes
    every = [(video, frame) for video, frame, _ in labelled_frames(finished.dataset, finished.horizon)]
    with_truth = [(video, frame) for video, frame in every if frame in video.truth]
    places = evenly(with_truth or every, _LOOKED_AT)
    cases = []
    for done, (video, frame) in enumerate(places, start=1):
        maps = {
            method: predicted_labels(finished.run, classes, method=method, video=video, frame=frame)
            for method in (*EARLIER, METHOD)
        }
        truth = read_labels(video.truth[frame], classes) if frame in video.truth else None
        cases.append(
            Case(
                video=video,
                frame=frame,
                lead=None if truth is None else _lead(maps, truth, class_count=len(classes)),
                disagreement=_share(disagreement(maps)),
                both_fail=_share(both_fail(maps, truth)),
            )
        )
        progress("comparing labels", done, len(places))
    return cases


def spread_out(cases: Sequence[Case], most: int) -> list[Case]:
    """Return the first cases; those of one video lie at least 3 frames apart."""
    chosen: list[Case] = []
    for case in cases:
        beside = [abs(case.frame - one.frame) for one in chosen if one.video.name == case.video.name]
        if len(chosen) < most and min(beside, default=3) >= 3:
            chosen.append(case)
    return chosen


def disagreement(maps: Mapping[str, LabelMaps]) -> Tensor:
    """Mark the pixels at which methods give different labels; VOID of semantic-only is no label.

    Example:
        >>> import torch
        >>> a, b = torch.zeros(1, 1, 2, dtype=torch.uint8), torch.tensor([[[0, 1]]], dtype=torch.uint8)
        >>> disagreement({"motion-only": a, "semantic-only": a, "warp-refine": b}).tolist()
        [[[False, True]]]
    """
    ours, motion, semantic = maps[METHOD], maps[MOTION_ONLY], maps[SEMANTIC_ONLY]
    return (ours != motion) | ((ours != semantic) & (semantic != VOID))


def both_fail(maps: Mapping[str, LabelMaps], truth: LabelMaps | None) -> Tensor:
    """Mark the pixels at which motion and semantics fail both.

    With truth these are the pixels of a class that no method labels with it. Without, those at which the
    segmenter is not sure, so that semantic-only is VOID, and warp-refine overrules the label that motion
    brought.

    Example:
        >>> import torch
        >>> other = torch.ones(1, 1, 1, dtype=torch.uint8)
        >>> void = torch.full_like(other, VOID)
        >>> maps = {"motion-only": 0 * other, "semantic-only": void, "warp-refine": other}
        >>> both_fail(maps, None).tolist(), both_fail(maps, other).tolist()
        ([[[True]]], [[[False]]])
    """
    ours, motion, semantic = maps[METHOD], maps[MOTION_ONLY], maps[SEMANTIC_ONLY]
    if truth is None:
        return (semantic == VOID) & (ours != motion)
    return (truth != VOID) & (ours != truth) & (motion != truth) & (semantic != truth)


def _lead(maps: Mapping[str, LabelMaps], truth: LabelMaps, *, class_count: int) -> float:
    ious = {
        method: float(confusion.mean_iou(confusion.count(labels, truth, class_count=class_count)))
        for method, labels in maps.items()
    }
    return ious[METHOD] - max(ious[method] for method in EARLIER)


def _share(mask: Tensor) -> float:
    return float(mask.float().mean())
