"""Tests of training/data/crops.py: windows of frames of any size, and crops made larger."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warprefine.training.data.crops import Window, extended


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    stride=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 2**32),
)
def test_a_tiny_frame_is_cut_as_far_as_it_goes(size: tuple[int, int], stride: int, seed: int) -> None:
    """A side too short for a cell of 16 pixels is kept whole, in maps of every stride."""
    window = Window.drawn(size, (32, 32), np.random.default_rng(seed))

    cut = window.cut(torch.zeros(1, *(-(-side // stride) for side in size)))

    kept = [min(32, side // 16 * 16) or side for side in size]
    assert list(window.shape) == kept
    assert list(cut.shape[1:]) == [-(-side // stride) for side in kept]


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_beyond_an_edge_a_crop_is_reflected_at_every_stride(stride: int) -> None:
    """Maps of every stride are reflected at the same pixel, over and over where much is missing."""
    pixels = torch.arange(16 * 32).view(16, 32)
    wanted = torch.cat([torch.cat([pixels, pixels.flip(-1)], dim=-1)] * 2, dim=-1)[:, :112]
    wanted = torch.cat([wanted, wanted.flip(-2)])

    cells = pixels.view(16 // stride, stride, 32 // stride, stride).float().mean(dim=(1, 3))
    larger = extended(cells, (16, 32), (32, 112))

    expected = wanted.view(32 // stride, stride, 112 // stride, stride).float().mean(dim=(1, 3))
    assert torch.equal(larger, expected)


def test_a_crop_that_is_large_enough_is_left_alone() -> None:
    """Where all frames are as large as the crop, nothing is computed or copied."""
    values = torch.zeros(1, 3, 32, 48)

    assert extended(values, (32, 48), (32, 48)) is values
