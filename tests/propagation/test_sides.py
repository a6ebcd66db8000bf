"""Tests of propagation/sides.py: what key frames on both sides say of a frame, and how they are weighed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.sides import SideMaker, Ways, vote
from warprefine.propagation.trajectories import TrustRule
from warprefine.refinement.sides import FARTHEST, Side, SidesInput

H, W = 12, 16
NEAR, FAR = 2, 1  # labels of the nearer and of the farther key frame


def makers(drive: Any, **ways: Any) -> SideMaker:
    """Make the sides of a drive whose frames may all be asked as if they were labelled."""
    return SideMaker(drive.evidence(drive.video([0])), Ways(**ways), drive.hand)


def check_arrived(drive: Any, side: Side, frame: int, view: Tensor) -> None:
    """Check that a side says in view what a person would say, and nothing elsewhere."""
    labels, share = side.soft.harden()
    torch.testing.assert_close(labels, drive.hand(frame).masked_fill(~view, VOID))
    torch.testing.assert_close(share, view.float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(side.trust, view.float(), atol=1e-4, rtol=0)
    shown = view[:, None].expand(1, 3, *drive.size)
    assert torch.equal(side.warped_frame[shown], drive.frame(frame)[shown])


@pytest.mark.parametrize("carry", ["trajectory", "steps"])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize(("frame", "origin"), [(1, 0), (4, 0), (1, 5)])
def test_labels_arrive_exactly_where_they_are_in_view(
    drive: Any, frame: int, origin: int, carry: Any, soft: bool
) -> None:
    """With whole-pixel motion a person's labels and the picture reach all that is in view in both frames."""
    side = makers(drive, carry=carry, soft=soft).side(frame, (origin,))

    check_arrived(drive, side, frame, drive.in_view([origin], of=frame))
    assert side.distance.tolist() == [abs(frame - origin)]


@pytest.mark.parametrize("carry", ["trajectory", "steps"])
@pytest.mark.parametrize(("frame", "via"), [(0, 1), (1, 4), (5, 2)])
def test_what_stays_in_view_comes_home_from_a_cycle(drive: Any, frame: int, via: int, carry: Any) -> None:
    """Labels and picture of a key frame come back unharmed, but for what was out of view on the way."""
    side = makers(drive, carry=carry).cycle(frame, via)

    check_arrived(drive, side, frame, drive.in_view([via], of=frame))
    assert side.distance.tolist() == [abs(frame - via)]


@pytest.mark.parametrize(
    ("frame", "key_frames", "distances"),
    [
        (4, (0, 5), [1, 4]),
        (1, (0, 5), [1, 4]),
        (2, (0, 4), [2, 2]),
        (3, (0,), [3, FARTHEST]),
        (3, (5,), [2, FARTHEST]),
        (3, (), [FARTHEST, FARTHEST]),
    ],
)
def test_the_nearer_side_comes_first(
    drive: Any, frame: int, key_frames: tuple[int, ...], distances: list[float]
) -> None:
    """The side of the nearest key frame comes first; where there is no key frame, a side is missing."""
    sides = makers(drive).around(frame, key_frames)

    assert [float(side.distance) for side in sides] == distances
    assert [bool(side.is_missing) for side in sides] == [away == FARTHEST for away in distances]


def test_on_a_tie_the_earlier_side_comes_first(drive: Any) -> None:
    """Which side is which shows in what is in view."""
    first, second = makers(drive).around(2, (0, 4))

    check_arrived(drive, first, 2, drive.in_view([0], of=2))
    check_arrived(drive, second, 2, drive.in_view([4], of=2))


def test_key_frames_out_of_reach_are_not_asked(drive: Any) -> None:
    """Whoever is further away than the reach has no say."""
    sides = makers(drive, reach=2).around(2, (0, 5))

    assert [bool(side.is_missing) for side in sides] == [False, True]


def test_one_side_is_the_nearer_one(drive: Any) -> None:
    """Where only one side is asked, it is that of the nearest key frame, and the other is missing."""
    nearer, farther = makers(drive, sides=1).around(4, (0, 5))

    check_arrived(drive, nearer, 4, drive.in_view([5], of=4))
    assert farther.is_missing.all()


def test_what_is_dropped_is_made_again(drive: Any) -> None:
    """Sides are the same, whatever was dropped before they were made."""
    maker, other = makers(drive), makers(drive)
    for frame in (1, 2, 3, 4):
        kept, fresh = maker.around(frame, (0, 5)), other.around(frame, (0, 5))
        maker.keep({frame})
        for one, same in zip(kept, fresh, strict=True):
            assert torch.equal(one.soft.labels, same.soft.labels)
            assert torch.equal(one.soft.shares, same.soft.shares)
            assert torch.equal(one.trust, same.trust)


