"""Tests of training/refiners/left_out.py: things of the target that sides of a sample lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.training.refiners.left_out import leave_out
from warprefine.training.refiners.samples import Sample
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

SKY, ROAD, CAR, SIGN = range(4)
H, W = 64, 96
COLORS = torch.tensor([[120, 160, 220], [90, 80, 90], [10, 10, 140], [220, 220, 0]], dtype=torch.uint8)


def street() -> Tensor:
    """Return a label map: sky above, road below, a car on the road and a sign before the sky."""
    labels = torch.full((1, H, W), SKY, dtype=torch.uint8)
    labels[:, 32:] = ROAD
    labels[:, 40:52, 20:40] = CAR
    labels[:, 10:18, 70:76] = SIGN
    return labels


def picture(labels: Tensor) -> Tensor:
    return COLORS[labels.masked_fill(labels == VOID, SKY).long()].permute(0, 3, 1, 2).contiguous()


def side_of(labels: Tensor, distance: float = 3) -> Side:
    return Side(
        soft=SoftLabels.of_labels(labels),
        trust=torch.full((1, H, W), 0.8),
        warped_frame=picture(labels),
        distance=torch.tensor([float(distance)]),
    )


def sample_of(*sides: Side, target: Tensor | None = None) -> Sample[TwoSidedInput]:
    labels = street() if target is None else target
    frame = picture(labels)
    near, far = (*sides, Side.missing(frame))[:2]
    logits = torch.nn.functional.one_hot(labels.long().clamp(max=3), 4).permute(0, 3, 1, 2).float()
    segmentation = Segmentation(logits=logits, features=logits[:, :1])
    inputs = TwoSidedInput(frame=frame, sides=(near, far), segmentation=segmentation)
    return Sample(inputs=inputs, target=labels)


def found(sample: Sample[TwoSidedInput], count: int = 30) -> list[Sample[TwoSidedInput]]:
    return [leave_out(sample, np.random.default_rng(seed)) for seed in range(count)]


def lacking(side: Side) -> frozenset[int]:
    """Return which of car and sign the labels of a side lack altogether."""
    present = set(side.soft.labels.unique().tolist())
    return frozenset({CAR, SIGN} - present)


def test_a_thing_is_replaced_by_what_is_around_it() -> None:
    """Where the car was there is road, and where the sign was there is sky: labels and picture alike."""
    for sample in found(sample_of(side_of(street()))):
        side = sample.inputs.sides[0]
        expected = street()
        for thing, around in ((CAR, ROAD), (SIGN, SKY)):
            if thing in lacking(side):
                expected[expected == thing] = around

        assert lacking(side)
        assert torch.equal(side.soft.labels[:, 0], expected)
        assert torch.equal(side.warped_frame, picture(expected))
        assert bool((side.soft.shares == 1).all())


def test_the_frame_and_what_is_right_of_it_stay() -> None:
    """The thing is in the frame, in the segmenter's output and in the target: there it is to be found."""
    given = sample_of(side_of(street()))
    before = given.inputs.sides[0].trust.clone(), given.inputs.sides[0].soft.labels.clone()

    for sample in found(given, 5):
        assert sample.target is given.target
        assert sample.inputs.frame is given.inputs.frame
        assert sample.inputs.segmentation is given.inputs.segmentation
        assert sample.inputs.sides[0].distance is given.inputs.sides[0].distance
    assert torch.equal(given.inputs.sides[0].trust, before[0])
    assert torch.equal(given.inputs.sides[0].soft.labels, before[1])


def test_trust_is_lowered_where_a_thing_is_left_out() -> None:
    """By a factor from 0.3 to 1 inside it and a few pixels around, and nowhere else."""
    factors = set()
    for sample in found(sample_of(side_of(street()))):
        side = sample.inputs.sides[0]
        for thing in lacking(side):
            region = street() == thing
            (factor,) = (side.trust[region] / 0.8).unique().tolist()
            factors.add(round(factor, 4))
        far_away = torch.ones(1, H, W, dtype=torch.bool)
        far_away[:, 30:60, 10:50] = far_away[:, 2:26, 62:84] = False
        assert bool((side.trust[far_away] == torch.tensor(0.8)).all())

    assert len(factors) > 10
    assert min(factors) < 0.5
    assert all(0.3 <= factor <= 1 for factor in factors)


