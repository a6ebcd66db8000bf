"""Tests of propagation/two_sided/vote.py: both sides and the segmenter weighed, without a trained refiner."""

from __future__ import annotations

import math

import pytest
import torch

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.two_sided.vote import semantic_probabilities, vote
from warprefine.refinement.interface import (
    FADE,
    PREFERENCE,
    SEMANTIC_WEIGHT,
    VOID_WEIGHT,
    Side,
    TwoSidedInput,
)

H, W = 12, 16


def certain(label: int, *, trust: float, distance: float) -> Side:
    return Side(
        soft=SoftLabels.of_labels(torch.full((1, H, W), label, dtype=torch.uint8)),
        trust=torch.full((1, H, W), trust),
        warped_frame=torch.zeros(1, 3, H, W, dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def inputs_of(*sides: Side, probabilities: tuple[float, ...]) -> TwoSidedInput:
    """Return two sides with the output of a segmenter, at half the resolution."""
    logits = torch.tensor(probabilities).log().view(1, -1, 1, 1).expand(1, -1, H // 2, W // 2)
    return TwoSidedInput(
        frame=torch.zeros(1, 3, H, W, dtype=torch.uint8),
        sides=(sides[0], sides[1]),
        segmentation=Segmentation(logits=logits, features=torch.zeros(1, 1, 3, 4)),
    )


def test_votes_weigh_trust_distance_and_the_segmenter() -> None:
    """Both sides count as far as they are trusted, less the further away they are; VOID counts less.

    The shares are those of all votes.
    """
    inputs = inputs_of(
        certain(1, trust=0.8, distance=2.0),
        certain(VOID, trust=0.5, distance=5.0),
        probabilities=(0.5, 0.3, 0.2),
    )

    votes = vote(inputs, fade=0.1, preference=0.2, semantic_weight=0.6, void_weight=0.4)

    far = 0.5 * math.exp(-0.2 * 3)
    scale = (1 - 0.2 * 0.5) * math.exp(-0.1 * 2) / (0.8 + far)
    expected = torch.tensor([0.6 * 0.5, 0.8 * scale + 0.6 * 0.3, 0.6 * 0.2, 0.4 * far * scale])
    torch.testing.assert_close(votes.dense(3)[0, :, 7, 9], expected / expected.sum())


def test_where_no_side_is_trusted_the_segmenter_decides() -> None:
    """Where no side is trusted the segmenter's probabilities are the shares, whatever its weight."""
    inputs = inputs_of(
        certain(1, trust=0.0, distance=1.0),
        Side.missing(torch.zeros(1, 3, H, W, dtype=torch.uint8)),
        probabilities=(0.5, 0.3, 0.2),
    )

    votes = vote(inputs, semantic_weight=0.1)

    torch.testing.assert_close(votes.dense(3)[0, :, 0, 0], torch.tensor([0.5, 0.3, 0.2, 0]))


def test_the_weights_are_by_default_those_of_the_refiner() -> None:
    """A vote without arguments has the weights that a refiner's training begins from."""
    inputs = inputs_of(
        certain(1, trust=0.8, distance=2.0),
        certain(VOID, trust=0.5, distance=5.0),
        probabilities=(0.5, 0.3, 0.2),
    )
    given = vote(
        inputs,
        fade=FADE,
        preference=PREFERENCE,
        semantic_weight=SEMANTIC_WEIGHT,
        void_weight=VOID_WEIGHT,
    )

    assert torch.equal(vote(inputs).dense(3), given.dense(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_of_the_segmenter_are_at_the_size_of_the_frame(dtype: torch.dtype) -> None:
    """They are computed in float32 from logits of any precision, and sum to 1."""
    logits = torch.randn(1, 3, H // 2, W // 2).to(dtype)
    segmentation = Segmentation(logits=logits, features=torch.zeros(1, 1, 3, 4))

    probabilities = semantic_probabilities(segmentation, torch.zeros(1, 3, H, W, dtype=torch.uint8))

    assert probabilities.shape == (1, 3, H, W)
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(1, H, W))
    torch.testing.assert_close(probabilities[0, :, 0, 0], logits[0, :, 0, 0].float().softmax(0))
