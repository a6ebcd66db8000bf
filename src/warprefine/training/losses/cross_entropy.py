"""Cross entropy of per-pixel class scores, with VOID ignored."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import VOID, LabelMaps, Logits


def cross_entropy(logits: Logits, labels: LabelMaps, weights: Tensor | None = None) -> Tensor:
    """Return the weighted mean of -log p(label) over the pixels whose label is not VOID.

    A batch without any label but VOID has loss 0, not the 0/0 of an empty mean.

    Args:
        weights: One per channel; None weights all equally.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 3, VOID]]], dtype=torch.uint8)
        >>> cross_entropy(torch.zeros(1, 4, 1, 3), labels)  # log 4
        tensor(1.3863)
    """
    scores = logits.float()
    targets = labels.long()
    total = functional.cross_entropy(scores, targets, weight=weights, ignore_index=VOID, reduction="sum")
    counted = targets[targets != VOID]
    norm = counted.numel() if weights is None else weights[counted].sum()
    return total / (float(norm) or 1.0)
