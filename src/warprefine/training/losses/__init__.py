"""Compare scores with labels; look a loss up by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from warprefine.training.losses.cross_entropy import cross_entropy
from warprefine.training.losses.rmi import rmi

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Takes scores (b, c, h, w), labels (b, h, w) uint8 in which VOID is left out, and class weights (c)."""

LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "rmi": rmi}


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
