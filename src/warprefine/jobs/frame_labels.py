"""The labels of one frame of a finished run, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from warprefine.core.stages import Stage
from warprefine.core.tensors import Confidence, LabelMaps


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameLabels:
    """The labels of one frame of a finished run.

    Attributes:
        frame: The frame's number.
        labels: Class positions or VOID, (1, h, w).
        confidence: Estimated probability that each label is right, (1, h, w); 1 on key frames.
        distance: Frames to the nearest key frame; 0 on key frames.
        key_frames: The key frames that the labels come from: the nearer side first, each from near to far;
            none where the segmenter alone labelled the frame.
        stage: The stage of the main job that computed them; None on key frames.
    """

    frame: int
    labels: LabelMaps
    confidence: Confidence
    distance: int
    key_frames: tuple[int, ...]
    stage: Stage | None = None
