"""Tests of training/losses/relaxed.py: near a border, either side is right."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from warprefine.core.tensors import VOID
from warprefine.training.losses.cross_entropy import cross_entropy
from warprefine.training.losses.relaxed import emphasised_targets, relaxed_label_loss, relaxed_targets


def two_halves(h: int = 6, w: int = 8) -> Tensor:
    labels = torch.zeros(1, h, w, dtype=torch.uint8)
    labels[..., w // 2 :] = 1
    return labels


def certain(labels: Tensor, class_count: int = 3) -> Tensor:
    """Scores that leave no doubt."""
    planes = torch.nn.functional.one_hot(labels.long(), class_count)
    return 50 * planes.permute(0, 3, 1, 2).float()


def test_a_border_may_be_drawn_a_pixel_to_either_side() -> None:
    """Labels moved by one pixel cost nothing, moved by two they do, and strict classes forgive nothing."""
    labels, targets = two_halves(), relaxed_targets(two_halves(), 3)

    def cost(moved: int, targets: Tensor = targets) -> float:
        moved_labels = two_halves(6, 8).roll(moved, dims=-1)
        moved_labels[..., : max(moved, 0)] = 0
        moved_labels[..., 8 + min(moved, 0) :] = 1
        return float(relaxed_label_loss(certain(moved_labels), targets))

    assert cost(0) == cost(1) == cost(-1) == 0
    assert cost(2) > 1
    assert cost(1, relaxed_targets(labels, 3, strict=(1,))) > 1


@given(border=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_window_holds_what_lies_in_it(border: int, seed: int) -> None:
    """The targets are the classes of the window, and channel C stands for VOID and the outside."""
    labels = torch.randint(0, 4, (1, 7, 9), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    labels[labels == 3] = VOID

    targets = relaxed_targets(labels, 3, border=border)

    for y, x in ((0, 0), (3, 4), (6, 8)):
        window = labels[0, max(y - border, 0) : y + border + 1, max(x - border, 0) : x + border + 1]
        expected = {min(int(label), 3) for label in window.unique()}
        if window.numel() < (2 * border + 1) ** 2:
            expected.add(3)
        assert {i for i in range(4) if targets[0, i, y, x]} == expected


def test_without_a_border_and_weights_it_is_cross_entropy() -> None:
    """Plain one-hot targets give the cross entropy, over one pixel more."""
    labels, logits = two_halves(), torch.randn(1, 3, 6, 8)
    labels[0, 0, :3] = VOID

    loss = relaxed_label_loss(logits, relaxed_targets(labels, 3, border=0), bound=0.0)

    pixels = int((labels != VOID).sum())
    torch.testing.assert_close(loss, cross_entropy(logits, labels) * pixels / (pixels + 1))


def test_borders_count_double_in_the_end() -> None:
    """Late targets are 2 on both sides of a border, VOID included, and are one-hot."""
    labels = two_halves()
    labels[0, :, 0] = VOID

    targets = emphasised_targets(labels, 3)

    assert targets.sum(dim=1)[0, 0].tolist() == [2, 2, 1, 2, 2, 1, 1, 1]
    assert (targets > 0).sum(dim=1).eq(1).all()


@pytest.mark.parametrize("certainty", [0.0, 1e4])
def test_no_batch_breaks_it(certainty: float) -> None:
    """Nothing but VOID costs nothing; certainty of the wrong class is finite, and so are all gradients."""
    for labels in (torch.full((2, 6, 8), VOID, dtype=torch.uint8), two_halves().repeat(2, 1, 1)):
        logits = torch.zeros(2, 3, 6, 8)
        logits[:, 2] = certainty
        logits.requires_grad_()
        loss = relaxed_label_loss(logits, relaxed_targets(labels, 3))
        loss.backward()

        assert math.isfinite(loss.item())
        assert (loss == 0) == bool((labels == VOID).all())
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()
