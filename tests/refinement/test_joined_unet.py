"""Tests of the parts that small refiners share."""

import torch

from warprefine.refinement.joined_unet import HalvedUNet


def test_frames_of_any_size_are_scored_pixel_by_pixel() -> None:
    """The first convolution halves the frame, and the scores have its size."""
    network = HalvedUNet(5, 3, 2, widths=(4, 6, 8, 10)).eval()

    assert network.repaired(torch.randn(1, 5, 21, 30), torch.randn(1, 2, 6, 8)).shape == (1, 3, 21, 30)
