"""Join flows end to end, and say how far the result can be trusted."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from warprefine.core.tensors import Confidence, Flow
from warprefine.ops.warp import backward_warp, lands_inside


def compose(flow_cb: Flow, flow_ba: Flow) -> Flow:
    """Follow a flow from c to b and another from b to a; return `flow_ca`.

    What is at p of c is at q = p + flow_cb[p] of b, and at q + flow_ba[q] of a. A point that leaves b on the
    way goes on as its nearest border pixel does; `flow_ca` then says nothing about where it is in a.
    """
    return flow_cb + backward_warp(flow_ba, flow_cb)


def forward_backward_error(flow_ba: Flow, flow_ab: Flow) -> Float[Tensor, "b h w"]:
    """Return how many pixels a point of b misses itself by after a journey to a and back."""
    missed = compose(flow_ba, flow_ab)
    return missed.square().sum(dim=1).sqrt()  # `norm` over two planes takes a hundred times as long


def agreement(flow_ba: Flow, flow_ab: Flow, *, slack: float) -> Confidence:
    """Return how well two opposite flows agree on each pixel of b: 1 for perfectly, 0 for not at all.

    It is exp(-(e / slack)² / 2) of the error e of `forward_backward_error`, and 0 where the source lies
    outside a: what was hidden in a has no way back to where it came from.

    Args:
        slack: The error, in pixels, at which agreement has fallen to 0.61.
    """
    error = forward_backward_error(flow_ba, flow_ab)
    return torch.exp(-0.5 * (error / slack).square()) * lands_inside(flow_ba)
