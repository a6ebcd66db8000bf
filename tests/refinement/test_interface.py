"""Tests of refinement/interface.py: the input of a two-sided refiner is stacked, moved and weighed as one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from tests.refinement.inputs import CLASSES, inputs_at, random_side, tensors_of
from warprefine.core.tensors import VOID
from warprefine.recipe.plus import FARTHEST
from warprefine.refinement.interface import Side, TwoSidedInput, weigh_sides


def soft_input(h: int, w: int, *, slots: tuple[int, int] = (2, 3)) -> TwoSidedInput:
    """Return an input with so many soft labels per pixel on either side."""
    near, far = (
        random_side(h, w, slots=slots[0], distance=2.0),
        random_side(h, w, slots=slots[1], distance=5.0),
    )
    return inputs_at(h, w, near, far)


def test_a_missing_side_has_no_labels() -> None:
    """Where there is no key frame there are no labels and no trust, and the side is marked as missing."""
    frame = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)

    missing = Side.missing(frame)

    assert not missing.soft.dense(CLASSES).any()
    assert not missing.trust.any()
    assert missing.warped_frame.shape == frame.shape
    assert missing.distance.tolist() == [FARTHEST, FARTHEST]
    assert missing.is_missing.tolist() == [True, True]
    assert random_side(4, 5, distance=FARTHEST - 1.0).is_missing.tolist() == [False]


def test_all_of_it_goes_to_another_device() -> None:
    """Nothing stays behind, and nothing is left out."""
    inputs = soft_input(8, 12)

    moved = inputs.to(torch.device("meta"))

    before, after = tensors_of(inputs), tensors_of(moved)
    assert all(value.is_meta for value in after.values())
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in before.items()
    }


def test_a_missing_side_lies_where_the_frame_lies() -> None:
    """It goes with frames on any device."""
    missing = Side.missing(torch.zeros(1, 3, 4, 5, dtype=torch.uint8, device="meta"))

    parts = (missing.soft.labels, missing.soft.shares, missing.trust, missing.warped_frame, missing.distance)
    assert all(part.is_meta for part in parts)


def test_frames_are_stacked_side_by_side() -> None:
    """Each frame of a batch keeps its own input, however many labels per pixel the sides hold."""
    singles = [soft_input(8, 12, slots=slots) for slots in ((1, 4), (3, 2), (2, 2))]
    singles[1] = TwoSidedInput(
        frame=singles[1].frame,
        sides=(singles[1].sides[0], Side.missing(singles[1].frame)),
        segmentation=singles[1].segmentation,
    )

    batch = TwoSidedInput.stacked(singles)

    assert [one.soft.labels.shape[1] for one in batch.sides] == [3, 4]
    assert batch.sides[1].is_missing.tolist() == [False, True, False]
    for i, single in enumerate(singles):
        for name in ("frame", "logits", "features", "trust0", "trust1", "distance0", "distance1"):
            assert torch.equal(tensors_of(batch)[name][i], tensors_of(single)[name][0]), name
        for one, alone in zip(batch.sides, single.sides, strict=True):
            assert torch.equal(one.soft.dense(CLASSES)[i], alone.soft.dense(CLASSES)[0])
            assert torch.equal(one.warped_frame[i], alone.warped_frame[0])
    empty = batch.sides[0].soft.shares == 0
    assert (batch.sides[0].soft.labels[empty] == VOID).all()


def weighed(*sides: Side, fade: float = 0.05, preference: float = 0.1) -> tuple[float, float]:
    """Return what sides that are alike all over count."""
    near, far = weigh_sides((sides[0], sides[1]), fade=fade, preference=preference)
    return float(near[0, 0, 0]), float(far[0, 0, 0])


def plain(*, trust: float, distance: float) -> Side:
    frame = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    return replace(
        Side.missing(frame),
        trust=torch.full((1, 4, 4), float(trust)),
        distance=torch.tensor([float(distance)]),
    )


def test_a_side_alone_counts_by_its_trust_and_distance() -> None:
    """What is beside it is missing and counts nothing."""
    near, far = weighed(
        plain(trust=0.5, distance=3), Side.missing(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    )

    assert near == pytest.approx(0.5 * math.exp(-0.15))
    assert far == 0


def test_two_sides_count_as_far_as_either_can_be_trusted() -> None:
    """Together they are trusted unless both are wrong, and no more for being two."""
    near, far = weighed(plain(trust=0.5, distance=3), plain(trust=0.5, distance=3))

    assert near == pytest.approx(far)
    assert near + far == pytest.approx(0.75 * math.exp(-0.15))


def test_the_nearer_side_is_preferred() -> None:
    """Each frame that the other is further away costs it a share; alone in being trusted, it counts fully."""
    near, far = weighed(plain(trust=0.8, distance=2), plain(trust=0.8, distance=12))
    assert far / near == pytest.approx(math.exp(-1))

    near, far = weighed(plain(trust=0.0, distance=2), plain(trust=0.8, distance=12))
    assert (near, far) == (0, pytest.approx(0.8 * math.exp(-0.1)))


def test_sides_without_trust_count_nothing() -> None:
    """Nothing is divided by nothing."""
    assert weighed(plain(trust=0, distance=1), plain(trust=0, distance=1)) == (0, 0)