def shift(x: float) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, 0.0]).view(1, 2, 1, 1).repeat(1, 1, H, W)


class Steps:
    """Footage of grey frames whose steps, each the same, move by `there` forwards and by `back` backwards.

    The last step may be another one.
    """

    def __init__(self, there: Tensor, back: Tensor, last: tuple[Tensor, Tensor] | None = None) -> None:
        self._steps = dict.fromkeys(range(1, 9), (there, back))
        self._steps[2] = last or (there, back)

    def frame(self, k: int) -> Tensor:
        return torch.full((1, 3, H, W), 100, dtype=torch.uint8)

    def flow(self, b: int, a: int) -> Tensor:
        return self._steps[max(a, b)][0 if b > a else 1]


def stripes(k: int) -> Tensor:
    """Return labels that change from pixel to pixel, (1, h, w)."""
    return (torch.arange(W) % 3).to(torch.uint8).expand(1, H, W).contiguous()


def two_key_frames(k: int) -> Tensor:
    return torch.full((1, H, W), FAR if k == 0 else NEAR, dtype=torch.uint8)


def test_labels_are_resampled_once_on_a_trajectory() -> None:
    """Four steps of half a pixel are two pixels: nothing is lost, where warping at every step blurs."""
    footage = Steps(shift(-0.5), shift(0.5))
    once, often = (
        SideMaker(footage, Ways(carry=carry), stripes).side(4, (0,)) for carry in ("trajectory", "steps")
    )

    assert torch.equal(once.soft.harden()[0][..., 2:], stripes(0)[..., :-2])
    assert once.soft.harden()[1][..., 2:].min() == 1
    assert often.soft.harden()[1][..., 4:-4].max() < 0.6


def test_soft_labels_keep_what_a_hard_label_drops() -> None:
    """Half-way between two labels each has half the share; where one label is kept, it has it all."""
    footage = Steps(shift(-0.5), shift(0.5))
    soft, hard = (SideMaker(footage, Ways(soft=kept), stripes).side(1, (0,)).soft for kept in (True, False))

    assert soft.shares[0, :, 5, 5].tolist() == [0.5, 0.5, 0, 0]
    assert sorted(soft.labels[0, :2, 5, 5].tolist()) == sorted(stripes(0)[0, 5, 4:6].tolist())
    assert hard.shares[0, :, 5, 5].tolist() == [1]
    assert hard.labels[0, 0, 5, 5] == soft.labels[0, 0, 5, 5]
    for one in (soft, hard):
        assert not one.shares[..., 0].any(), "nothing is known of what comes into view"


def test_hand_made_void_is_a_label(drive: Any) -> None:
    """What a person left out is known to be left out, which is more than nothing."""
    side = makers(drive).side(3, (0,))

    left_out = drive.in_view([0], of=3) & (drive.hand(3) == VOID)
    assert left_out.any()
    assert side.soft.dense(4)[:, -1][left_out].min() > 0.999


class Straight:
    """Motion that finds out, whatever it begins from, that nothing moves."""

    name = "straight"

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        return shift(0)

    def improve(self, frame_b: Tensor, frame_a: Tensor, flow_ba: Tensor) -> Tensor:
        return shift(0)


def test_where_the_nearest_key_frame_has_no_answer_the_next_one_has() -> None:
    """What was hidden in the nearest key frame is asked of the one behind it, if a way leads there."""
    lost = shift(0)
    lost[..., :8] = 5  # a way that nothing leads back along
    ways = Ways(trust=TrustRule(slack=1.0), long_range=Straight())
    maker = SideMaker(Steps(shift(0), shift(0), last=(lost, shift(0))), ways, two_key_frames)

    side = maker.side(2, (1, 0))

    labels, share = side.soft.harden()
    assert labels[0, 0].tolist() == [FAR] * 8 + [NEAR] * 8
    assert share.min() > 0.999
    assert side.trust.min() > 0.999
    assert side.distance.tolist() == [1]


def test_a_cycle_is_trusted_as_far_as_both_its_ways() -> None:
    """An error on the way out counts as much as one on the way home."""
    error = math.sqrt(2 * math.log(2))
    for there, back in ((shift(0), shift(error)), (shift(error), shift(0))):
        maker = SideMaker(Steps(there, back), Ways(trust=TrustRule(slack=1.0)), two_key_frames)

        trust = maker.cycle(0, 1).trust

        torch.testing.assert_close(trust[..., 2:-3], torch.full((1, H, W - 5), 0.25))


