"""Tests of ops/trajectories.py: how flows are composed, and what opposite flows agree on."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from warprefine.ops.trajectories import agreement, compose, forward_backward_error
from warprefine.ops.warp import backward_warp


def shift(*, x: float, y: float, h: int = 6, w: int = 8) -> torch.Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


def test_convention_inner_letters_meet() -> None:
    """Along flow_cb the second flow is looked up where the first one ends, on b, not where it began."""
    flow_ba = torch.zeros(1, 2, 6, 8)
    flow_ba[:, 0, :, 4:] = 2  # only the right half of b comes from elsewhere

    flow_ca = compose(shift(x=3, y=0), flow_ba)

    torch.testing.assert_close(flow_ca[0, 0, 0], torch.tensor([3.0, 5, 5, 5, 5, 5, 5, 5]))


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-3, 3), st.floats(-2, 2))
def test_shifts_add_up(x: float, y: float, u: float, v: float) -> None:
    """Two shifts after one another are one shift by their sum, at the border too."""
    joined = compose(shift(x=x, y=y), shift(x=u, y=v))

    torch.testing.assert_close(joined, shift(x=x + u, y=y + v))


def test_warping_along_a_joined_flow_is_warping_twice() -> None:
    """For whole pixels, inside the picture, one warp along the joined flow gives what two warps give."""
    picture = torch.rand(1, 3, 12, 16)
    flow_cb, flow_ba = shift(x=2, y=1, h=12, w=16), shift(x=-1, y=2, h=12, w=16)

    once = backward_warp(picture, compose(flow_cb, flow_ba))
    twice = backward_warp(backward_warp(picture, flow_ba), flow_cb)

    torch.testing.assert_close(once[..., 3:-4, 3:-4], twice[..., 3:-4, 3:-4])


def test_a_journey_there_and_back_ends_where_it_began() -> None:
    """Opposite shifts cancel; the error is what is left of them, in pixels."""
    assert float(forward_backward_error(shift(x=2, y=1), shift(x=-2, y=-1)).max()) == 0
    error = forward_backward_error(shift(x=2, y=1), shift(x=-5, y=-5))
    torch.testing.assert_close(error, torch.full((1, 6, 8), 5.0))


@pytest.mark.parametrize(("slack", "expected"), [(1.0, math.exp(-0.5)), (2.0, math.exp(-0.125))])
def test_agreement_falls_with_the_error(slack: float, expected: float) -> None:
    """One pixel of error is worth exp(-1/2) at a slack of one pixel, and more at two."""
    agreed = agreement(shift(x=-1, y=0), shift(x=2, y=0), slack=slack)

    torch.testing.assert_close(agreed[:, :, 1:], torch.full((1, 6, 7), expected))


def test_nobody_agrees_about_what_was_out_of_view() -> None:
    """A pixel whose source lies outside gets 0, even where both flows are the same everywhere."""
    agreed = agreement(shift(x=-1, y=0), shift(x=1, y=0), slack=1.0)

    assert agreed[0, :, 0].tolist() == [0] * 6
    assert agreed[0, :, 1:].min() == 1
