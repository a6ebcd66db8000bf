"""Tests of ops/resize.py: scores of a coarser grid laid over the pixels they speak of."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from warprefine.ops.resize import pad_to_multiple, stride_of, to_size


def cell_centres(h: int, w: int, stride: int) -> torch.Tensor:
    """Return the x and y, in pixels, of the middle of each cell of a grid, (1, 2, h, w)."""
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([x, y])[None].double() * stride + (stride - 1) / 2


@settings(max_examples=40)
@given(size=st.tuples(st.integers(1, 90), st.integers(64, 90)), stride=st.sampled_from([2, 4, 8]))
def test_every_score_stays_where_its_cell_is(size: tuple[int, int], stride: int) -> None:
    """Scores that tell where their cell lies tell each pixel where it lies, whole cells or not."""
    h, w = size
    rows, columns = -(-h // stride), -(-w // stride)
    inside = stride // 2  # half a cell from the border there is nothing to interpolate

    cells = cell_centres(rows, columns, stride)
    raised = to_size(cells, size)

    assert stride_of(cells, size) == stride
    assert raised.shape == (1, 2, h, w)
    x = raised[0, 0, :, inside : columns * stride - inside]
    y = raised[0, 1, inside : rows * stride - inside]
    torch.testing.assert_close(x, torch.arange(w).double()[inside : columns * stride - inside].expand_as(x))
    wanted = torch.arange(h).double()[inside : rows * stride - inside, None]
    torch.testing.assert_close(y, wanted.expand_as(y))


def test_a_last_cell_over_the_edge_is_cut_off() -> None:
    """361 rows make 181 cells at stride 2; the 362nd row of pixels is dropped, nothing is squeezed."""
    scores = torch.randn(1, 3, 181, 240)

    raised = to_size(scores, (361, 480))

    whole = functional.interpolate(scores, size=(362, 480), mode="bilinear", align_corners=False)
    torch.testing.assert_close(raised, whole[:, :, :361])


def test_whole_cells_are_plain_interpolation() -> None:
    """Where cells fill the frame exactly, resizing is bilinear interpolation between their middles."""
    scores = torch.randn(2, 3, 6, 9)

    wanted = functional.interpolate(scores, size=(24, 36), mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_size(scores, (24, 36)), wanted)


@pytest.mark.parametrize("size", [(7, 30), (5, 5), (14, 19)])
def test_scores_that_are_no_grid_of_the_frame_are_stretched(size: tuple[int, int]) -> None:
    """Scores of another aspect, or larger than the frame, are laid over all of it."""
    scores = torch.randn(1, 2, 6, 9)

    wanted = functional.interpolate(scores, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(to_size(scores, size), wanted)


def test_scores_of_the_right_size_are_left_alone() -> None:
    """Nothing is computed where nothing is to be done."""
    scores = torch.randn(1, 2, 6, 9)

    assert to_size(scores, (6, 9)) is scores


@settings(max_examples=40)
@given(h=st.integers(1, 40), w=st.integers(1, 40), multiple=st.integers(1, 33))
def test_padding_repeats_the_last_row_and_column(h: int, w: int, multiple: int) -> None:
    """A padded picture can be halved, holds the picture at its top left, and adds no new colours."""
    picture = torch.arange(h * w, dtype=torch.float32).view(1, 1, h, w)

    padded = pad_to_multiple(picture, multiple)

    assert all(side % multiple == 0 for side in padded.shape[-2:])
    assert max(padded.shape[-2] - h, padded.shape[-1] - w) < multiple
    rows, columns = torch.arange(padded.shape[-2]).clamp(max=h - 1), torch.arange(padded.shape[-1])
    assert torch.equal(padded[0, 0], picture[0, 0][rows][:, columns.clamp(max=w - 1)])


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 32])
@given(h=st.integers(1, 200), w=st.integers(1, 200))
def test_cells_cover_the_frame_with_the_stride_that_is_told(stride: int, h: int, w: int) -> None:
    """From the number of cells follows a stride that gives this very number."""
    cells = (-(-h // stride), -(-w // stride))

    found = stride_of(torch.zeros(1, 1, *cells), (h, w))

    assert (-(-h // found), -(-w // found)) == cells
    assert found <= stride


def test_coarse_cells_of_small_frames_are_not_mistaken() -> None:
    """70 x 90 pixels in 5 x 6 cells are cells of 16 pixels, not of 15."""
    assert stride_of(torch.zeros(1, 1, 5, 6), (70, 90)) == 16
