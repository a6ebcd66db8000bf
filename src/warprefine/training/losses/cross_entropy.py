"""Score per-pixel class probabilities by their logarithm."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import VOID, LabelMaps, Logits


def cross_entropy(logits: Logits, labels: LabelMaps, weights: Tensor | None = None) -> Tensor:
    """Return the weighted mean of -log p(label) over the pixels whose label is not VOID.

    A batch that holds nothing but VOID has loss 0, not the 0/0 of a mean over nothing.

    Args:
        weights: One per channel; None weighs all alike.
    """
    scores = logits.float()
    targets = labels.long()
    total = functional.cross_entropy(scores, targets, weight=weights, ignore_index=VOID, reduction="sum")
    counted = targets[targets != VOID]
    norm = counted.numel() if weights is None else weights[counted].sum()
    return total / (float(norm) or 1.0)
