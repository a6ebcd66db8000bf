"""Tests of ops/mixing.py: where motion is trusted, and what fills the rest."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from warprefine.core.tensors import VOID
from warprefine.ops.mixing import colour_distance, inpaint, mixing_mask
from warprefine.ops.warp import lands_inside

STILL = torch.zeros(1, 2, 1, 3)


def row(*colours: tuple[int, int, int]) -> torch.Tensor:
    """Return a picture of one row, (1, 3, 1, w)."""
    return torch.tensor(colours, dtype=torch.uint8).T[None, :, None]


def test_colour_distance_is_one_per_full_channel() -> None:
    """Images count from 0 to 1: one channel from 0 to 255 is a distance of 1, black to white sqrt(3)."""
    frame = row((0, 0, 0), (255, 0, 0), (255, 255, 255))

    distance = colour_distance(frame, row((0, 0, 0), (0, 0, 0), (0, 0, 0)).float())

    torch.testing.assert_close(distance[0, 0], torch.tensor([0, 1, math.sqrt(3)]))


def test_colour_distance_does_not_wrap_around() -> None:
    """A darker pixel is as far from a brighter one as the other way round, although colours are unsigned."""
    dark, bright = row((10, 20, 30)), row((40, 60, 30))

    assert colour_distance(dark, bright.float()).item() == pytest.approx(50 / 255)
    assert colour_distance(bright, dark.float()).item() == pytest.approx(50 / 255)


def test_motion_is_trusted_where_colours_agree() -> None:
    """A pixel is trusted if its colour is nearer than tau to the warped one; at tau it is not."""
    frame = row((100, 100, 100), (100, 100, 100), (100, 100, 100))
    warped = row((100, 100, 100), (151, 100, 100), (152, 100, 100)).float()

    assert mixing_mask(frame, warped, STILL, tau=0.2).flatten().tolist() == [True, False, False]
    assert mixing_mask(frame, warped, STILL, tau=0.201).flatten().tolist() == [True, True, False]


def test_motion_out_of_view_is_never_trusted() -> None:
    """What was outside the other frame has no label to bring, however well the border's colour fits."""
    frame = row((9, 9, 9), (9, 9, 9), (9, 9, 9))
    flow = STILL.clone()
    flow[0, 0, 0] = torch.tensor([-0.5, 0.0, float("nan")])

    assert mixing_mask(frame, frame.float(), flow, tau=2.0).flatten().tolist() == [False, True, False]


@given(tau=st.floats(0.01, 2), data=st.data())
def test_a_larger_tau_trusts_more(tau: float, data: st.DataObject) -> None:
    """The trusted pixels of a smaller tau are among those of a larger one, and all lie inside."""
    colours = st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=3, max_size=3)
    frame, warped = row(*data.draw(colours)), row(*data.draw(colours)).float()
    steps = data.draw(st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3))
    flow = torch.tensor([steps, [0, 0, 0]], dtype=torch.float32)[None, :, None]

    small, large = mixing_mask(frame, warped, flow, tau=tau / 2), mixing_mask(frame, warped, flow, tau=tau)

    assert not bool((small & ~large).any())
    assert not bool((large & ~lands_inside(flow)).any())


def test_untrusted_pixels_are_filled_by_the_segmenter() -> None:
    """Warped labels stay where motion is trusted, VOID too; the segmenter's stand everywhere else."""
    warped = torch.tensor([[[1, VOID, 2, VOID]]], dtype=torch.uint8)
    semantic = torch.tensor([[[5, 6, 7, 8]]], dtype=torch.uint8)
    trusted = torch.tensor([[[True, True, False, False]]])

    assert inpaint(warped, semantic, trusted).flatten().tolist() == [1, VOID, 7, 8]
