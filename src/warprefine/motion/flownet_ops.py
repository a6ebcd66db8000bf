"""Resample, measure and correlate as FlowNet2's three operations do, without its compiled kernels.

FlowNet2 (Ilg et al., CVPR 2017) and the networks built on it, SDC-Net (Reda et al., ECCV 2018) among
them, were trained with these operations; their weights expect exactly this behaviour at the border and
at halves.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def resample2d(
    values_a: Float[Tensor, "b c h w"], flow_ba: Float[Tensor, "b 2 h w"], *, nearest: bool = False
) -> Float[Tensor, "b c h w"]:
    """Look up, for each pixel of b, the value of a at its source (Resample2d of FlowNet2).

    Beyond the border the nearest border value is repeated. Unlike `ops.warp.backward_warp` it works in
    the flow's own precision and never leaves pixel coordinates, so that whole numbers stay whole.

    Args:
        flow_ba: Motion in pixels, (x, y); it lives on b and points into a.
        nearest: Take the nearest pixel instead of the bilinear mean. Halves go to the right and down,
            also left of and above the picture. No gradient reaches the flow then.
    """
    h, w = flow_ba.shape[-2:]
    x = flow_ba[:, 0] + torch.arange(w, device=flow_ba.device, dtype=flow_ba.dtype)
    y = flow_ba[:, 1] + torch.arange(h, device=flow_ba.device, dtype=flow_ba.dtype)[:, None]
    left, top = x.detach().floor(), y.detach().floor()
    right_share, bottom_share = x - left, y - top
    if nearest:
        # Adding a half and rounding down would round twice: 0.49999997 + 0.5 is 1 in single precision.
        return _at(values_a, left + (right_share >= 0.5), top + (bottom_share >= 0.5))
    right_share, bottom_share = right_share[:, None], bottom_share[:, None]
    upper = (1 - right_share) * _at(values_a, left, top) + right_share * _at(values_a, left + 1, top)
    lower = (1 - right_share) * _at(values_a, left, top + 1) + right_share * _at(values_a, left + 1, top + 1)
    return (1 - bottom_share) * upper + bottom_share * lower


def _at(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Pick (b, c, h, w) values at whole-numbered points, each (b, h, w), moved into the picture."""
    h, w = values.shape[-2:]
    place = y.clamp(0, h - 1).long() * w + x.clamp(0, w - 1).long()
    places = place.flatten(1)[:, None].expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, places).view_as(values)


def channel_norm(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """Return the Euclidean length of each pixel's channels (ChannelNorm of FlowNet2).

    Its gradient at zero is zero.
    """
    return torch.as_tensor(torch.linalg.vector_norm(values, dim=1, keepdim=True))


def correlation(
    features_b: Float[Tensor, "b c h w"],
    features_a: Float[Tensor, "b c h w"],
    *,
    max_displacement: int = 20,
    stride: int = 2,
) -> Float[Tensor, "b n h w"]:
    """Compare each pixel of b with its surroundings in a (Dosovitskiy et al., ICCV 2015, equation 1).

    A channel is the mean over the features of the product of a pixel of b and a displaced pixel of a;
    beyond the border a is zero. Channels run over the displacements from the top left to the bottom
    right, row by row: 21 × 21 = 441 of them as published.

    Args:
        max_displacement: Largest displacement in each direction, in pixels of the feature maps.
        stride: Distance between neighbouring displacements, in the same pixels.
    """
    h, w = features_b.shape[-2:]
    padded = functional.pad(features_a, (max_displacement,) * 4)
    shifts = range(0, 2 * max_displacement + 1, stride)
    # One product at a time: all of them at once would take 441 times the memory of the features.
    channels = [
        (features_b * padded[:, :, top : top + h, left : left + w]).mean(dim=1)
        for top in shifts
        for left in shifts
    ]
    return torch.stack(channels, dim=1)
