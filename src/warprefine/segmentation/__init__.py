"""Segment frames; look a segmentation network up by its name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from warprefine.segmentation.compact import CompactSegmenter

SEGMENTERS: dict[str, Callable[..., nn.Module]] = {"compact": CompactSegmenter}
"""Each is called with the class count and its `widths`; it returns a `Segmenter` with weights."""
