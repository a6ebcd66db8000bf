"""Average what two runs of a network say of the same pixels."""

from __future__ import annotations

import math

import torch

from warprefine.core.tensors import Logits


def mean_logits(first: Logits, second: Logits) -> Logits:
    """Return logits whose softmax is the mean of the softmaxes of two sets of logits, in float32."""
    logs = (first.float().log_softmax(dim=1), second.float().log_softmax(dim=1))
    return torch.logaddexp(*logs) - math.log(2)
