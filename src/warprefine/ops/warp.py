"""Carry pictures and numbers from frame a to frame b along a flow (the paper's phi)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import Flow, Masks


def source_points(flow_ba: Flow) -> tuple[Tensor, Tensor]:
    """Return where in a each pixel of b comes from: x and y in pixels, each (b, h, w) float32."""
    h, w = flow_ba.shape[-2:]
    x = torch.arange(w, device=flow_ba.device, dtype=torch.float32)
    y = torch.arange(h, device=flow_ba.device, dtype=torch.float32)
    return flow_ba[:, 0] + x, flow_ba[:, 1] + y[:, None]


def lands_inside(flow_ba: Flow) -> Masks:
    """Mark the pixels of b whose source lies inside a, on the rectangle of a's pixel centres."""
    h, w = flow_ba.shape[-2:]
    x, y = source_points(flow_ba)
    return (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)


def backward_warp(values_a: Float[Tensor, "b c h w"], flow_ba: Flow) -> Float[Tensor, "b c h w"]:
    """Look up, for each pixel of b, the bilinear value of a at its source.

    Beyond the border the nearest border value is used, as SDC-Net's resampling does (Reda et al.,
    ECCV 2018); `lands_inside` tells which pixels that concerns.
    """
    h, w = values_a.shape[-2:]
    x, y = source_points(flow_ba)
    grid = torch.stack((x * (2 / max(w - 1, 1)) - 1, y * (2 / max(h - 1, 1)) - 1), dim=-1)
    return functional.grid_sample(
        values_a, grid.to(values_a.dtype), mode="bilinear", padding_mode="border", align_corners=True
    )
