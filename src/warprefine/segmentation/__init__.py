"""Segmentation networks by name.

Example:
    >>> SEGMENTERS["compact"].make(19).class_count
    19
"""

from __future__ import annotations

from functools import partial

from warprefine.core.network_spec import NetworkSpec
from warprefine.core.protocols import Segmenter
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.segmentation.dilated import DILATED, DilatedSegmenter
from warprefine.segmentation.frozen import FrozenLite0Segmenter
from warprefine.segmentation.hrnet import HRNETS
from warprefine.segmentation.huggingface import HuggingFaceSegmenter
from warprefine.segmentation.lite0 import Lite0Segmenter
from warprefine.segmentation.lite0_ocr import Lite0OCRSegmenter
from warprefine.segmentation.multiscale import MultiScaleSegmenter
from warprefine.segmentation.resnext import RESNETS
from warprefine.segmentation.timm_trunk import TimmSegmenter

SEGMENTERS: dict[str, NetworkSpec[Segmenter]] = {
    "compact": NetworkSpec(make=CompactSegmenter, settings=("widths",)),
    "lite0": NetworkSpec(make=Lite0Segmenter, settings=("widths",)),
    "lite0-frozen": NetworkSpec(make=FrozenLite0Segmenter),
    "lite0-ocr": NetworkSpec(make=Lite0OCRSegmenter, settings=("widths",)),
    "timm": NetworkSpec(make=TimmSegmenter, settings=("source", "widths")),
    "huggingface": NetworkSpec(make=HuggingFaceSegmenter, settings=("source",), takes_names=True),
    **{
        f"hrnet-ocr-{name}": NetworkSpec(
            make=partial(MultiScaleSegmenter, size=size), settings=("scales",), imported=True
        )
        for name, size in HRNETS.items()
    },
    **{
        f"{network}-{name}": NetworkSpec(
            make=partial(DilatedSegmenter, network=network, trunk=size), imported=True
        )
        for network in DILATED
        for name, size in RESNETS.items()
    },
}
"""Segmentation networks by the name that recipes use; each is built with the class count.

compact: residual U-Net with dense convolutions, trained from scratch on CPU cores.
lite0: U-Net decoder on EfficientNet-Lite0, which may start from ImageNet weights.
lite0-frozen: a light head on the same trunk, which stays as it is and is computed once for each picture.
lite0-ocr: lite0 with an OCR head at stride 4.
timm: U-Net decoder on any network of `timm` with features at strides 4 to 32.
huggingface: any network of `transformers` that scores pixels or classifies masks.
hrnet-ocr-w18-small, -w18, -w32, -w48: HRNetV2 trunk, OCR head and attention over scales (Tao et al. 2020).
ocrnet-, deeplabv3- or deeplabv3plus- and resnet50, resnext50 or seresnext50: OCRNet, DeepLabV3 or
    DeepLabV3+ on a dilated trunk.
"""
