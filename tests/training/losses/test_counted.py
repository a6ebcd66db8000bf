"""Tests of training/losses/counted.py: parts of a step weigh as much as their pixels with labels."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.recipe.recipe import SegmenterRecipe
from warprefine.training.engine.distributed import ALONE
from warprefine.training.losses import COUNTS, LOSSES
from warprefine.training.losses.counted import counted, labelled_pixels, labelled_weight
from warprefine.training.segmenter_loss import segmentation_loss

WEIGHTS = torch.tensor([0.3, 1.0, 4.0])


def unevenly_labelled() -> Tensor:
    """Four label maps: all labelled, half, a scribble of a class, and nothing but VOID."""
    labels = torch.randint(0, 3, (4, 24, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels[1, 12:] = VOID
    labels[2] = VOID
    labels[2, 8:10, 4:6] = 2
    labels[3] = VOID
    return labels


def trained_on(parts: Sequence[Sequence[int]], name: str, weights: Tensor | None) -> tuple[float, Tensor]:
    """Return the loss of a step and the gradient of the scores, with samples in these batches."""
    labels = unevenly_labelled()
    scores = torch.randn(4, 3, 24, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    recipe = SegmenterRecipe(loss=name)
    step = counted([COUNTS[name](labels[list(part)], weights) for part in parts], ALONE)
    total = 0.0
    for part in parts:
        own = scores[list(part)]
        output = Segmentation(logits=own, features=own, first_guess=own * 0.5, by_scale=(own * 2, own - 1))
        loss = segmentation_loss(output, labels[list(part)], recipe, weights, step=step) / len(parts)
        loss.backward()
        total += float(loss.detach())
    assert scores.grad is not None
    return total, scores.grad


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("parts", [[[0, 1], [2, 3]], [[0], [1], [2], [3]], [[3, 0], [2, 1]]])
def test_parts_of_a_batch_cost_what_the_whole_costs(
    parts: list[list[int]], name: str, weights: Tensor | None
) -> None:
    """However pixels with labels are spread over the parts, loss and gradient are those of one batch."""
    loss, gradient = trained_on(parts, name, weights)
    whole, of_whole = trained_on([[0, 1, 2, 3]], name, weights)

    assert loss == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(gradient, of_whole, rtol=1e-4, atol=1e-8)


def test_nothing_but_void_in_all_parts_costs_nothing() -> None:
    """No part has a label, so nothing is divided by."""
    labels = torch.full((1, 4, 4), VOID, dtype=torch.uint8)
    step = counted([labelled_weight(labels, WEIGHTS)] * 2, ALONE)

    assert LOSSES["cross-entropy"](torch.randn(1, 3, 4, 4), labels, WEIGHTS, step) == 0


def test_a_step_of_one_batch_is_computed_as_ever() -> None:
    """Where nothing is put together, a loss divides by its own count, to the last bit."""
    assert counted([5.0], ALONE) is None


def test_pixels_are_counted_as_they_weigh() -> None:
    """VOID counts nothing, other pixels 1, or the weight of their class."""
    labels = torch.tensor([[[0, 2, VOID, 2]]], dtype=torch.uint8)

    assert labelled_pixels(labels, WEIGHTS) == labelled_weight(labels) == 3
    assert labelled_weight(labels, WEIGHTS) == pytest.approx(8.3)