def test_half_trusted_key_frames_share_a_pixel() -> None:
    """The nearest covers what is behind it as far as it is trusted: 1/2, and half of the other half."""
    error = math.sqrt(2 * math.log(2))
    maker = SideMaker(
        Steps(shift(0), shift(0), last=(shift(0), shift(error))),
        Ways(trust=TrustRule(slack=1.0)),
        two_key_frames,
    )

    side = maker.side(2, (1, 0))

    torch.testing.assert_close(side.trust, torch.full((1, H, W), 0.75))
    dense = side.soft.dense(3)[0, :, 5, 5]
    torch.testing.assert_close(dense, torch.tensor([0, 1 / 3, 2 / 3, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("origins", [(1,), (1, 0)])
def test_a_key_frame_that_nobody_trusts_is_still_heard(origins: tuple[int, ...]) -> None:
    """Without any trust the nearest key frame's labels are there for a refiner, others asked or not."""
    footage = Steps(shift(0), shift(0), last=(shift(0), shift(50)))
    maker = SideMaker(footage, Ways(trust=TrustRule(slack=1.0)), two_key_frames)

    side = maker.side(2, origins)

    assert not side.trust.any()
    assert side.soft.harden()[0].unique().tolist() == [NEAR]
    assert side.soft.harden()[1].unique().tolist() == [1]


def certain(label: int, *, trust: float, distance: float) -> Side:
    return Side(
        soft=SoftLabels.of_labels(torch.full((1, H, W), label, dtype=torch.uint8)),
        trust=torch.full((1, H, W), trust),
        warped_frame=torch.zeros(1, 3, H, W, dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def heard(*sides: Side, probabilities: tuple[float, ...]) -> SidesInput:
    """Put two sides beside a segmenter that sees at half the resolution."""
    logits = torch.tensor(probabilities).log().view(1, -1, 1, 1).expand(1, -1, H // 2, W // 2)
    return SidesInput(
        frame=torch.zeros(1, 3, H, W, dtype=torch.uint8),
        sides=(sides[0], sides[1]),
        segmentation=Segmentation(logits=logits, features=torch.zeros(1, 1, 3, 4)),
    )


def test_votes_weigh_trust_distance_and_the_segmenter() -> None:
    """Both sides count as far as they are trusted, less the further away they are; VOID counts less.

    The shares are those of all votes.
    """
    seen = heard(
        certain(1, trust=0.8, distance=2.0),
        certain(VOID, trust=0.5, distance=5.0),
        probabilities=(0.5, 0.3, 0.2),
    )

    said = vote(seen, fade=0.1, preference=0.2, semantic_weight=0.6, void_weight=0.4)

    far = 0.5 * math.exp(-0.2 * 3)
    scale = (1 - 0.2 * 0.5) * math.exp(-0.1 * 2) / (0.8 + far)
    votes = torch.tensor([0.6 * 0.5, 0.8 * scale + 0.6 * 0.3, 0.6 * 0.2, 0.4 * far * scale])
    torch.testing.assert_close(said.dense(3)[0, :, 7, 9], votes / votes.sum())


def test_where_no_side_is_trusted_the_segmenter_decides() -> None:
    """Where no side is trusted the segmenter's probabilities are the shares, whatever it weighs."""
    seen = heard(
        certain(1, trust=0.0, distance=1.0),
        Side.missing(torch.zeros(1, 3, H, W, dtype=torch.uint8)),
        probabilities=(0.5, 0.3, 0.2),
    )

    said = vote(seen, semantic_weight=0.1)

    torch.testing.assert_close(said.dense(3)[0, :, 0, 0], torch.tensor([0.5, 0.3, 0.2, 0]))


def test_pictures_are_rounded_to_the_nearest_grey() -> None:
    """A quarter of the way from 10 to 13 lies 11: to round down would darken all that is brought along."""

    class Striped(Steps):
        def frame(self, k: int) -> Tensor:
            return (10 + 3 * (torch.arange(W) % 2)).to(torch.uint8).expand(1, 3, H, W).contiguous()

    side = SideMaker(Striped(shift(-0.25), shift(0.25)), Ways(), stripes).side(1, (0,))

    assert side.warped_frame[..., 1:].unique().tolist() == [11, 12]
