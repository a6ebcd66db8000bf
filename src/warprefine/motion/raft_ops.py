"""RAFT's all-pairs correlation, its look-up, and the upsampling of flow; no weights.

RAFT (Teed and Deng, ECCV 2020) works on cells of 8 × 8 pixels. Points and flows in here are (x, y) in
cells unless stated otherwise.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

CELL_PX = 8
"""Side of a cell in pixels: the stride of RAFT's features."""


class CorrelationPyramid:
    """All-pairs correlation of the cells of b and a, average-pooled over a into a pyramid.

    The volume of level l holds dot products of features, divided by the square root of their number,
    with the mean of 2^l × 2^l cells of a (section 3.2 of the paper). The dot product is linear, so
    features are averaged in place of correlations. With n cells in a frame it takes about 5 n² bytes:
    290 MB for 375 × 1242 pixels, 5.7 GB for 1024 × 2048.

    Args:
        features_b: Of frame b, at stride 8.
        features_a: Of frame a; height and width are at least 2^(levels - 1).

    Example:
        >>> features = torch.ones(1, 4, 8, 8)
        >>> pyramid = CorrelationPyramid(features, features)
        >>> pyramid.look_up(torch.full((1, 2, 8, 8), 3.5), radius=4).shape
        torch.Size([1, 324, 8, 8])
    """

    def __init__(
        self, features_b: Float[Tensor, "b c h w"], features_a: Float[Tensor, "b c h w"], *, levels: int = 4
    ) -> None:
        queries = features_b.flatten(2).transpose(1, 2) / math.sqrt(features_b.shape[1])
        self._volumes: list[Tensor] = []
        for level in range(levels):
            blocks = functional.avg_pool2d(features_a, 2**level)
            volume = (queries @ blocks.flatten(2)).view(-1, *blocks.shape[-2:])
            self._volumes.append(volume)

    def look_up(self, points: Float[Tensor, "b 2 h w"], *, radius: int) -> Float[Tensor, "b n h w"]:
        """Return the correlations of each cell of b around its point in a: levels × (2 radius + 1)² channels.

        The window of level l is centred at points / 2^l and has steps of 2^l cells; beyond the border
        the correlation is 0. A window runs column by column, from left to right: the released code
        swaps x and y here, and the published weights depend on it.
        """
        b, _, h, w = points.shape
        centres = points.permute(0, 2, 3, 1).reshape(-1, 2)
        windows = [
            _window(volume, centres / 2**level, radius=radius) for level, volume in enumerate(self._volumes)
        ]
        return torch.cat(windows, dim=1).view(b, h, w, -1).permute(0, 3, 1, 2)


def _window(
    volume: Float[Tensor, "n h w"], centres: Float[Tensor, "n 2"], *, radius: int
) -> Float[Tensor, "n k"]:
    """Sample a window of each of n maps around its own centre, bilinearly."""
    h, w = volume.shape[-2:]
    steps = torch.arange(-radius, radius + 1, device=centres.device, dtype=centres.dtype)
    points = centres[:, None, None] + torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    # Not `align_corners=True`, which maps all points of a single row or column to one.
    grid = (2 * points + 1) / torch.tensor((w, h), device=centres.device) - 1
    return functional.grid_sample(volume[:, None], grid, align_corners=False).flatten(1)


def upsample_convex(
    flow: Float[Tensor, "b 2 h w"], scores: Float[Tensor, "b n h w"]
) -> Float[Tensor, "b 2 H W"]:
    """Convex upsampling of flow by 8: each pixel mixes the 3 × 3 cells around its own (section 3.3).

    Beyond the border the flow is 0, as in the released code.

    Args:
        flow: Motion in cells.
        scores: Weights of the 9 neighbours for each of the 8 × 8 pixels of a cell, before a softmax
            over the neighbours: 576 channels.

    Returns:
        Motion in pixels, (b, 2, 8 h, 8 w).

    Example:
        >>> upsample_convex(torch.ones(1, 2, 3, 3), torch.zeros(1, 576, 3, 3))[..., 12, 12]
        tensor([[8., 8.]])
    """
    b, _, h, w = flow.shape
    weights = scores.float().view(b, 1, 9, CELL_PX, CELL_PX, h, w).softmax(dim=2)
    neighbours = functional.unfold(CELL_PX * flow, kernel_size=3, padding=1).view(b, 2, 9, 1, 1, h, w)
    mixed = (weights * neighbours).sum(dim=2)
    return mixed.permute(0, 1, 4, 2, 5, 3).reshape(b, 2, CELL_PX * h, CELL_PX * w)


def upsample_bilinear(flow: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b 2 H W"]:
    """Upsample flow in cells bilinearly by 8, to flow in pixels.

    Example:
        >>> upsample_bilinear(torch.ones(1, 2, 3, 4)).shape
        torch.Size([1, 2, 24, 32])
    """
    h, w = flow.shape[-2:]
    size = (CELL_PX * h, CELL_PX * w)
    return CELL_PX * functional.interpolate(flow, size=size, mode="bilinear", align_corners=True)
