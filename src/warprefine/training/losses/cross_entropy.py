"""Cross entropy of per-pixel class scores, with VOID ignored."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import VOID, LabelMaps, Logits
from warprefine.training.losses.counted import Counted, labelled_weight


def cross_entropy(
    logits: Logits, labels: LabelMaps, weights: Tensor | None = None, step: Counted | None = None
) -> Tensor:
    """Return the weighted mean of -log p(label) over the pixels whose label is not VOID.

    A batch without any label but VOID has loss 0, not the 0/0 of an empty mean.

    Args:
        weights: One per channel; None weights all equally.
        step: What the batches of a step hold together, to divide by; None: these labels alone.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[[0, 3, VOID]]], dtype=torch.uint8)
        >>> cross_entropy(torch.zeros(1, 4, 1, 3), labels)  # log 4
        tensor(1.3863)
    """
    scores = logits.float()
    targets = labels.long()
    total = functional.cross_entropy(scores, targets, weight=weights, ignore_index=VOID, reduction="sum")
    pixels = labelled_weight(labels, weights) if step is None else step.pixels
    return total / (pixels or 1.0)