def test_one_or_several_things_are_left_out_of_one_side_or_both() -> None:
    """So that a thing may be on one side, on none, or each of two on another."""
    samples = found(sample_of(side_of(street()), side_of(street(), 5)), 150)
    pairs = {tuple(lacking(side) for side in sample.inputs.sides) for sample in samples}

    both = frozenset({CAR, SIGN})
    assert (frozenset({CAR}), frozenset()) in pairs
    assert (frozenset(), frozenset({SIGN})) in pairs
    assert (frozenset({CAR}), frozenset({CAR})) in pairs
    assert (both, both) in pairs
    assert all(first or second for first, second in pairs)


def test_a_side_that_is_missing_stays_so() -> None:
    """Nothing is left out of a side without key frames."""
    given = sample_of(side_of(street()))

    for sample in found(given, 10):
        assert sample.inputs.sides[1] is given.inputs.sides[1]


def test_carried_labels_that_have_drifted_are_covered_too() -> None:
    """A car that arrives a few pixels beside its place leaves no edge behind."""
    for sample in found(sample_of(side_of(street().roll(5, dims=2)))):
        left = set(sample.inputs.sides[0].soft.labels.unique().tolist())
        assert left in ({SKY, ROAD, CAR}, {SKY, ROAD, SIGN}, {SKY, ROAD})


def test_what_covers_a_thing_is_neither_void_nor_another_thing() -> None:
    """Between the car and the road lies a border without labels, and beside it another thing."""
    target = street()
    target[:, 37:55, 17:43] = VOID
    target[:, 40:52, 20:40] = CAR
    target[:, 40:52, 40:43] = SIGN
    for sample in found(sample_of(side_of(target), target=target)):
        inside = sample.inputs.sides[0].soft.labels[:, 0][target == CAR]
        assert set(inside.tolist()) <= {CAR, SKY, ROAD}


@pytest.mark.parametrize("value", [ROAD, VOID])
def test_a_sample_without_things_is_returned_as_it_is(value: int) -> None:
    """All of it is of one class, or of none."""
    target = torch.full((1, H, W), value, dtype=torch.uint8)
    side = replace(side_of(street()), soft=SoftLabels.of_labels(target))
    given = sample_of(side, target=target)

    for sample in found(given, 5):
        assert sample.inputs.sides[0] is side


def test_speckles_and_large_parts_are_no_things() -> None:
    """A label of two pixels is an error of a hand, and a part of the road is no thing."""
    target = street()
    target[:, 60, 90:92] = CAR
    for sample in found(sample_of(side_of(target), target=target)):
        labels = sample.inputs.sides[0].soft.labels[:, 0]
        assert labels[0, 60, 90:92].tolist() == [CAR, CAR]
        assert int((labels == ROAD).sum()) >= int((target == ROAD).sum())


def test_the_result_follows_from_the_generator() -> None:
    """The same numbers leave out the same things; resumed trainings continue as they would have."""
    given = sample_of(side_of(street()), side_of(street(), 5))

    first, again = (leave_out(given, np.random.default_rng(7)) for _ in range(2))

    for one, other in zip(first.inputs.sides, again.inputs.sides, strict=True):
        assert torch.equal(one.trust, other.trust)
        assert torch.equal(one.soft.labels, other.soft.labels)
        assert torch.equal(one.warped_frame, other.warped_frame)


class Pool:
    """A pool of one sample."""

    def draw(self, rng: np.random.Generator) -> Sample[TwoSidedInput]:
        rng.random()
        return sample_of(side_of(street()))

    def class_pixels(self) -> Tensor:
        return torch.bincount(street().flatten(), minlength=VOID + 1)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)])
def test_the_recipe_says_how_many_samples_lack_things(share: float, least: int, most: int) -> None:
    """`left_out` is a share of all samples, applied to what is left of them after cropping."""
    recipe = TwoSidedRefinerRecipe(left_out=share, crop=(H, W), jitter=0, optimisation=Optimisation(batch=40))

    batch = TWO_SIDED_REFINER.batches([(Pool(), 1.0)], recipe, seed=3)(0)

    lowered = (batch.inputs.sides[0].trust != torch.tensor(0.8)).flatten(1).any(dim=1)
    assert least <= int(lowered.sum()) <= most
    assert batch.inputs.frame.shape == (40, 3, H, W)


def test_without_it_batches_are_those_of_before() -> None:
    """The draw whether things are left out comes last, so that it changes no other."""
    batches = [
        TWO_SIDED_REFINER.batches(
            [(Pool(), 1.0)],
            TwoSidedRefinerRecipe(left_out=share, crop=(32, 48), optimisation=Optimisation(batch=6)),
            seed=3,
        )(0)
        for share in (0.0, 1.0)
    ]

    assert torch.equal(batches[0].target, batches[1].target)
    assert torch.equal(batches[0].inputs.frame, batches[1].inputs.frame)
