"""Tests of propagation/two_sided/carry.py: labels carried to a frame from the key frames on one side."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.tensors import VOID
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.propagation.two_sided.trajectories import Footage
from warprefine.recipe.plus import FARTHEST, CarrySettings
from warprefine.refinement.interface import Side

H, W = 12, 16
NEAR, FAR = 2, 1  # labels of the nearer and of the farther key frame


def carrier(drive: Any, **settings: Any) -> LabelCarrier:
    """Return a carrier for a drive any of whose frames may be an origin."""
    evidence, key_labels = drive.evidence(drive.video([0])), drive.hand_labels
    return LabelCarrier(evidence, CarrySettings(**settings), key_labels, motion=drive.motion())


def check_arrived(drive: Any, side: Side, frame: int, view: Tensor) -> None:
    """Check that a side has the hand-made labels in view, and nothing elsewhere."""
    labels, share = side.soft.harden()
    torch.testing.assert_close(labels, drive.hand_labels(frame).masked_fill(~view, VOID))
    torch.testing.assert_close(share, view.float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(side.trust, view.float(), atol=1e-4, rtol=0)
    shown = view[:, None].expand(1, 3, *drive.size)
    assert torch.equal(side.warped_frame[shown], drive.frame(frame)[shown])


@pytest.mark.parametrize("mode", ["trajectory", "steps"])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize(("frame", "origin"), [(1, 0), (4, 0), (1, 5)])
def test_labels_arrive_exactly_where_they_are_in_view(
    drive: Any, frame: int, origin: int, mode: Any, soft: bool
) -> None:
    """With whole-pixel motion labels and image of a key frame reach all that is in view in both frames."""
    side = carrier(drive, mode=mode, soft=soft).side(frame, (origin,))

    check_arrived(drive, side, frame, drive.in_view([origin], of=frame))
    assert side.distance.tolist() == [abs(frame - origin)]


@pytest.mark.parametrize("mode", ["trajectory", "steps"])
@pytest.mark.parametrize(("frame", "via"), [(0, 1), (1, 4), (5, 2)])
def test_what_stays_in_view_returns_from_a_cycle(drive: Any, frame: int, via: int, mode: Any) -> None:
    """Labels and image of a key frame come back unharmed, but for what was out of view in between."""
    side = carrier(drive, mode=mode).cycle(frame, via)

    check_arrived(drive, side, frame, drive.in_view([via], of=frame))
    assert side.distance.tolist() == [abs(frame - via)]


def test_a_side_without_key_frames_is_missing(drive: Any) -> None:
    """It has no labels and no trust, at the size of the frame."""
    side = carrier(drive).side(3, ())

    assert side.is_missing.all()
    assert side.distance.tolist() == [FARTHEST]
    assert side.soft.labels.shape == (1, 1, *drive.size)
    assert not side.trust.any()


def test_what_is_dropped_is_computed_again(drive: Any) -> None:
    """Sides are the same, whatever was dropped before they were computed."""
    dropping, holding = carrier(drive), carrier(drive)
    for frame in (1, 2, 3, 4):
        for origins in ((0,), (5,)):
            one, same = dropping.side(frame, origins), holding.side(frame, origins)
            assert torch.equal(one.soft.labels, same.soft.labels)
            assert torch.equal(one.soft.shares, same.soft.shares)
            assert torch.equal(one.trust, same.trust)
        dropping.keep({frame})


def shift(x: float) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, 0.0]).view(1, 2, 1, 1).repeat(1, 1, H, W)


class Steps:
    """Footage of grey frames whose steps, each the same, have the flow `forward` and the reverse `back`.

    The last step may be another one.
    """

    def __init__(self, forward: Tensor, back: Tensor, last: tuple[Tensor, Tensor] | None = None) -> None:
        self._steps = dict.fromkeys(range(1, 9), (forward, back))
        self._steps[2] = last or (forward, back)

    def frame(self, k: int) -> Tensor:
        return torch.full((1, 3, H, W), 100, dtype=torch.uint8)

    def flow(self, b: int, a: int) -> Tensor:
        return self._steps[max(a, b)][0 if b > a else 1]


class Straight:
    """Motion that estimates, whatever it is initialised with, that nothing moves."""

    name = "straight"

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        return shift(0)

    def refine_flow(self, frame_b: Tensor, frame_a: Tensor, flow_ba: Tensor) -> Tensor:
        return shift(0)


def carrier_of(footage: Footage, key_labels: Any, *, motion: Any = None, **settings: Any) -> LabelCarrier:
    return LabelCarrier(footage, CarrySettings(**settings), key_labels, motion=motion or Straight())


def stripes(k: int) -> Tensor:
    """Return labels that change from pixel to pixel, (1, h, w)."""
    return (torch.arange(W) % 3).to(torch.uint8).expand(1, H, W).contiguous()


def two_key_frames(k: int) -> Tensor:
    return torch.full((1, H, W), FAR if k == 0 else NEAR, dtype=torch.uint8)


def test_labels_are_resampled_once_on_a_trajectory() -> None:
    """Four steps of half a pixel are two pixels: nothing is lost, where warping at every step blurs."""
    footage = Steps(shift(-0.5), shift(0.5))
    once, often = (carrier_of(footage, stripes, mode=mode).side(4, (0,)) for mode in ("trajectory", "steps"))

    assert torch.equal(once.soft.harden()[0][..., 2:], stripes(0)[..., :-2])
    assert once.soft.harden()[1][..., 2:].min() == 1
    assert often.soft.harden()[1][..., 4:-4].max() < 0.6


def test_soft_labels_keep_what_a_hard_label_drops() -> None:
    """Half-way between two labels each has half the share; where one label is kept, it has it all."""
    footage = Steps(shift(-0.5), shift(0.5))
    soft, hard = (carrier_of(footage, stripes, soft=kept).side(1, (0,)).soft for kept in (True, False))

    assert soft.shares[0, :, 5, 5].tolist() == [0.5, 0.5, 0, 0]
    assert sorted(soft.labels[0, :2, 5, 5].tolist()) == sorted(stripes(0)[0, 5, 4:6].tolist())
    assert hard.shares[0, :, 5, 5].tolist() == [1]
    assert hard.labels[0, 0, 5, 5] == soft.labels[0, 0, 5, 5]
    for one in (soft, hard):
        assert not one.shares[..., 0].any(), "what comes into view has no label"


def test_hand_made_void_is_a_label(drive: Any) -> None:
    """Hand-made VOID is carried as VOID, which is more than no label."""
    side = carrier(drive).side(3, (0,))

    left_out = drive.in_view([0], of=3) & (drive.hand_labels(3) == VOID)
    assert left_out.any()
    assert side.soft.dense(4)[:, -1][left_out].min() > 0.999


@pytest.fixture
def lost() -> Steps:
    """Footage whose last step is wrong in the left half, where no reverse flow leads back along it."""
    wrong = shift(0)
    wrong[..., :8] = 5
    return Steps(shift(0), shift(0), last=(wrong, shift(0)))


def test_where_the_nearest_key_frame_is_hidden_the_next_one_counts(lost: Steps) -> None:
    """What the nearest key frame hides is taken from the one behind it, if direct flow leads there."""
    side = carrier_of(lost, two_key_frames, long_range=True).side(2, (1, 0))

    labels, share = side.soft.harden()
    assert labels[0, 0].tolist() == [FAR] * 8 + [NEAR] * 8
    assert share.min() > 0.999
    assert side.trust.min() > 0.999
    assert side.distance.tolist() == [1]


def test_direct_flow_is_estimated_only_where_it_is_wanted_and_possible(drive: Any, lost: Steps) -> None:
    """Without the setting, or with motion that cannot be initialised with flow, all flow is composed."""
    composed = [
        carrier_of(lost, two_key_frames).side(2, (0,)),
        carrier_of(lost, two_key_frames, long_range=True, motion=drive.motion()).side(2, (0,)),
    ]
    direct = carrier_of(lost, two_key_frames, long_range=True).side(2, (0,))

    for side in composed:
        assert side.trust[..., :8].max() < 0.01
    assert direct.trust.min() > 0.999


def test_a_cycle_is_trusted_as_far_as_both_its_trajectories() -> None:
    """An error on the way out counts as much as one on the way back."""
    error = math.sqrt(2 * math.log(2))
    for forward, back in ((shift(0), shift(error)), (shift(error), shift(0))):
        trust = carrier_of(Steps(forward, back), two_key_frames, slack=1.0).cycle(0, 1).trust

        torch.testing.assert_close(trust[..., 2:-3], torch.full((1, H, W - 5), 0.25))


def test_half_trusted_key_frames_share_a_pixel() -> None:
    """The nearest covers what is behind it as far as it is trusted: 1/2, and half of the other half."""
    error = math.sqrt(2 * math.log(2))
    footage = Steps(shift(0), shift(0), last=(shift(0), shift(error)))

    side = carrier_of(footage, two_key_frames, slack=1.0).side(2, (1, 0))

    torch.testing.assert_close(side.trust, torch.full((1, H, W), 0.75))
    dense = side.soft.dense(3)[0, :, 5, 5]
    torch.testing.assert_close(dense, torch.tensor([0, 1 / 3, 2 / 3, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("origins", [(1,), (1, 0)])
def test_a_key_frame_without_trust_still_has_its_labels(origins: tuple[int, ...]) -> None:
    """Without any trust the nearest key frame's labels are there for a refiner, beside others or alone."""
    footage = Steps(shift(0), shift(0), last=(shift(0), shift(50)))

    side = carrier_of(footage, two_key_frames, slack=1.0).side(2, origins)

    assert not side.trust.any()
    assert side.soft.harden()[0].unique().tolist() == [NEAR]
    assert side.soft.harden()[1].unique().tolist() == [1]


def test_images_are_rounded_to_the_nearest_grey() -> None:
    """A quarter of the way from 10 to 13 lies 11: to round down would darken all that is carried."""

    class Striped(Steps):
        def frame(self, k: int) -> Tensor:
            return (10 + 3 * (torch.arange(W) % 2)).to(torch.uint8).expand(1, 3, H, W).contiguous()

    side = carrier_of(Striped(shift(-0.25), shift(0.25)), stripes).side(1, (0,))

    assert side.warped_frame[..., 1:].unique().tolist() == [11, 12]
