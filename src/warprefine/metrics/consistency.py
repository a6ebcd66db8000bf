"""Temporal consistency: agreement of the labels of consecutive frames along optical flow.

The labels of a frame are compared with those of the previous frame, warped onto it (Liu et al., ECCV
2020). No truth is needed, and none is tested: labels that are wrong in the same way in every frame are
perfectly consistent, so read this beside mIoU and never instead of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np

from warprefine.core.classes import ClassSet
from warprefine.core.tensors import VOID, Flow, LabelMaps, Masks, size_of
from warprefine.core.video import Video
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.io.run import RunFolder
from warprefine.metrics import confusion
from warprefine.metrics.confusion import Confusion
from warprefine.motion.dis import SMALLEST_SIDE, DISFlow, Preset
from warprefine.ops.label_vote import warp_labels
from warprefine.ops.warp import backward_warp, lands_inside

_MOTION: Preset = "fast"  # two flows per frame, used for nothing but comparing labels
_WARPING = Lock()
"""Held while a compiled loop runs on all threads: where numba has no OpenMP, two at once end the process."""


def count_agreement(
    labels_a: LabelMaps, labels_b: LabelMaps, *, flow_ba: Flow, occluded_b: Masks, class_count: int
) -> Confusion:
    """Count the pixels of b by the class warped from a (row) and the class of b (column).

    Pixels that are occluded or VOID in either map are not counted, so the row and column of VOID are
    empty: `mean_iou` of the matrix is the temporal consistency, `pixel_accuracy` the share of pixels
    that agree.

    Args:
        occluded_b: Which pixels of b cannot be found in a, see `occluded`.

    Example:
        >>> import torch
        >>> labels_a, labels_b = torch.tensor([[[0, 1, 1]], [[0, 0, 1]]], dtype=torch.uint8).split(1)
        >>> still, visible = torch.zeros(1, 2, 1, 3), torch.zeros(1, 1, 3, dtype=torch.bool)
        >>> count_agreement(labels_a, labels_b, flow_ba=still, occluded_b=visible, class_count=2).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    """
    with _WARPING:
        warped = warp_labels(labels_a, flow_ba).masked_fill(occluded_b, VOID)
    void = (warped == VOID) | (labels_b == VOID)
    pairs = labels_b.masked_fill(void, VOID), warped.masked_fill(void, VOID)
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

    Example:
        >>> import torch
        >>> flow_ba = torch.tensor([-1.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3)  # from the left
        >>> occluded(flow_ba, -flow_ba)[0, 0].tolist()
        [True, False, False]
    """
    flow_back = backward_warp(flow_ab, flow_ba)
    difference = (flow_ba + flow_back).square().sum(dim=1)
    motion = flow_ba.square().sum(dim=1) + flow_back.square().sum(dim=1)
    return (difference >= relative * motion + absolute) | ~lands_inside(flow_ba)


def count_walk_agreement(
    run: RunFolder, classes: ClassSet, *, methods: Sequence[str], video: Video, walk: Sequence[int]
) -> dict[str, Confusion]:
    """Sum the agreement of each method's labels over the steps of a walk through a video.

    All methods are compared along the same flow. A step is skipped if a method has no labels at one of
    its ends, as the oracle where there is no truth, or if the frames are too small for optical flow.

    Args:
        run: The run folder.
        classes: The classes.
        methods: The methods that labelled the video.
        video: The video.
        walk: Frames of it, each beside the one before; a key frame has the labels of its author.

    Raises:
        FrameError: A frame cannot be read.
        LabelError: A label map is damaged.
    """
    size = len(classes) + 1
    totals = {method: np.zeros((size, size), np.int64) for method in methods}
    motion = DISFlow(_MOTION)
    with open_frames(video) as frames:
        frame_a = frames[walk[0]]
        if min(size_of(frame_a)) < SMALLEST_SIDE:
            return totals
        labels_a = _labels_of(run, classes, methods=methods, video=video, frame=walk[0])
        for b in walk[1:]:
            frame_b = frames[b]
            labels_b = _labels_of(run, classes, methods=methods, video=video, frame=b)
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
    return totals


def _labels_of(
    run: RunFolder, classes: ClassSet, *, methods: Sequence[str], video: Video, frame: int
) -> dict[str, LabelMaps]:
    """Return the labels of a frame by method, without those of methods that have none."""
    if frame in video.labels:
        return dict.fromkeys(methods, read_labels(video.labels[frame], classes))
    paths = {method: run.labels_path(method, video.name, video.stems[frame]) for method in methods}
    return {method: read_labels(path, classes) for method, path in paths.items() if path.exists()}
