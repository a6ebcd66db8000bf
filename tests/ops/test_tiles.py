"""Tests of ops/tiles.py: large frames in parts, which come together again without a seam."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from warprefine.ops import tiles
from warprefine.ops.tiles import Tile, in_tiles, tiles_of


@pytest.fixture(scope="module", autouse=True)
def _small_tiles() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "MOST_PIXELS", 64 * 64)
        patch.setattr(tiles, "SIDE", 64)
        patch.setattr(tiles, "OVERLAP", 32)
        yield


@given(h=st.integers(1, 300), w=st.integers(1, 300))
def test_parts_cover_a_frame_once(h: int, w: int) -> None:
    """Every pixel is in the part of one tile, and no tile is larger than it may be."""
    covered = torch.zeros(h, w, dtype=torch.int)
    for tile in tiles_of((h, w)):
        (top, bottom), (left, right) = tile.part
        covered[top:bottom, left:right] += 1
        (first, last), (first_column, last_column) = tile.around
        assert h * w <= 64 * 64 or max(last - first, last_column - first_column) <= 64 + 2 * 32

    assert covered.unique().tolist() == [1]


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("size", [(64, 64), (65, 300), (200, 131)])
def test_values_at_any_stride_come_together_again(size: tuple[int, int], stride: int) -> None:
    """What is cut out of a frame and put back is as it was, the last, incomplete cells included."""
    h, w = (-(-pixels // stride) for pixels in size)
    values = torch.randn(2, 3, h, w)

    (again,) = in_tiles(size, lambda tile: [tile.crop(values)])

    assert torch.equal(again, values)


@pytest.mark.parametrize("size", [(64, 64), (150, 200), (131, 65)])
def test_what_needs_few_neighbours_is_the_same_in_tiles(size: tuple[int, int]) -> None:
    """An average over a square shows no seam between tiles."""

    def blurred(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, 31, stride=1, padding=15, count_include_pad=False)

    frame = torch.randn(1, 1, *size, dtype=torch.float64)

    (found,) = in_tiles(size, lambda tile: [blurred(tile.crop(frame))])

    torch.testing.assert_close(found, blurred(frame))


def test_many_classes_make_tiles_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What networks hold for each pixel grows with the classes."""
    monkeypatch.setattr(tiles, "MOST_VALUES", 64 * 64 * 20)

    assert len(tiles_of((64, 64), planes=20)) == 1
    assert len(tiles_of((64, 64), planes=80)) == 4
    assert {tile.part[0] for tile in tiles_of((64, 64), planes=80)} == {(0, 32), (32, 64)}


def test_a_frame_that_is_not_too_large_is_computed_whole() -> None:
    """Then cells may be of any size too."""
    given_tiles: list[Tile] = []

    def keep(tile: Tile) -> list[Tensor]:
        given_tiles.append(tile)
        return [tile.crop(torch.arange(7.0).view(1, 1, 1, 7))]

    (values,) = in_tiles((60, 60), keep)

    assert values.shape == (1, 1, 1, 7)
    assert [tile.around for tile in given_tiles] == [((0, 60), (0, 60))]
