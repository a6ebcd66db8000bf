"""Loss functions of segmenters and refiners, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from warprefine.training.losses.counted import Counted, labelled_pixels, labelled_weight
from warprefine.training.losses.cross_entropy import cross_entropy
from warprefine.training.losses.relaxed import relaxed
from warprefine.training.losses.rmi import rmi

Loss = Callable[[Tensor, Tensor, Tensor | None, Counted | None], Tensor]
"""Function of logits (b, c, h, w), labels (b, h, w) uint8 in which VOID is ignored, class weights (c), and
what the batches of a step hold together, where there are several."""

RELAXED = "relaxed"
"""The loss that has settings of its own: classes without relaxation, and its last part."""
LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "rmi": rmi, RELAXED: relaxed}
BESIDE: dict[str, Loss] = {
    **LOSSES,
    "rmi": partial(rmi, cross_entropy_share=1.0, rmi_share=0.0),
}
"""For each loss, the loss of auxiliary outputs beside it: with RMI, binary cross entropy alone."""

COUNTS: dict[str, Callable[[Tensor, Tensor | None], float]] = {
    "cross-entropy": labelled_weight,
    "rmi": labelled_pixels,
    "relaxed": labelled_pixels,
}
"""For each loss and that beside it, what it counts of labels and class weights, for `Counted`."""


def balanced_weights(pixels: Sequence[int], balance: float) -> Tensor:
    """Return class weights that fall as frequency to the power -`balance`, of mean 1 over the pixels.

    Args:
        pixels: Number of pixels of each class; a class without pixels gets the weight of the rarest.
        balance: 0 weights all pixels equally, 1 all classes equally.

    Example:
        >>> balanced_weights([90, 10], 1.0)
        tensor([0.5556, 5.0000])
    """
    counts = torch.tensor(pixels, dtype=torch.float64)
    present = counts[counts > 0]
    if not len(present):
        return torch.ones(len(counts))
    frequency = counts.clamp(min=float(present.min())) / counts.sum()
    weights = frequency**-balance
    return (weights / (weights * counts / counts.sum()).sum()).float()
