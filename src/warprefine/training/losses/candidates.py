"""Cross entropy over the candidates of each pixel."""

from __future__ import annotations

from torch import Tensor

from warprefine.core.tensors import LabelMaps
from warprefine.refinement.interface import CandidateScores
from warprefine.training.losses.counted import Counted, labelled_weight


def candidate_cross_entropy(
    scores: CandidateScores, labels: LabelMaps, weights: Tensor, step: Counted | None = None
) -> Tensor:
    """Return the weighted mean of -log p(label), the probability being that among a pixel's candidates.

    Pixels whose label is no candidate have a loss of 0: no weight of a network could change that.

    Args:
        scores: Candidates with logits.
        labels: The right labels; C stands for VOID.
        weights: One per class, VOID's last.
        step: What the batches of a step hold together, to divide by; None: these labels alone.

    Example:
        >>> import torch
        >>> labels = torch.tensor([0, 2], dtype=torch.uint8).view(1, 2, 1, 1)
        >>> empty = torch.zeros(1, 2, 1, 1, dtype=torch.bool)
        >>> scores = CandidateScores(labels=labels, logits=torch.zeros(1, 2, 1, 1), is_empty=empty)
        >>> right = torch.full((1, 1, 1), 2, dtype=torch.uint8)
        >>> candidate_cross_entropy(scores, right, torch.ones(3))  # log 2
        tensor(0.6931)
    """
    is_right = (scores.labels == labels[:, None]) & ~scores.is_empty
    likelihood = scores.log_probabilities().masked_fill(~is_right, 0).sum(dim=1)
    pixels = labelled_weight(labels, weights) if step is None else step.pixels
    return -(weights[labels.long()] * likelihood).sum() / (pixels or 1.0)
