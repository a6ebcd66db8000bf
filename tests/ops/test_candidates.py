"""Tests of ops/candidates.py: the few labels that can be right, and who votes for them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from warprefine.core.tensors import VOID
from warprefine.ops.candidates import Candidates, Voters, find_candidates
from warprefine.ops.resize import to_size
from warprefine.ops.soft_labels import SoftLabels

pytestmark = pytest.mark.usefixtures("with_and_without_loops")

CLASSES = 5
SEMANTIC, VOIDS = 0.6, 0.5


def voters(seed: int, size: tuple[int, int] = (6, 8), *, stride: int = 1) -> Voters:
    """Return random voters: two sides with VOID among their labels, and a segmenter."""
    generator = torch.Generator().manual_seed(seed)
    h, w = size

    def side() -> SoftLabels:
        planes = torch.rand((2, CLASSES + 1, h, w), generator=generator) ** 4
        planes = planes * (planes > 0.2)
        shares = planes / planes.sum(dim=1, keepdim=True).clamp(min=1)
        return SoftLabels.of_probabilities(shares, most=4, void_is_last=True)

    def map_of_shares() -> Tensor:
        return torch.rand((2, h, w), generator=generator)

    return Voters(
        soft=(side(), side()),
        weights=(map_of_shares(), map_of_shares()),
        trust=(map_of_shares(), map_of_shares()),
        logits=3 * torch.randn((2, CLASSES, h // stride, w // stride), generator=generator),
    )


def found(given_voters: Voters, *, most: int = CLASSES + 1, codes: Tensor | None = None) -> Candidates:
    table = torch.eye(CLASSES + 1) if codes is None else codes
    return find_candidates(given_voters, table, most=most, semantic_weight=SEMANTIC, void_weight=VOIDS)


def dense(values: Tensor, candidates: Candidates) -> Tensor:
    """Spread values of candidates over planes, one per class and, last, VOID's."""
    b, _, h, w = values.shape
    planes = torch.zeros(b, CLASSES + 2, h, w)
    places = candidates.labels.long().masked_fill(candidates.is_empty, CLASSES + 1)
    return planes.scatter(1, places, values)[:, :-1]


def among_candidates(logits: Tensor, candidates: Candidates) -> Tensor:
    """Return the softmax of logits over the candidates of each pixel."""
    is_candidate = dense(torch.ones_like(candidates.shares[:, 0]), candidates)[:, :CLASSES] > 0
    return logits.masked_fill(~is_candidate, -torch.inf).softmax(dim=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_shares_are_those_of_the_voters(seed: int) -> None:
    """Each candidate has what both sides and the segmenter give to it, wherever its slot is."""
    given_voters = voters(seed)

    candidates = found(given_voters)

    for place in (0, 1):
        expected = given_voters.soft[place].dense(CLASSES)
        torch.testing.assert_close(dense(candidates.shares[:, place], candidates), expected)
    of_segmenter = dense(candidates.shares[:, 2], candidates)[:, :CLASSES]
    torch.testing.assert_close(of_segmenter, among_candidates(given_voters.logits, candidates))
    likeliest = given_voters.logits.topk(3, dim=1).indices
    assert bool((of_segmenter.gather(1, likeliest) > 0).all())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_candidates_with_most_votes_come_first(seed: int) -> None:
    """Two slots hold the two labels that a vote over all classes puts first."""
    given_voters = voters(seed)
    near, far = (
        weight[:, None] * soft.dense(CLASSES)
        for weight, soft in zip(given_voters.weights, given_voters.soft, strict=True)
    )
    votes = near + far
    votes[:, :CLASSES] += SEMANTIC * among_candidates(given_voters.logits, found(given_voters))
    votes[:, CLASSES] *= VOIDS

    labels = found(given_voters, most=2).labels

    assert labels.long().equal(votes.topk(2, dim=1).indices)


def test_logits_are_interpolated_between_cells() -> None:
    """At a coarser stride the segmenter's probabilities are those of its logits at the size of the frame."""
    given_voters = voters(3, (16, 24), stride=4)
    resized = to_size(given_voters.logits, (16, 24))

    candidates = found(given_voters)

    of_segmenter = dense(candidates.shares[:, 2], candidates)[:, :CLASSES]
    torch.testing.assert_close(of_segmenter, among_candidates(resized, candidates))


def test_codes_are_summed_by_voter() -> None:
    """Trusted shares of both sides, those of the segmenter, and the votes: four groups of codes."""
    given_voters = voters(5)
    codes = torch.randn((CLASSES + 1, 3), generator=torch.Generator().manual_seed(1))

    candidates = found(given_voters, codes=codes)

    assert candidates.codes.is_contiguous(memory_format=torch.channels_last)
    near = given_voters.trust[0][:, None] * given_voters.soft[0].dense(CLASSES)
    torch.testing.assert_close(candidates.codes[:, :3], torch.einsum("bchw,ce->behw", near, codes))
    of_segmenter = dense(candidates.shares[:, 2], candidates)
    torch.testing.assert_close(candidates.codes[:, 6:9], torch.einsum("bchw,ce->behw", of_segmenter, codes))


def test_room_is_left_for_further_channels() -> None:
    """The caller's channels come after the codes."""
    candidates = find_candidates(
        voters(1), torch.eye(CLASSES + 1), most=2, semantic_weight=1.0, void_weight=1.0, room=3
    )

    assert candidates.codes.shape[1] == 4 * (CLASSES + 1) + 3


def test_pixels_without_votes_keep_the_classes_of_the_segmenter() -> None:
    """Where neither side has a label, the segmenter's likeliest classes are the candidates."""
    nothing = SoftLabels(
        labels=torch.full((1, 1, 2, 2), VOID, dtype=torch.uint8), shares=torch.zeros(1, 1, 2, 2)
    )
    zeros = torch.zeros(1, 2, 2)
    logits = torch.arange(CLASSES).float().view(1, CLASSES, 1, 1).expand(1, CLASSES, 2, 2)

    candidates = found(
        Voters(soft=(nothing, nothing), weights=(zeros, zeros), trust=(zeros, zeros), logits=logits)
    )

    assert candidates.labels[0, :3, 0, 0].tolist() == [4, 3, 2]
    assert candidates.is_empty[0, :, 0, 0].tolist() == [False, False, False, True, True, True]


def test_too_many_slots_are_our_own_mistake() -> None:
    """The room for labels of a pixel is bounded, and nothing is written beyond it."""
    many = SoftLabels(labels=torch.zeros(1, 8, 2, 2, dtype=torch.uint8), shares=torch.zeros(1, 8, 2, 2))
    zeros = torch.zeros(1, 2, 2)

    with pytest.raises(AssertionError, match="up to four slots"):
        found(
            Voters(
                soft=(many, many),
                weights=(zeros, zeros),
                trust=(zeros, zeros),
                logits=torch.zeros(1, 5, 2, 2),
            )
        )
