"""Tests of training/losses: what a wrong label costs, and whose pixels weigh how much."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warprefine.core.tensors import VOID
from warprefine.training.losses import LOSSES, balanced_weights
from warprefine.training.losses.cross_entropy import cross_entropy


def scores(*per_pixel: tuple[float, ...]) -> torch.Tensor:
    """Return the scores of a row of pixels, (1, c, 1, w)."""
    return torch.tensor(per_pixel).T[None, :, None].clone()


def labels(*per_pixel: int) -> torch.Tensor:
    return torch.tensor([[per_pixel]], dtype=torch.uint8)


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_listed_loss_leaves_void_out(name: str) -> None:
    """Pixels without a label, or a labelled neighbour, have no gradient, whatever their scores."""
    given_scores = scores((0.0, 1.0), (3.0, 1.0), (9.0, -9.0)).requires_grad_()

    value = LOSSES[name](given_scores, labels(1, VOID, VOID), None)
    value.backward()

    assert given_scores.grad is not None
    assert given_scores.grad[..., 0].abs().sum() > 0
    assert given_scores.grad[..., 2].abs().sum() == 0
    borders_too = name == "relaxed"
    assert bool(given_scores.grad[..., 1].abs().sum() > 0) == borders_too


def test_only_what_has_a_label_is_counted() -> None:
    """The mean is over the pixels that have one."""
    value = cross_entropy(scores((0.0, 1.0), (9.0, -9.0)), labels(1, VOID), None)

    assert value.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_a_guess_costs_the_logarithm_of_the_classes() -> None:
    """Who knows nothing of four classes pays log 4 for each pixel, however many pixels there are."""
    assert cross_entropy(
        torch.zeros(2, 4, 3, 5), torch.ones(2, 3, 5, dtype=torch.uint8)
    ).item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("weights", [None, torch.tensor([0.2, 3.0])])
def test_nothing_but_void_costs_nothing(weights: torch.Tensor | None) -> None:
    """A batch without any label has loss 0, and a gradient of 0 rather than none."""
    given_scores = scores((1.0, 2.0)).requires_grad_()

    value = cross_entropy(given_scores, labels(VOID), weights)
    value.backward()

    assert value.item() == 0
    assert given_scores.grad is not None
    assert not given_scores.grad.any()


def test_weights_make_a_weighted_mean() -> None:
    """A pixel counts as much as its class weighs, also where all weights are small."""
    pixels, truth, weights = scores((0.0, 1.0), (0.5, 0.0)), labels(0, 1), torch.tensor([0.1, 0.3])
    costs = [math.log(1 + math.exp(1)), math.log(1 + math.exp(0.5))]

    value = cross_entropy(pixels, truth, weights)

    assert value.item() == pytest.approx((0.1 * costs[0] + 0.3 * costs[1]) / 0.4)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=12), st.floats(0, 1))
def test_balanced_weights_have_mean_one_over_the_pixels(pixels: list[int], balance: float) -> None:
    """Weights do not change the size of the loss, only whose pixels make it up."""
    weights = balanced_weights(pixels, balance)

    total = sum(pixels)
    assert weights.shape == (len(pixels),)
    assert bool((weights > 0).all())
    mean = sum(w * n for w, n in zip(weights.tolist(), pixels, strict=True)) / max(total, 1)
    assert mean == pytest.approx(min(total, 1), rel=1e-4)


def test_balance_goes_from_pixels_to_classes() -> None:
    """At 0 every pixel weighs the same; at 1 every class does, all its pixels taken together."""
    pixels = [1000, 10, 100]

    assert balanced_weights(pixels, 0.0).tolist() == pytest.approx([1, 1, 1])
    alike = [w * n for w, n in zip(balanced_weights(pixels, 1.0).tolist(), pixels, strict=True)]
    assert alike == pytest.approx([alike[0]] * 3)
    half = balanced_weights(pixels, 0.5)
    assert (half[1] / half[0]).item() == pytest.approx(10)


def test_a_class_without_pixels_weighs_like_the_rarest() -> None:
    """What was never seen is not weighed to infinity."""
    weights = balanced_weights([1000, 0, 10], 0.5)

    assert weights[1] == weights[2]
