"""Hold what the propagation makes of one frame: a label map, how sure it is, where it came from."""

from __future__ import annotations

from dataclasses import dataclass

from warprefine.core.tensors import Confidence, LabelMaps


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Say which key frames a pseudo-label came from.

    `key_frames` has one entry today; fusing several key frames adds more. `distance` is the number
    of frames to the nearest of them; `method` the name of the propagation method.
    """

    method: str
    key_frames: tuple[int, ...]
    distance: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PseudoLabel:
    """A label map made by the propagation, one frame (b = 1).

    `confidence` is in 0..1 per pixel: the estimated probability that the label is right.
    """

    labels: LabelMaps
    confidence: Confidence
    provenance: Provenance
