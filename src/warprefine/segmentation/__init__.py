"""Segment frames; look a segmentation network up by its name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from warprefine.segmentation.compact import CompactSegmenter
from warprefine.segmentation.lite0 import Lite0Segmenter

SEGMENTERS: dict[str, Callable[..., nn.Module]] = {"compact": CompactSegmenter, "lite0": Lite0Segmenter}
"""Each is called with the class count and its `widths`; it returns a `Segmenter` with weights."""
