"""Count labelled pixels over all batches of a step, so that a loss is a mean over the step, not over means.

Batches differ in how many of their pixels have a label. Where several make up a step, on several ranks or one
after another, each divides its sum by what they hold together: a batch with four labelled pixels then
weighs as much as these four pixels, and the loss and its gradient are those of one large batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from warprefine.core.tensors import VOID, LabelMaps
from warprefine.training.engine.distributed import World


class Counted(NamedTuple):
    """Labelled pixels of a step.

    Attributes:
        pixels: Labelled pixels per batch, as a loss weighs them, on average over the batches of the step.
        batches: Number of batches of the step, over all ranks.
    """

    pixels: float
    batches: int


def counted(of_batches: Sequence[float], world: World) -> Counted | None:
    """Return the count of a step from those of this rank's batches; None where it has one batch in all.

    All ranks call this, with equally many batches.

    Example:
        >>> counted([4.0, 12.0], World())
        Counted(pixels=8.0, batches=2)
    """
    batches = len(of_batches) * world.size
    return None if batches == 1 else Counted(world.mean(sum(of_batches) / len(of_batches)), batches)


def labelled_pixels(labels: LabelMaps, weights: Tensor | None = None) -> float:
    """Return the number of pixels whose label is not VOID; the weights do not count."""
    return float((labels != VOID).sum())


def labelled_weight(labels: LabelMaps, weights: Tensor | None = None) -> float:
    """Return the sum of the weights of the pixels whose label is not VOID; None weighs each as 1.

    Example:
        >>> import torch
        >>> labelled_weight(torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8), torch.tensor([0.5, 2.0]))
        2.5
    """
    targets = labels.long()
    targets = targets[targets != VOID]
    return float(targets.numel() if weights is None else weights[targets].sum())
