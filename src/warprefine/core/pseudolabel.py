"""The result of propagation for one frame: labels, confidence and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from warprefine.core.stages import Stage
from warprefine.core.tensors import Confidence, LabelMaps


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a pseudo-label comes from.

    Attributes:
        method: The name of the propagation method.
        key_frames: All key frames whose labels were used: the nearer side first, each from near to far;
            none where the segmenter alone labelled the frame.
        distance: Frames to the nearest key frame.
        stage: The stage of the main job that computed them.
    """

    method: str
    key_frames: tuple[int, ...]
    distance: int
    stage: Stage = "good"


@dataclass(frozen=True, kw_only=True, eq=False)
class PseudoLabel:
    """Label map and confidence that a propagation method computed for one frame (b = 1), on any device.

    Attributes:
        frame: The frame's number.
        labels: Class positions, or VOID.
        confidence: Estimated probability per pixel that the label is right, 0 to 1.
        provenance: Where the labels come from.
        raw_confidence: The method's own confidence, where `confidence` is calibrated; else None.
    """

    frame: int
    labels: LabelMaps
    confidence: Confidence
    provenance: Provenance
    raw_confidence: Confidence | None = None

    def cpu(self) -> PseudoLabel:
        """Return the same on the CPU."""
        raw = self.raw_confidence
        return replace(
            self,
            labels=self.labels.cpu(),
            confidence=self.confidence.cpu(),
            raw_confidence=None if raw is None else raw.cpu(),
        )
