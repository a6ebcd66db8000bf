"""Segment frames; look a segmentation network up by its name."""

from __future__ import annotations

from functools import partial

from warprefine.core.kinds import Kind
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.segmentation.dilated import DILATED, DilatedSegmenter
from warprefine.segmentation.hrnet import HRNETS
from warprefine.segmentation.huggingface import HuggingFaceSegmenter
from warprefine.segmentation.lite0 import Lite0Segmenter
from warprefine.segmentation.lite0_ocr import Lite0OCRSegmenter
from warprefine.segmentation.multiscale import MultiScaleSegmenter
from warprefine.segmentation.resnext import RESNETS
from warprefine.segmentation.timm_trunk import TimmSegmenter

SEGMENTERS: dict[str, Kind] = {
    "compact": Kind(make=CompactSegmenter, settings=("widths",)),
    "lite0": Kind(make=Lite0Segmenter, settings=("widths",)),
    "lite0-ocr": Kind(make=Lite0OCRSegmenter, settings=("widths",)),
    "timm": Kind(make=TimmSegmenter, settings=("source", "widths")),
    "huggingface": Kind(make=HuggingFaceSegmenter, settings=("source",)),
    **{
        f"hrnet-ocr-{name}": Kind(make=partial(MultiScaleSegmenter, size=size), settings=("scales",))
        for name, size in HRNETS.items()
    },
    **{
        f"{network}-{name}": Kind(make=partial(DilatedSegmenter, network=network, trunk=size))
        for network in DILATED
        for name, size in RESNETS.items()
    },
}
"""Each is made with the class count; it is a `Segmenter` with weights."""
