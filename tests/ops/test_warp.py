"""Tests of ops/warp.py: where flow points, where pixels lie, and what happens at the border."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from warprefine.ops.warp import backward_warp, lands_inside, source_points


def shift(*, x: float, y: float, h: int, w: int) -> torch.Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


def ramp(h: int, w: int) -> torch.Tensor:
    """Return an image whose two channels are the x and the y of each pixel, (1, 2, h, w)."""
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([x, y]).float()[None]


def test_convention_flow_ba_lives_on_b_and_points_into_a() -> None:
    """A dot that moves right by 2 and down by 1 has flow_ba = (-2, -1), and is warped right and down."""
    frame_a = torch.zeros(1, 1, 4, 6)
    frame_a[0, 0, 1, 1] = 9

    frame_b = backward_warp(frame_a, shift(x=-2, y=-1, h=4, w=6))

    assert frame_b[0, 0].round().tolist()[2] == [0, 0, 0, 9, 0, 0]


def test_convention_x_comes_before_y() -> None:
    """The first channel of flow counts columns, the second rows."""
    x, y = source_points(shift(x=3, y=-5, h=2, w=4))

    assert x[0].tolist() == [[3, 4, 5, 6]] * 2
    assert y[0].tolist() == [[-5] * 4, [-4] * 4]


def test_convention_pixel_centres_are_whole_numbers() -> None:
    """Half a pixel to the right lies the mean of two pixels, and the last centre is at w - 1."""
    row = torch.tensor([[[[0.0, 10.0, 20.0]]]])

    assert backward_warp(row, shift(x=0.5, y=0, h=1, w=3)).flatten().tolist() == [5, 15, 20]
    assert lands_inside(shift(x=0.5, y=0, h=1, w=3)).flatten().tolist() == [True, True, False]


def test_convention_a_picture_reaches_from_its_first_centre_to_its_last() -> None:
    """The centres of the border pixels are inside; the smallest step beyond them is not."""
    h, w = 3, 4
    exactly = shift(x=0, y=0, h=h, w=w)
    beyond = exactly.clone()
    beyond[:, 0, :, 0], beyond[:, 0, :, -1] = -1e-6, 1e-6

    assert bool(lands_inside(exactly).all())
    assert lands_inside(beyond)[0, 0].tolist() == [False, True, True, False]
    assert not bool(lands_inside(shift(x=0, y=2.001, h=h, w=w))[0, 1:].any())


def test_no_number_is_not_inside() -> None:
    """A flow that is not a number leads nowhere."""
    assert not bool(lands_inside(shift(x=float("nan"), y=0, h=2, w=2)).any())
    assert not bool(lands_inside(shift(x=0, y=float("nan"), h=2, w=2)).any())


def test_beyond_the_border_lies_the_border() -> None:
    """Whatever is looked up outside the picture has the value of the nearest pixel inside."""
    warped = backward_warp(ramp(3, 5), shift(x=100, y=-100, h=3, w=5))

    assert warped[0, 0].unique().tolist() == [4]
    assert warped[0, 1].unique().tolist() == [0]


def test_a_picture_of_one_pixel_can_be_warped() -> None:
    """The smallest picture there is has no width to divide by."""
    assert backward_warp(torch.full((1, 1, 1, 1), 7.0), shift(x=0.25, y=0, h=1, w=1)).item() == 7


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    x=st.floats(-50, 50, width=32),
    y=st.floats(-50, 50, width=32),
)
def test_looking_up_coordinates_gives_the_source_points(size: tuple[int, int], x: float, y: float) -> None:
    """In an image of its own coordinates every pixel finds its source point, cut off at the border."""
    h, w = size
    flow = shift(x=x, y=y, h=h, w=w)

    found = backward_warp(ramp(h, w), flow)

    source_x, source_y = source_points(flow)
    wanted = torch.stack((source_x.clamp(0, w - 1), source_y.clamp(0, h - 1)), dim=1)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
