"""Divide large frames into tiles that overlap, so that what is computed of a frame fits into memory.

What is computed for each pixel from those beside it, as a vote or interpolated scores, is the same in tiles,
but for rounding. Networks use less of what is around a pixel: only frames too large for them are divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from warprefine.ops.resize import LARGEST_STRIDE, stride_of

MOST_PIXELS = 1 << 22
"""Larger frames are divided: 2048 x 1024 are not, 3384 x 2710 are."""
MOST_VALUES = 1 << 28
"""Numbers of all planes, such as one for each class: a gigabyte, of which a network needs several."""
SIDE = 2048
"""Longest side of a tile, without its overlap, in pixels."""
OVERLAP = 128
"""Pixels by which a tile extends beyond its part of the frame, a multiple of the stride of any network."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A part of a frame, and what lies around it.

    Attributes:
        size: Height and width of the frame.
        part: The first and last + 1 row, and the same of columns, of the part.
        around: The same with what lies around it.
    """

    size: tuple[int, int]
    part: tuple[tuple[int, int], tuple[int, int]]
    around: tuple[tuple[int, int], tuple[int, int]]

    def crop(self, values: Tensor) -> Tensor:
        """Return the tile of values (..., h / s, w / s) of the frame, with what lies around its part."""
        if self.part == self.around:  # the whole frame, with cells of any size
            return values
        (top, bottom), (left, right) = _cells(self.around, stride_of(values, self.size))
        return values[..., top:bottom, left:right]

    def paste(self, whole: Tensor, values: Tensor, stride: int) -> None:
        """Write the part of a tile's values into those of the whole frame."""
        (top, bottom), (left, right) = _cells(self.part, stride)
        (first_row, _), (first_column, _) = _cells(self.around, stride)
        rows = slice(top - first_row, bottom - first_row)
        columns = slice(left - first_column, right - first_column)
        whole[..., top:bottom, left:right] = values[..., rows, columns]


def tiles_of(size: tuple[int, int], *, planes: int = 1) -> list[Tile]:
    """Return the tiles of a frame of `size` = (h, w): one, the frame itself, where that is not too large.

    Args:
        size: Height and width of the frame.
        planes: How many numbers are computed for each pixel: with many classes tiles are smaller.

    Example:
        >>> len(tiles_of((1024, 2048))), len(tiles_of((1024, 2048), planes=151)), len(tiles_of((2710, 3384)))
        (1, 2, 4)
    """
    h, w = size
    most = min(MOST_PIXELS, MOST_VALUES // planes)
    if h * w <= most:
        whole = ((0, h), (0, w))
        return [Tile(size=size, part=whole, around=whole)]
    return [
        Tile(size=size, part=(rows, columns), around=(_around(rows, h), _around(columns, w)))
        for rows in _divided(h, most)
        for columns in _divided(w, most)
    ]


def in_tiles(
    size: tuple[int, int], compute: Callable[[Tile], Sequence[Tensor]], *, planes: int = 1
) -> list[Tensor]:
    """Return the values (..., h / s, w / s) of a frame that a function computes tile by tile.

    Args:
        size: Height and width of the frame.
        compute: Returns the values of a tile, at any strides.
        planes: As for `tiles_of`.

    Example:
        >>> import torch
        >>> frame = torch.arange(6.0).view(1, 1, 2, 3)
        >>> doubled, = in_tiles((2, 3), lambda tile: [2 * tile.crop(frame)])
        >>> torch.equal(doubled, 2 * frame)
        True
    """
    tiles = tiles_of(size, planes=planes)
    if len(tiles) == 1:
        return [*compute(tiles[0])]
    wholes: list[Tensor] = []
    for tile in tiles:
        computed = compute(tile)
        (top, bottom), (left, right) = tile.around
        strides = [stride_of(values, (bottom - top, right - left)) for values in computed]
        if not wholes:
            wholes = [
                values.new_empty((*values.shape[:-2], *(-(-pixels // stride) for pixels in size)))
                for values, stride in zip(computed, strides, strict=True)
            ]
        for whole, values, stride in zip(wholes, computed, strides, strict=True):
            tile.paste(whole, values, stride)
    return wholes


def _divided(pixels: int, most: int) -> list[tuple[int, int]]:
    """Return parts of a side, about equally long, that begin at whole cells of any stride."""
    count = -(-pixels // min(SIDE, math.isqrt(most)))
    step = -(-pixels // (count * LARGEST_STRIDE)) * LARGEST_STRIDE
    return [(first, min(first + step, pixels)) for first in range(0, pixels, step)]


def _around(part: tuple[int, int], pixels: int) -> tuple[int, int]:
    return max(part[0] - OVERLAP, 0), min(part[1] + OVERLAP, pixels)


def _cells(
    pixels: tuple[tuple[int, int], tuple[int, int]], stride: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the cells of a stride that hold pixels; the last one may extend beyond the frame."""
    (top, bottom), (left, right) = pixels
    return (top // stride, -(-bottom // stride)), (left // stride, -(-right // stride))
