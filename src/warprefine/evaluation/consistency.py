"""Score how steady labels are over time: labels that flicker are a nuisance even where each is plausible.

The labels of a frame are compared with those of the frame before, warped onto it (temporal consistency,
Liu et al., ECCV 2020). No truth is needed, and none is tested: labels that are wrong in the same way
everywhere are perfectly steady, so this is to be read beside mIoU and never instead of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warprefine.core.classes import ClassSet
from warprefine.core.protocols import MotionEstimator
from warprefine.core.tensors import VOID, Flow, LabelMaps, Masks
from warprefine.core.video import Dataset, Video
from warprefine.evaluation import confusion
from warprefine.evaluation.confusion import Confusion
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.motion.dis import SMALLEST_SIDE, DISFlow, Preset
from warprefine.ops.label_vote import warp_labels
from warprefine.ops.warp import backward_warp, lands_inside
from warprefine.propagation.schedule import Unit, plan

_MOTION: Preset = "fast"  # every frame needs two flows, and only labels that agree or not hang on them


def count_agreement(
    labels_a: LabelMaps, labels_b: LabelMaps, *, flow_ba: Flow, occluded_b: Masks, class_count: int
) -> Confusion:
    """Count the pixels of b by the class that comes from a (row) and the one that b has (column).

    Pixels that are occluded or VOID in either map do not count, so that the row and column of VOID are
    empty: `confusion.mean_iou` of this is the temporal consistency, `confusion.pixel_accuracy` the
    share of pixels that agree.

    Args:
        occluded_b: Which pixels of b cannot be found in a, see `occluded`.
    """
    carried = warp_labels(labels_a, flow_ba).masked_fill(occluded_b, VOID)
    void = (carried == VOID) | (labels_b == VOID)
    pairs = labels_b.masked_fill(void, VOID), carried.masked_fill(void, VOID)
    matrix = confusion.count(*pairs, class_count=class_count)
    matrix[-1, -1] = 0
    return matrix


def occluded(flow_ba: Flow, flow_ab: Flow, *, relative: float = 0.01, absolute: float = 0.5) -> Masks:
    """Mark the pixels of b that cannot be found in a.

    A pixel p is occluded when, with p' = p + flow_ba[p],

        |flow_ba[p] + flow_ab[p']|² ≥ relative · (|flow_ba[p]|² + |flow_ab[p']|²) + absolute,

    or when p' lies outside a. The test and its constants are those of Sundaram, Brox and Keutzer
    (ECCV 2010).

    Args:
        relative: Slack that grows with the squared motion; no unit.
        absolute: Slack at rest, in squared pixels.
    """
    way_back = backward_warp(flow_ab, flow_ba)
    miss = (flow_ba + way_back).square().sum(dim=1)
    travelled = flow_ba.square().sum(dim=1) + way_back.square().sum(dim=1)
    return (miss >= relative * travelled + absolute) | ~lands_inside(flow_ba)


def measure_agreement(
    run: RunFolder, dataset: Dataset, *, methods: Sequence[str], horizon: int
) -> dict[str, Confusion]:
    """Count the agreement of each method's labels along every walk from a key frame, its own labels first.

    All methods are compared along the same flow. A step is passed over if a method has no labels at one
    of its ends, as the oracle where there is no truth, or if the frames are too small for optical flow.

    Raises:
        FrameError: A frame cannot be read.
        LabelError: A label map is damaged.
    """
    size = len(dataset.classes) + 1
    totals = {method: np.zeros((size, size), np.int64) for method in methods}
    motion = DISFlow(_MOTION)
    for video in dataset.videos:
        with open_frames(video) as frames:
            for unit in plan(video, horizon):
                _add_walk(totals, run, dataset.classes, video=video, unit=unit, frames=frames, motion=motion)
    return totals


def _add_walk(
    totals: dict[str, Confusion],
    run: RunFolder,
    classes: ClassSet,
    *,
    video: Video,
    unit: Unit,
    frames: FrameSource,
    motion: MotionEstimator,
) -> None:
    """Add the agreement of each method's labels along one walk to its total."""
    frame_a = frames[unit.key_frame]
    if min(frame_a.shape[-2:]) < SMALLEST_SIDE:
        return
    labels_a = dict.fromkeys(totals, read_labels(video.labels[unit.key_frame], classes))
    for b in unit.frames:
        frame_b = frames[b]
        paths = {method: run.labels_path(method, video.name, video.stems[b]) for method in totals}
        labels_b = {method: read_labels(path, classes) for method, path in paths.items() if path.exists()}
        comparable = labels_a.keys() & labels_b.keys()
        if comparable:
            flow_ba = motion(frame_b, frame_a)
            occluded_b = occluded(flow_ba, motion(frame_a, frame_b))
        for method in comparable:
            totals[method] += count_agreement(
                labels_a[method],
                labels_b[method],
                flow_ba=flow_ba,
                occluded_b=occluded_b,
                class_count=len(classes),
            )
        frame_a, labels_a = frame_b, labels_b
