"""Augmentation of samples of several images: one random window of all, one colour jitter for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import Frames, size_of
from warprefine.ops.resize import stride_of
from warprefine.training.data.sampling import Centroid

GRID = 16
"""Windows start and end at multiples of this, in pixels, to suit segmenter outputs of any stride up to it."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of frames of `size` = (h, w), mirrored or not.

    `top`, `left` and `shape` = (height, width) are in pixels, multiples of GRID, unless the frame is smaller.

    Example:
        >>> window = Window(size=(32, 48), top=16, left=0, shape=(16, 32), mirrored=True)
        >>> window.cut(torch.zeros(1, 3, 32, 48)).shape, window.cut(torch.zeros(1, 64, 8, 12)).shape
        (torch.Size([1, 3, 16, 32]), torch.Size([1, 64, 4, 8]))
    """

    size: tuple[int, int]
    top: int
    left: int
    shape: tuple[int, int]
    mirrored: bool

    @classmethod
    def drawn(
        cls,
        size: tuple[int, int],
        crop: tuple[int, int],
        rng: np.random.Generator,
        *,
        around: Centroid | None = None,
    ) -> Window:
        """Draw a window of shape `crop`, or as much of it as fits; half of the windows are mirrored.

        A side of a frame that is shorter than GRID is kept whole.

        Args:
            around: A point that the window contains; the rest of a frame beyond its last whole cell of GRID
                pixels is in no window, so the last window stands for it.
        """
        height, width = (
            min(wanted, have // GRID * GRID or have) for wanted, have in zip(crop, size, strict=True)
        )
        top, left = (
            GRID * int(rng.integers(*_cells(have - length, length, at)))
            for have, length, at in zip(
                size, (height, width), (None, None) if around is None else (around.y, around.x), strict=True
            )
        )
        mirrored = bool(rng.random() < 0.5)
        return cls(size=size, top=top, left=left, shape=(height, width), mirrored=mirrored)

    def cut(self, values: Tensor) -> Tensor:
        """Cut the window out of values (..., h / s, w / s) at any stride s that divides GRID."""
        stride = stride_of(values, self.size)
        rows, columns = (
            # A frame smaller than GRID is taken whole, with a last cell that extends beyond it.
            slice(first // stride, (first + length) // stride if length >= GRID else None)
            for first, length in zip((self.top, self.left), self.shape, strict=True)
        )
        window = values[..., rows, columns]
        return window.flip(-1) if self.mirrored else window


def extended(values: Tensor, size: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Extend values of a crop of `size` to a crop of `wanted` (h, w), by reflection at its lower right edges.

    Values (..., h / s, w / s) may have any stride s; those of a crop of the wanted size are returned as they
    are. The pixels at an edge are repeated, so that cells of any stride are reflected alike.

    Example:
        >>> extended(torch.tensor([[1, 2, 3]]), (1, 3), (1, 8))
        tensor([[1, 2, 3, 3, 2, 1, 1, 2]])
    """
    if size == wanted:
        return values
    stride = stride_of(values, size)
    rows, columns = (
        _reflected(have, -(-length // stride)) for have, length in zip(size_of(values), wanted, strict=True)
    )
    return values[..., rows[:, None], columns]


def zoomed(values: Tensor, size: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Resize values of a crop of `size` to one of `wanted` (h, w), bilinearly; label maps by nearest pixel.

    Values (..., h / s, w / s) may have any stride s; those of a crop of the wanted size are returned as they
    are. Images are uint8 (b, c, h, w), label maps uint8 (b, h, w), anything else holds floats.

    Example:
        >>> zoomed(torch.tensor([[[0, 255]]], dtype=torch.uint8), (1, 2), (1, 4))
        tensor([[[  0,   0, 255, 255]]], dtype=torch.uint8)
    """
    if size == wanted:
        return values
    stride = stride_of(values, size)
    cells = (-(-wanted[0] // stride), -(-wanted[1] // stride))
    if values.dtype == torch.uint8 and values.dim() == 3:
        return functional.interpolate(values[:, None], size=cells, mode="nearest-exact")[:, 0]
    # Where a crop shrinks, every pixel of it counts, as in the segmenter's own augmentation.
    resized = functional.interpolate(
        values.float(), size=cells, mode="bilinear", align_corners=False, antialias=True
    )
    return resized.round().to(values.dtype) if values.dtype == torch.uint8 else resized.to(values.dtype)


def _cells(slack: int, length: int, at: int | None) -> tuple[int, int]:
    """Return the first cell that a window of `length` may start in, and the one after the last.

    Args:
        slack: Pixels of the frame's side beyond the window.
        length: Pixels of the window.
        at: A pixel that the window contains; None for any.
    """
    last = slack // GRID
    if at is None:
        return 0, last + 1
    first = min(max(-(-(at - length + 1) // GRID), 0), last)
    return first, max(min(at // GRID, last), first) + 1


def _reflected(length: int, wanted: int) -> Tensor:
    """Return the source of each of `wanted` positions along a line of `length` between two mirrors."""
    position = torch.arange(wanted) % (2 * length)
    return torch.minimum(position, 2 * length - 1 - position)


def jitter(images: Sequence[Frames], amount: float, rng: np.random.Generator) -> list[Frames]:
    """Jitter brightness and colour balance by up to the share `amount`, in the same way in all images.

    Args:
        images: One frame each (b = 1).
    """
    gain = 1 + amount * rng.uniform(-1, 1, 3)
    tables = (
        (np.arange(256)[:, None] * gain * (1 + amount * rng.uniform(-1, 1))).clip(0, 255).astype(np.uint8)
    )
    jittered = []
    for image in images:
        channels = [cv2.LUT(image[0, i].contiguous().numpy(), tables[:, i]) for i in range(3)]
        jittered.append(torch.from_numpy(np.stack(channels))[None])
    return jittered
