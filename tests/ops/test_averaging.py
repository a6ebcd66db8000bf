"""Tests of ops/averaging.py: probabilities are averaged, not scores."""

from __future__ import annotations

import torch

from warprefine.ops.averaging import mean_logits


def test_probabilities_are_averaged() -> None:
    """The softmax of the mean is the mean of the softmaxes, however the logits are shifted."""
    first, second = torch.randn(2, 3, 4, 5), 5 * torch.randn(2, 3, 4, 5)

    mean = mean_logits(first + 7, second.to(torch.bfloat16))

    expected = (first.softmax(dim=1) + second.to(torch.bfloat16).float().softmax(dim=1)) / 2
    torch.testing.assert_close(mean.softmax(dim=1), expected)
    torch.testing.assert_close(mean.exp().sum(dim=1), torch.ones(2, 4, 5))


def test_certainty_survives_the_mean() -> None:
    """Probabilities too small for a float do not turn into infinities."""
    certain = torch.tensor([400.0, -400.0]).view(1, 2, 1, 1)

    mean = mean_logits(certain, certain)

    torch.testing.assert_close(mean.flatten(), torch.tensor([0.0, -800.0]))
