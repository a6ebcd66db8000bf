"""FlowNet2's Resample2d, ChannelNorm and Correlation layers, without its compiled kernels.

FlowNet2 (Ilg et al., CVPR 2017) and the networks built on it, SDC-Net (Reda et al., ECCV 2018) among
them, were trained with these operations; their weights depend on exactly this behaviour at the border
and at halves.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def resample2d(
    values_a: Float[Tensor, "b c h w"], flow_ba: Float[Tensor, "b 2 h w"], *, nearest: bool = False
) -> Float[Tensor, "b c h w"]:
    """Bilinear backward warp: look up the value of a at each pixel's source (Resample2d of FlowNet2).

    Beyond the border the nearest border value is repeated. Unlike `ops.warp.backward_warp` it works in
    the flow's own precision and never leaves pixel coordinates, so that whole numbers stay whole.

    Args:
        flow_ba: Motion in pixels, (x, y); it lives on b and points into a.
        nearest: Use the nearest pixel instead of bilinear interpolation. Halves round to the right and
            down, also left of and above the image. No gradient reaches the flow then.

    Example:
        >>> values_a, flow_ba = torch.arange(4.0).view(1, 1, 1, 4), torch.zeros(1, 2, 1, 4)
        >>> flow_ba[:, 0] = -0.5
        >>> resample2d(values_a, flow_ba)
        tensor([[[[0.0000, 0.5000, 1.5000, 2.5000]]]])
    """
    h, w = flow_ba.shape[-2:]
    x = flow_ba[:, 0] + torch.arange(w, device=flow_ba.device, dtype=flow_ba.dtype)
    y = flow_ba[:, 1] + torch.arange(h, device=flow_ba.device, dtype=flow_ba.dtype)[:, None]
    left, top = x.detach().floor(), y.detach().floor()
    right, bottom = x - left, y - top
    if nearest:
        # Adding a half and rounding down would round twice: 0.49999997 + 0.5 is 1 in single precision.
        return _at(values_a, left + (right >= 0.5), top + (bottom >= 0.5))
    right, bottom = right[:, None], bottom[:, None]
    upper = (1 - right) * _at(values_a, left, top) + right * _at(values_a, left + 1, top)
    lower = (1 - right) * _at(values_a, left, top + 1) + right * _at(values_a, left + 1, top + 1)
    return (1 - bottom) * upper + bottom * lower


def _at(values: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (b, c, h, w) values at whole-numbered points, each (b, h, w), clamped to the image."""
    h, w = values.shape[-2:]
    index = y.clamp(0, h - 1).long() * w + x.clamp(0, w - 1).long()
    indices = index.flatten(1)[:, None].expand(-1, values.shape[1], -1)
    return values.flatten(2).gather(2, indices).view_as(values)


def channel_norm(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """Return the Euclidean norm of each pixel's channels (ChannelNorm of FlowNet2).

    Its gradient at zero is zero.

    Example:
        >>> channel_norm(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1))
        tensor([[[[5.]]]])
    """
    return torch.as_tensor(torch.linalg.vector_norm(values, dim=1, keepdim=True))


def correlation(
    features_b: Float[Tensor, "b c h w"],
    features_a: Float[Tensor, "b c h w"],
    *,
    max_displacement: int = 20,
    stride: int = 2,
) -> Float[Tensor, "b n h w"]:
    """Correlate each pixel of b with its neighbourhood in a (Dosovitskiy et al., ICCV 2015, equation 1).

    A channel is the mean over the features of the product of a pixel of b and a displaced pixel of a;
    beyond the border a is zero. Channels run over the displacements from the top left to the bottom
    right, row by row: 21 × 21 = 441 of them as published.

    Args:
        max_displacement: Largest displacement in each direction, in pixels of the feature maps.
        stride: Distance between neighbouring displacements, in the same pixels.

    Example:
        >>> features = torch.ones(1, 8, 5, 5)
        >>> correlation(features, features, max_displacement=1, stride=1)[0, :, 0, 0]
        tensor([0., 0., 0., 0., 1., 1., 0., 1., 1.])
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
