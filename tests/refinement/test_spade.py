"""Tests of refinement/spade.py: norms that a label map steers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from warprefine.refinement.spade import SpadeNorm

CHANNELS, PLANES, HIDDEN = 4, 3, 5


def spade(norm: nn.Module) -> SpadeNorm:
    return SpadeNorm(norm, channels=CHANNELS, map_channels=PLANES, hidden=HIDDEN)


def one_hot(labels: Tensor) -> Tensor:
    return nn.functional.one_hot(labels, PLANES).permute(0, 3, 1, 2).float()


def convolved(values: Tensor, conv: nn.Conv2d) -> Tensor:
    """Correlate with a 3 x 3 kernel on a border of zeros, one product after the other."""
    h, w = values.shape[-2:]
    bordered = torch.zeros(values.shape[0], values.shape[1], h + 2, w + 2, dtype=values.dtype)
    bordered[..., 1:-1, 1:-1] = values
    result = torch.as_tensor(conv.bias).view(1, -1, 1, 1)
    for i in range(3):
        for j in range(3):
            part = bordered[:, :, i : i + h, j : j + w]
            result = result + torch.einsum("bkhw,ck->bchw", part, conv.weight[:, :, i, j])
    return result


@pytest.mark.parametrize(
    ("norm", "pooled"),
    [
        pytest.param(nn.InstanceNorm2d(CHANNELS), (2, 3), id="instance"),
        pytest.param(nn.BatchNorm2d(CHANNELS, affine=False), (0, 2, 3), id="batch"),
    ],
)
def test_it_is_the_formula_of_the_paper(norm: nn.Module, pooled: tuple[int, ...]) -> None:
    """Features are set to mean 0 and variance 1, then scaled by 1 + γ and shifted by β of the labels."""
    layer = spade(norm).double()
    x = torch.randn(2, CHANNELS, 6, 8, dtype=torch.float64) * 5 + 3
    labels = torch.randint(0, PLANES, (2, 6, 8))

    mean, variance = x.mean(pooled, keepdim=True), x.var(pooled, keepdim=True, correction=0)
    hidden = convolved(one_hot(labels).double(), layer.shared).clamp(min=0)
    gamma, beta = convolved(hidden, layer.scale), convolved(hidden, layer.shift)
    expected = (x - mean) / (variance + 1e-5).sqrt() * (1 + gamma) + beta
    torch.testing.assert_close(layer(x, one_hot(labels).double()), expected)


def test_convention_a_cell_is_steered_by_its_first_pixel() -> None:
    """A label map four times as large counts where cells begin, and nowhere else."""
    layer = spade(nn.InstanceNorm2d(CHANNELS))
    x = torch.randn(1, CHANNELS, 4, 5)
    coarse = torch.randint(0, PLANES, (1, 4, 5))
    fine = torch.randint(0, PLANES, (1, 16, 20))
    fine[:, ::4, ::4] = coarse

    assert torch.equal(layer(x, one_hot(fine)), layer(x, one_hot(coarse)))


def test_one_label_all_over_the_picture_is_not_lost() -> None:
    """Features that are the same everywhere leave a norm as zeros; the labels' own share remains."""
    layer = spade(nn.InstanceNorm2d(CHANNELS))
    flat = torch.ones(1, CHANNELS, 4, 4)

    assert not layer.norm(flat).any()
    road, sky = (layer(flat, one_hot(torch.full((1, 4, 4), label))) for label in (0, 1))
    assert (road - sky).abs().amax() > 0.01
