"""Tests of training/losses/rmi.py: what it prefers, and that no batch breaks it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import VOID
from warprefine.training.losses.rmi import rmi


def stripes(h: int = 48, w: int = 64) -> Tensor:
    """Two classes in upright stripes of eight pixels; the third does not occur."""
    return ((torch.arange(w) // 8) % 2).to(torch.uint8).expand(1, h, w).clone()


def scores(labels: Tensor, certainty: float) -> Tensor:
    planes = functional.one_hot(labels.long().clamp(max=2), 3).permute(0, 3, 1, 2).float()
    return certainty * (2 * planes - 1)


def test_right_is_better_than_shifted_and_shifted_than_wrong() -> None:
    """The loss falls as the prediction nears the labels."""
    labels = stripes()

    right = rmi(scores(labels, 3), labels)
    shifted = rmi(scores(labels.roll(2, dims=-1), 3), labels)
    wrong = rmi(scores(1 - labels, 3), labels)

    assert right < shifted < wrong


def test_structure_counts_beyond_pixels() -> None:
    """Of two predictions with as many wrong pixels, that which keeps the stripes' shape scores better."""
    labels = stripes()
    moved = labels.roll(1, dims=-1)
    wrong = int((moved != labels).sum())
    scattered = labels.flatten().clone()
    places = torch.randperm(len(scattered), generator=torch.Generator().manual_seed(0))[:wrong]
    scattered[places] = 1 - scattered[places]

    alone = {"cross_entropy_share": 0.0, "rmi_share": 1.0, "pool": 1}
    kept = rmi(scores(moved, 3), labels, **alone)  # type: ignore[arg-type]
    lost = rmi(scores(scattered.view_as(labels), 3), labels, **alone)  # type: ignore[arg-type]

    assert kept < lost


def test_void_does_not_count() -> None:
    """What is predicted where the label is VOID changes neither loss nor gradient."""
    labels = stripes()
    labels[:, 10:30, 20:40] = VOID
    logits = torch.randn(1, 3, 48, 64, requires_grad=True)

    loss = rmi(logits, labels)
    loss.backward()

    other = logits.detach().clone()
    other[:, :, 10:30, 20:40] = 50
    torch.testing.assert_close(rmi(other, labels), loss.detach())
    assert logits.grad is not None
    assert not logits.grad[:, :, 10:30, 20:40].any()


@pytest.mark.parametrize("certainty", [0.0, 20.0, 1e4])
@pytest.mark.parametrize("void", [False, True])
def test_no_batch_breaks_it(certainty: float, void: bool) -> None:
    """Flat predictions, certain ones, absent classes and a batch of nothing but VOID have finite losses."""
    labels = stripes().fill_(VOID) if void else stripes()
    logits = scores(stripes(), certainty).requires_grad_()

    loss = rmi(logits, labels)
    loss.backward()

    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_large_pictures_leave_matrices_definite() -> None:
    """Sums over many pixels lose digits; the determinant does not turn into nothing for that."""
    labels = stripes(256, 320)
    logits = scores(labels, 40.0) + 1e-3 * torch.randn(1, 3, 256, 320)

    assert torch.isfinite(rmi(logits, labels, pool=1))


@pytest.mark.parametrize("side", [1, 7, 8])
def test_a_crop_too_small_for_a_neighbourhood_is_scored_by_its_pixels(side: int) -> None:
    """Below three pooled pixels there is no region to speak of."""
    labels, logits = stripes(side, 64), torch.randn(1, 3, side, 64)

    alone = rmi(logits, labels, cross_entropy_share=0.0)

    assert (float(alone) == 0) == (side < 8)


def test_mixed_precision_does_not_reach_it() -> None:
    """Under autocast the loss is that of the same scores in full precision."""
    labels, logits = stripes(), torch.randn(1, 3, 48, 64).to(torch.bfloat16)

    with torch.autocast("cpu", torch.bfloat16):
        mixed = rmi(logits, labels)

    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, rmi(logits.float(), labels))


def test_weights_count_classes_differently() -> None:
    """A weight of nothing leaves a class out; weights of one are no weights."""
    labels, logits = stripes(), torch.randn(1, 3, 48, 64)
    other = logits.clone()
    other[:, 1] = torch.randn(1, 48, 64)

    torch.testing.assert_close(rmi(logits, labels, torch.ones(3)), rmi(logits, labels))
    without = torch.tensor([1.0, 0.0, 1.0])
    torch.testing.assert_close(rmi(logits, labels, without), rmi(other, labels, without))
    assert rmi(logits, labels) != rmi(other, labels)
