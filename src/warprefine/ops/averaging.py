"""Average the predictions of two passes of a network."""

from __future__ import annotations

import math

import torch

from warprefine.core.tensors import Logits


def mean_logits(first: Logits, second: Logits) -> Logits:
    """Return logits whose softmax is the mean of the softmaxes of two sets of logits, in float32.

    Example:
        >>> first = torch.tensor([0.9, 0.1]).log().view(1, 2, 1, 1)
        >>> second = torch.tensor([0.5, 0.5]).log().view(1, 2, 1, 1)
        >>> mean_logits(first, second).softmax(dim=1).flatten()
        tensor([0.7000, 0.3000])
    """
    logs = (first.float().log_softmax(dim=1), second.float().log_softmax(dim=1))
    return torch.logaddexp(*logs) - math.log(2)
