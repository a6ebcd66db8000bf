"""Tests of propagation/trajectories.py: pixels followed from frame to frame, and how far that is trusted."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.propagation.trajectories import Trajectories, TrustRule

H, W = 12, 16


def shift(x: float, y: float = 0) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).repeat(1, 1, H, W)


class Flows:
    """Footage whose flows are given for each pair of neighbours, and whose frames have one grey each."""

    def __init__(self, flows: dict[tuple[int, int], Tensor], greys: tuple[int, ...] = (100,) * 9) -> None:
        self._flows, self._greys = flows, greys
        self.asked: Counter[tuple[int, int]] = Counter()

    @classmethod
    def of_camera(cls, *places: float) -> Flows:
        """Film with a camera that moves sideways, which is at so many pixels at each frame."""
        steps = [(b, a) for b in range(len(places)) for a in (b - 1, b + 1) if 0 <= a < len(places)]
        return cls({(b, a): shift(places[b] - places[a]) for b, a in steps})

    @classmethod
    def wild(cls, length: int) -> Flows:
        """Make up flows that differ from place to place and from step to step."""
        steps = [(b, a) for b in range(length) for a in (b - 1, b + 1) if 0 <= a < length]
        coarse = {step: 2 * torch.randn(1, 2, 3, 4) for step in steps}
        return cls({s: functional.interpolate(f, (H, W), mode="bilinear") for s, f in coarse.items()})

    def frame(self, k: int) -> Tensor:
        return torch.full((1, 3, H, W), self._greys[k], dtype=torch.uint8)

    def flow(self, b: int, a: int) -> Tensor:
        self.asked[b, a] += 1
        return self._flows[b, a]


ENDS = [(1, 0), (3, 0), (0, 3), (5, 1), (2, 4)]


@pytest.mark.parametrize(("frame", "origin"), ENDS)
def test_the_way_over_some_steps_is_so_many_steps_long(drive: Any, frame: int, origin: int) -> None:
    """With steady motion a trajectory of k steps is k times the step, whichever way it points."""
    ways = Trajectories(drive.evidence(drive.video([0])), TrustRule(), both_ways=True)

    way = ways.between(frame, origin)

    x, y = (float((origin - frame) * number) for number in drive.step)
    along = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *drive.size)
    assert torch.equal(way.flow, along)
    assert way.way_back is not None
    assert torch.equal(way.way_back, -along)


@pytest.mark.parametrize("kind", ["agreement", "photometric", "both", "none"])
@pytest.mark.parametrize(("frame", "origin"), ENDS)
def test_what_is_in_view_all_the_way_is_trusted(drive: Any, kind: Any, frame: int, origin: int) -> None:
    """Where motion is exact, every rule trusts fully what is in view, and not at all what is not."""
    ways = Trajectories(drive.evidence(drive.video([0])), TrustRule(kind=kind, tau=0.01))

    trust = ways.between(frame, origin).trust

    torch.testing.assert_close(trust, drive.in_view([origin], of=frame).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["agreement", "none"])
def test_a_way_that_leaves_the_picture_is_not_trusted_when_it_comes_back(kind: Any) -> None:
    """What was out of view in between could be anything, though both ends of its way are in view."""
    ways = Trajectories(Flows.of_camera(0, 3, 0), TrustRule(kind=kind))

    way = ways.between(2, 0)

    assert torch.equal(way.flow, shift(0))
    torch.testing.assert_close(way.trust[0, 0], torch.tensor([0.0] * 3 + [1.0] * 13))


def test_what_comes_from_just_outside_is_not_trusted_at_all() -> None:
    """Trust is looked up between pixels, but what lies beyond the last one is none the less out of view."""
    way = Trajectories(Flows.of_camera(0, 0.75, 1.5), TrustRule()).between(2, 0)

    assert way.trust[0, 0, 13:].tolist() == [1, 0, 0]


def test_a_step_is_looked_up_where_the_one_before_it_ends() -> None:
    """Where motion differs from place to place, a pixel moves on as the place does that it has come to."""
    uneven = shift(2)
    uneven[..., :8] = 4
    footage = Flows({(2, 1): shift(1), (1, 0): uneven, (1, 2): shift(-1), (0, 1): shift(-2)})

    way = Trajectories(footage, TrustRule()).between(2, 0)

    torch.testing.assert_close(way.flow[0, 0, 0], torch.tensor([5.0] * 7 + [3.0] * 9))


def test_ways_do_not_depend_on_the_order_of_asking() -> None:
    """Asked for at once, step by step, or after other ways, a trajectory is the same to the bit."""
    footage = Flows.wild(6)
    at_once, stepwise = (Trajectories(footage, TrustRule(), both_ways=True) for _ in range(2))
    wanted = [(frame, origin) for origin in (0, 5, 3) for frame in range(6) if frame != origin]

    asked = {ends: stepwise.between(*ends) for ends in wanted}

    for ends in reversed(wanted):
        way = at_once.between(*ends)
        assert torch.equal(way.flow, asked[ends].flow)
        assert torch.equal(way.trust, asked[ends].trust)
        assert way.way_back is not None
        assert torch.equal(way.way_back, asked[ends].way_back)


def test_a_step_is_added_at_the_far_end_only() -> None:
    """From one frame to the next, only the new step is looked at: no way is walked twice."""
    footage = Flows.wild(6)
    ways = Trajectories(footage, TrustRule())
    ways.between(3, 0)
    footage.asked.clear()

    ways.between(4, 0)

    assert set(footage.asked) == {(4, 3), (3, 4)}
    footage.asked.clear()
    ways.between(4, 0)
    ways.between(2, 0)
    assert not footage.asked


def test_a_step_is_judged_once_for_all_ways() -> None:
    """Ways to other origins take over what is known of a step that they share, until it is dropped."""
    footage = Flows.wild(4)
    ways = Trajectories(footage, TrustRule())
    ways.between(3, 0)
    footage.asked.clear()

    ways.between(3, 1)

    back = {(1, 2), (2, 3)}
    assert not back & set(footage.asked), "only agreement asks for the flows back"
    ways.keep({0})
    ways.between(3, 1)
    assert back <= set(footage.asked)


def test_motion_is_estimated_once_for_all_ways(drive: Any) -> None:
    """However many ways lead over a step, its flow is estimated once each way."""
    models = drive.models()
    ways = Trajectories(drive.evidence(drive.video([0]), models), TrustRule(), both_ways=True)

    for frame in range(drive.length):
        for origin in {*range(drive.length)} - {frame}:
            ways.between(frame, origin)

    assert models.motion.asked == 2 * (drive.length - 1)


def test_only_the_ways_of_the_frames_that_are_kept_are_remembered() -> None:
    """What is forgotten is walked again when somebody asks, and comes out the same; the rest is not."""
    footage = Flows.wild(6)
    ways = Trajectories(footage, TrustRule())
    before = {ends: ways.between(*ends) for ends in ((2, 0), (3, 0), (2, 5), (3, 5))}
    footage.asked.clear()

    ways.keep({3})

    assert ways.between(3, 0) is before[3, 0]
    assert ways.between(3, 5) is before[3, 5]
    assert not footage.asked
    for ends in ((2, 0), (2, 5)):
        again = ways.between(*ends)
        assert again is not before[ends]
        assert torch.equal(again.flow, before[ends].flow)
        assert torch.equal(again.trust, before[ends].trust)
    assert set(footage.asked) == {(1, 0), (0, 1), (2, 1), (1, 2), (2, 3), (3, 2)}


def test_ways_back_are_worked_out_only_where_they_are_wanted() -> None:
    """Few need them, so they cost nothing unless somebody asks."""
    footage = Flows.wild(4)
    without, wanted = Trajectories(footage, TrustRule(kind="none")), Trajectories(footage, TrustRule())

    assert without.between(3, 0).way_back is None
    assert wanted.between(3, 0).way_back is None
    assert {(b, a) for b, a in footage.asked if b < a} == {(0, 1), (1, 2), (2, 3)}, "asked by agreement alone"


def test_the_way_back_leads_from_the_origin_to_the_frame() -> None:
    """It is looked up along itself, not along the way out, where motion differs from place to place."""
    flows = Flows.of_camera(0, 2, 3)
    there = shift(-1)
    there[..., :8] = -3  # from frame 1 on, the left half moves faster
    footage = Flows({**flows._flows, (1, 2): there})

    way = Trajectories(footage, TrustRule(), both_ways=True).between(2, 0)

    assert way.way_back is not None
    expected = torch.tensor([-5.0] * 10 + [-3.0] * 6)  # x - 2 is in the left half for x < 10
    torch.testing.assert_close(way.way_back[0, 0, 0], expected)


@pytest.mark.parametrize(("slack", "trust"), [(1.0, math.exp(-0.5)), (2.0, math.exp(-0.125))])
def test_flows_that_disagree_are_trusted_less(slack: float, trust: float) -> None:
    """Agreement forgives an error of about `slack` pixels; over two steps the trust in both counts."""
    flows = {(1, 0): shift(-1), (0, 1): shift(2), (2, 1): shift(-1), (1, 2): shift(2)}
    ways = Trajectories(Flows(flows), TrustRule(slack=slack))

    torch.testing.assert_close(ways.between(1, 0).trust[:, :, 1:], torch.full((1, H, W - 1), trust))
    torch.testing.assert_close(ways.between(2, 0).trust[:, :, 2:], torch.full((1, H, W - 2), trust**2))


def one_step(rule: TrustRule) -> tuple[float, float]:
    """Return the trust of a step whose flows disagree by 1.4 pixels, and of one to a frame 50 greys away."""
    footage = Flows(
        {(1, 0): shift(0), (0, 1): shift(1.4), (2, 1): shift(0), (1, 2): shift(0)}, greys=(100, 100, 150)
    )
    moved, changed = (rule(footage, b=b, a=b - 1) for b in (1, 2))
    assert moved.unique().numel() == changed.unique().numel() == 1
    return float(moved[0, 0, 0]), float(changed[0, 0, 0])


def test_each_rule_looks_at_what_it_is_about() -> None:
    """One looks at flow there and back, one at colours, one at both, and one at nothing."""
    agreed = math.exp(-0.5 * 1.4**2)

    assert one_step(TrustRule(kind="agreement")) == pytest.approx((agreed, 1))
    assert one_step(TrustRule(kind="photometric")) == (1, 0)
    assert one_step(TrustRule(kind="both")) == pytest.approx((agreed, 0))
    assert one_step(TrustRule(kind="none")) == (1, 1)


def test_tau_says_which_change_of_colours_is_trusted() -> None:
    """The photometric rule forgives a change below tau: 50 greys are an RGB distance of 0.34."""
    assert one_step(TrustRule(kind="photometric", tau=0.35)) == (1, 1)
    assert one_step(TrustRule(kind="photometric", tau=0.33)) == (1, 0)


@pytest.mark.parametrize(("slack", "verdict"), [(2.0, 1), (1.0, 0)])
def test_a_hard_rule_says_yes_or_no(slack: float, verdict: int) -> None:
    """Trust of 0.78 is all of it, trust of 0.38 is none."""
    assert one_step(TrustRule(slack=slack, hard=True))[0] == verdict
