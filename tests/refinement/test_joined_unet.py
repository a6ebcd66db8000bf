"""Tests of the parts that small refiners share."""

import pytest
import torch
from torch.nn import functional

from warprefine.refinement.joined_unet import HalvedUNet, SquaresConv2d


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_squares_are_convolved_as_by_torch(layout: torch.memory_format) -> None:
    """The products of two rows are the convolution, and so are their gradients, in both layouts."""
    torch.manual_seed(0)
    convolution = SquaresConv2d(5, 7)
    x = torch.randn(2, 5, 6, 8).contiguous(memory_format=layout).requires_grad_()
    weight = convolution.weight
    expected = functional.conv2d(x, weight, stride=2)
    towards = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (x, weight), towards)

    y = convolution(x)

    torch.testing.assert_close(y, expected)
    for found, right in zip(torch.autograd.grad(y, (x, weight), towards), wanted, strict=True):
        torch.testing.assert_close(found, right)


def test_squares_compute_in_the_precision_asked_for() -> None:
    """Under autocast the convolution itself is taken."""
    with torch.autocast("cpu", torch.bfloat16):
        assert SquaresConv2d(5, 7)(torch.randn(1, 5, 4, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize("patch", [2, 4])
def test_frames_of_any_size_are_scored_pixel_by_pixel(patch: int) -> None:
    """Both first convolutions halve the frame, and the scores have its size."""
    network = HalvedUNet(5, 3, 2, widths=(4, 6, 8, 10), patch=patch).eval()

    assert network.repaired(torch.randn(1, 5, 21, 30), torch.randn(1, 2, 6, 8)).shape == (1, 3, 21, 30)
