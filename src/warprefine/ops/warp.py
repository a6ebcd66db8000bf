"""Bilinear backward warp of images and features from frame a to frame b (the paper's phi)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import Flow, Masks, size_of


def source_points(flow_ba: Flow) -> tuple[Tensor, Tensor]:
    """Return the source in a of each pixel of b: x and y in pixels, each (b, h, w) float32.

    Example:
        >>> x, y = source_points(torch.full((1, 2, 1, 3), 0.5))
        >>> x.tolist(), y.tolist()
        ([[[0.5, 1.5, 2.5]]], [[[0.5, 0.5, 0.5]]])
    """
    h, w = size_of(flow_ba)
    x = torch.arange(w, device=flow_ba.device, dtype=torch.float32)
    y = torch.arange(h, device=flow_ba.device, dtype=torch.float32)
    return flow_ba[:, 0] + x, flow_ba[:, 1] + y[:, None]


def lands_inside(flow_ba: Flow) -> Masks:
    """Mark the pixels of b whose source lies inside a, on the rectangle of a's pixel centres.

    Example:
        >>> flow_ba = torch.zeros(1, 2, 1, 3)
        >>> flow_ba[:, 0] = 0.5
        >>> lands_inside(flow_ba).tolist()
        [[[True, True, False]]]
    """
    h, w = size_of(flow_ba)
    x, y = source_points(flow_ba)
    return (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)


def backward_warp(values_a: Float[Tensor, "b c h w"], flow_ba: Flow) -> Float[Tensor, "b c h w"]:
    """Warp values backward from a to b: each pixel of b takes the bilinear value of a at its source.

    Beyond the border the nearest border value is used, as SDC-Net's resampling does (Reda et al.,
    ECCV 2018); those are the pixels that `lands_inside` does not mark.

    Example:
        >>> values_a = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3)
        >>> flow_ba = torch.zeros(1, 2, 1, 3)
        >>> flow_ba[:, 0] = 0.5
        >>> backward_warp(values_a, flow_ba).flatten()
        tensor([0.5000, 1.5000, 2.0000])
    """
    h, w = size_of(values_a)
    x, y = source_points(flow_ba)
    grid = torch.stack((x * (2 / max(w - 1, 1)) - 1, y * (2 / max(h - 1, 1)) - 1), dim=-1)
    return functional.grid_sample(
        values_a, grid.to(values_a.dtype), mode="bilinear", padding_mode="border", align_corners=True
    )
