"""Tests of refinement/candidates.py: what the refiner that scores candidates has of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.refinement.inputs import CLASSES, FEATURES, blocks, inputs_at, side_of
from warprefine.core.precision import computing
from warprefine.propagation.two_sided.label import refine_sides
from warprefine.propagation.two_sided.vote import vote
from warprefine.refinement.candidates import CandidateUNet, label_codes
from warprefine.refinement.interface import TwoSidedInput
from warprefine.training.losses.candidates import candidate_cross_entropy


def network() -> CandidateUNet:
    refiner = CandidateUNet(CLASSES, FEATURES, widths=(4, 6, 8, 10)).eval()
    torch.nn.init.normal_(refiner.classifier.weight)
    return refiner


def two_sides() -> TwoSidedInput:
    labels = blocks(40, 56)
    return inputs_at(40, 56, side_of(labels), side_of(labels.roll(5, dims=-1)))


def test_an_untrained_refiner_is_the_vote() -> None:
    """Before any step it labels nearly as the vote does, in which all classes have a part."""
    inputs = two_sides()
    refiner = CandidateUNet(CLASSES, FEATURES, widths=(4, 6, 8, 10)).eval()

    labels, _ = refine_sides(inputs, refiner).harden()

    voted, _ = vote(inputs).harden()
    assert float((labels == voted).float().mean()) > 0.9


def test_logits_of_all_classes_are_those_of_the_candidates() -> None:
    """As soft labels and as planes, it says the same."""
    inputs, refiner = two_sides(), network()

    soft = refine_sides(inputs, refiner)

    with torch.inference_mode(), computing(refiner):
        planes = refiner(inputs).float().softmax(dim=1)
    torch.testing.assert_close(soft.dense(CLASSES), planes, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [2, 16, 17, 121, 256])
def test_every_label_has_a_code_of_its_own(count: int) -> None:
    """Codes of one length tell any number of classes apart."""
    codes = label_codes(count)

    assert len(codes.unique(dim=0)) == count
    torch.testing.assert_close(codes.square().sum(dim=1), torch.ones(count))


def test_many_classes_take_the_other_way_to_the_same_products() -> None:
    """With many classes only the products of candidates are computed; they are the same."""
    few, many = (CandidateUNet(count, 0, widths=(4, 6, 8, 10)) for count in (8, 100))
    decoded = torch.randn(1, 6, 2, 3)
    labels = torch.randint(0, 9, (1, 4, 4, 6), dtype=torch.uint8)
    with torch.no_grad():
        few.classifier.weight.normal_()
        few.learned.normal_()
        many.learned[:9] = few.learned
        many.codes[:9] = few.codes
        many.classifier.load_state_dict(few.classifier.state_dict())

    torch.testing.assert_close(
        many._products(decoded, labels, (4, 6)), few._products(decoded, labels, (4, 6))
    )


def test_a_label_that_is_no_candidate_teaches_nothing() -> None:
    """No score of a candidate could make it right."""
    inputs, refiner = two_sides(), network()
    scores = refiner.scored(inputs)
    is_void = scores.labels == CLASSES
    without = replace(scores, is_empty=scores.is_empty | is_void)
    missing = torch.full_like(scores.labels[:, 0], CLASSES)

    loss = candidate_cross_entropy(without, missing, torch.ones(CLASSES + 1))

    assert bool(is_void.any())
    assert float(loss.detach()) == 0
