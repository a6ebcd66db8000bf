"""Compose flows into longer ones, and measure their forward-backward consistency."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from warprefine.core.tensors import Confidence, Flow
from warprefine.ops.warp import backward_warp, lands_inside


def compose(flow_cb: Flow, flow_ba: Flow) -> Flow:
    """Compose a flow from c to b with one from b to a; return `flow_ca`.

    What is at p of c is at q = p + flow_cb[p] of b, and at q + flow_ba[q] of a. Where q lies outside b, the
    flow of the nearest border pixel is used; `flow_ca` is then not valid.

    Example:
        >>> flow_cb, flow_ba = torch.full((1, 2, 3, 3), 0.5), torch.full((1, 2, 3, 3), 2.0)
        >>> compose(flow_cb, flow_ba)[0, :, 1, 1]
        tensor([2.5000, 2.5000])
    """
    return flow_cb + backward_warp(flow_ba, flow_cb)


def forward_backward_error(flow_ba: Flow, flow_ab: Flow) -> Float[Tensor, "b h w"]:
    """Return the distance in pixels between each point of b and where it lands after going to a and back.

    Example:
        >>> forward_backward_error(torch.full((1, 2, 1, 1), 4.0), torch.full((1, 2, 1, 1), -3.0))
        tensor([[[1.4142]]])
    """
    difference = compose(flow_ba, flow_ab)
    return difference.square().sum(dim=1).sqrt()  # `norm` over two planes takes a hundred times as long


def agreement(flow_ba: Flow, flow_ab: Flow, *, slack: float) -> Confidence:
    """Return the forward-backward agreement of two opposite flows at each pixel of b: from 0, none, to 1.

    It is exp(-(e / slack)² / 2) of the error e of `forward_backward_error`, and 0 where the source lies
    outside a. Pixels of b that are occluded in a get low values: flow_ab does not lead back to them.

    Args:
        slack: The error, in pixels, at which agreement has fallen to 0.61.

    Example:
        >>> flow_ba, flow_ab = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
        >>> flow_ab[0, 0, 0, 1] = 1
        >>> agreement(flow_ba, flow_ab, slack=1.0)
        tensor([[[1.0000, 0.6065]]])
    """
    error = forward_backward_error(flow_ba, flow_ab)
    return torch.exp(-0.5 * (error / slack).square()) * lands_inside(flow_ba)
