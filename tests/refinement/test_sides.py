"""Tests of refinement/sides.py: what both sides say is flipped, stacked and moved as one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement.sides import FARTHEST, Side, SidesInput, mirror_sides, stack, weigh_sides

CLASSES = 3


def side(h: int, w: int, *, slots: int = 2, distance: float = 1.0) -> Side:
    """Make up a side of one frame."""
    shares = torch.rand(1, slots, h, w).sort(dim=1, descending=True).values / slots
    return Side(
        soft=SoftLabels(labels=torch.randint(0, CLASSES, (1, slots, h, w), dtype=torch.uint8), shares=shares),
        trust=torch.rand(1, h, w),
        warped_frame=torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def seen_at(h: int, w: int, *, slots: tuple[int, int] = (2, 3)) -> SidesInput:
    """Make up what is seen of one frame (h, w), with logits at stride 2 and features at 4."""
    return SidesInput(
        frame=torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8),
        sides=(side(h, w, slots=slots[0], distance=2.0), side(h, w, slots=slots[1], distance=5.0)),
        segmentation=Segmentation(
            logits=torch.randn(1, CLASSES, -(-h // 2), -(-w // 2)),
            features=torch.randn(1, 5, -(-h // 4), -(-w // 4)),
        ),
    )


def tensors_of(seen: SidesInput) -> dict[str, Tensor]:
    """List all that is seen, by name."""
    found = {
        "frame": seen.frame,
        "logits": seen.segmentation.logits,
        "features": seen.segmentation.features,
    }
    for i, one in enumerate(seen.sides):
        found |= {f"labels{i}": one.soft.labels, f"shares{i}": one.soft.shares, f"trust{i}": one.trust}
        found |= {f"warped_frame{i}": one.warped_frame, f"distance{i}": one.distance}
    return found


def test_a_missing_side_says_nothing() -> None:
    """Where there is no key frame there are no labels and no trust, and the side knows that it is missing."""
    frame = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)

    missing = Side.missing(frame)

    assert not missing.soft.dense(CLASSES).any()
    assert not missing.trust.any()
    assert missing.warped_frame.shape == frame.shape
    assert missing.distance.tolist() == [FARTHEST, FARTHEST]
    assert missing.is_missing.tolist() == [True, True]
    assert side(4, 5, distance=FARTHEST - 1).is_missing.tolist() == [False]


def test_all_of_it_goes_to_another_device() -> None:
    """Nothing stays behind, and nothing is left out."""
    seen = seen_at(8, 12)

    moved = seen.to(torch.device("meta"))

    before, after = tensors_of(seen), tensors_of(moved)
    assert all(value.is_meta for value in after.values())
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in before.items()
    }


def test_a_missing_side_lies_where_the_frame_lies() -> None:
    """It goes with frames on any device."""
    missing = Side.missing(torch.zeros(1, 3, 4, 5, dtype=torch.uint8, device="meta"))

    parts = (missing.soft.labels, missing.soft.shares, missing.trust, missing.warped_frame, missing.distance)
    assert all(part.is_meta for part in parts)


@given(h=st.integers(8, 40), w=st.integers(8, 40))
def test_the_mirror_of_the_mirror_image_is_the_picture(h: int, w: int) -> None:
    """Flipped twice, all is as it was, whatever the size; only columns beyond the frame are new."""
    seen = seen_at(h, w)

    twice = mirror_sides(mirror_sides(seen))

    after = tensors_of(twice)
    for name, value in tensors_of(seen).items():
        assert torch.equal(after[name][..., : value.shape[-1]], value), name
    assert twice.frame.shape[-1] == w + -w % 4


@pytest.mark.parametrize("width", [16, 13])
def test_both_sides_are_flipped_about_the_same_line_as_the_frame(width: int) -> None:
    """In the mirror, pixels of the sides and cells of the segmenter still lie on their own pixels."""
    x = torch.arange(width).expand(1, 1, 8, width)
    place = Side(
        soft=SoftLabels(labels=x.to(torch.uint8), shares=x / width),
        trust=x[:, 0] / width,
        warped_frame=x.to(torch.uint8).expand(1, 3, 8, width),
        distance=torch.tensor([3.0]),
    )
    cells = 4.0 * torch.arange(-(-width // 4)).expand(1, 1, 2, -1)
    seen = SidesInput(
        frame=place.warped_frame,
        sides=(place, place),
        segmentation=Segmentation(logits=x.float(), features=cells),
    )

    flipped = mirror_sides(seen)

    expected = torch.arange(15, -1, -1).clamp(max=width - 1)
    for one in flipped.sides:
        assert torch.equal(one.soft.labels[0, 0, 0].long(), expected)
        assert torch.equal((one.soft.shares[0, 0, 0] * width).round().long(), expected)
        assert torch.equal((one.trust[0, 0] * width).round().long(), expected)
        assert torch.equal(one.warped_frame[0, 1, 0].long(), expected)
        assert one.distance.tolist() == [3.0]
    assert torch.equal(flipped.frame[0, 0, 0].long(), expected)
    assert flipped.segmentation.features[0, 0, 0].tolist() == [12, 8, 4, 0]


def test_frames_are_stacked_side_by_side() -> None:
    """Each frame of a batch keeps what was seen of it, however many labels per pixel the sides hold."""
    singles = [seen_at(8, 12, slots=slots) for slots in ((1, 4), (3, 2), (2, 2))]
    singles[1] = SidesInput(
        frame=singles[1].frame,
        sides=(singles[1].sides[0], Side.missing(singles[1].frame)),
        segmentation=singles[1].segmentation,
    )

    batch = stack(singles)

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
    """Each frame that the other is further away costs it a share; a far side speaks where nobody else can."""
    near, far = weighed(plain(trust=0.8, distance=2), plain(trust=0.8, distance=12))
    assert far / near == pytest.approx(math.exp(-1))

    near, far = weighed(plain(trust=0.0, distance=2), plain(trust=0.8, distance=12))
    assert (near, far) == (0, pytest.approx(0.8 * math.exp(-0.1)))


def test_sides_without_trust_count_nothing() -> None:
    """Nothing is divided by nothing."""
    assert weighed(plain(trust=0, distance=1), plain(trust=0, distance=1)) == (0, 0)
