"""Tests of segmentation/lite0_ocr.py: a small network with object-contextual features."""

from __future__ import annotations

import pytest
import torch

from warprefine.core.protocols import Pretrained, Segmenter
from warprefine.segmentation.lite0 import Lite0Segmenter
from warprefine.segmentation.lite0_ocr import Lite0OCRSegmenter

WIDTHS = (4, 8, 8, 8, 8)


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1)])
def test_scores_and_features_come_at_stride_4(size: tuple[int, int]) -> None:
    """Frames of any size are segmented; outside of training there are no auxiliary logits."""
    network = Lite0OCRSegmenter(3, widths=WIDTHS).eval()
    cells = (-(-size[0] // 4), -(-size[1] // 4))

    with torch.inference_mode():
        output = network(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8))

    assert isinstance(network, Segmenter)
    assert isinstance(network, Pretrained)
    assert output.logits.shape == (2, 3, *cells)
    assert output.features.shape == (2, network.feature_channels, *cells)
    assert output.first_guess is None


def test_everything_that_is_there_is_trained() -> None:
    """Auxiliary logits are returned in training, and the losses of both reach every weight."""
    network = Lite0OCRSegmenter(3, widths=WIDTHS)

    output = network(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert output.first_guess is not None
    (output.logits.square().mean() + output.first_guess.square().mean()).backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_trunk_and_way_up_are_those_of_the_plain_network() -> None:
    """Both networks begin alike, so that the gain of object context can be measured."""
    plain, own = Lite0Segmenter(3, widths=WIDTHS), Lite0OCRSegmenter(3, widths=WIDTHS)
    shared = plain.state_dict().keys() & own.state_dict().keys()

    assert {name.split(".")[0] for name in shared} == {"trunk", "context", "up"}
    assert {name.split(".")[0] for name in own.state_dict().keys() - shared} == {"head"}
