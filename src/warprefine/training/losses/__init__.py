"""Compare scores with labels; look a loss up by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from warprefine.training.losses.cross_entropy import cross_entropy
from warprefine.training.losses.relaxed import relaxed
from warprefine.training.losses.rmi import rmi

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Takes scores (b, c, h, w), labels (b, h, w) uint8 in which VOID is left out, and class weights (c)."""

LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "rmi": rmi, "relaxed": relaxed}
BESIDE: dict[str, Loss] = {
    **LOSSES,
    "rmi": partial(rmi, cross_entropy_share=1.0, rmi_share=0.0),
}
"""For each loss the one that goes with it for what a network says on the way to its final scores."""


def balanced_weights(pixels: Sequence[int], balance: float) -> Tensor:
    """Return class weights that fall as frequency to the power -`balance`, of mean 1 over the pixels.

    Args:
        pixels: How many pixels of each class there are; a class without pixels weighs like the rarest.
        balance: 0 weighs all pixels alike, 1 all classes alike.
    """
    counts = torch.tensor(pixels, dtype=torch.float64)
    present = counts[counts > 0]
    if not len(present):
        return torch.ones(len(counts))
    frequency = counts.clamp(min=float(present.min())) / counts.sum()
    weights = frequency**-balance
    return (weights / (weights * counts / counts.sum()).sum()).float()
