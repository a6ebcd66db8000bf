"""Tests of propagation/two_sided/trajectories.py: flow composed from frame to frame, with its trust."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.propagation.two_sided import trajectories as trajectories_module
from warprefine.propagation.two_sided.trajectories import (
    Footage,
    StepTrust,
    Trajectories,
    Trajectory,
    step_trust,
)
from warprefine.recipe.plus import CarrySettings

H, W = 12, 16


def shift(x: float, y: float = 0) -> Tensor:
    """Return a flow that is the same everywhere, (1, 2, h, w)."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).repeat(1, 1, H, W)


class Flows:
    """Footage whose flows are given for each pair of neighbours, and whose frames are of one grey each."""

    def __init__(self, flows: dict[tuple[int, int], Tensor], greys: tuple[int, ...] = (100,) * 9) -> None:
        self._flows, self._greys = flows, greys
        self.calls: Counter[tuple[int, int]] = Counter()

    @classmethod
    def of_camera(cls, *places: float) -> Flows:
        """Return the flows of a camera that moves sideways, from its place in pixels at each frame."""
        steps = [(b, a) for b in range(len(places)) for a in (b - 1, b + 1) if 0 <= a < len(places)]
        return cls({(b, a): shift(places[b] - places[a]) for b, a in steps})

    @classmethod
    def wild(cls, length: int) -> Flows:
        """Return random flows that differ from place to place and from step to step."""
        steps = [(b, a) for b in range(length) for a in (b - 1, b + 1) if 0 <= a < length]
        coarse = {step: 2 * torch.randn(1, 2, 3, 4) for step in steps}
        return cls({s: functional.interpolate(f, (H, W), mode="bilinear") for s, f in coarse.items()})

    def frame(self, k: int) -> Tensor:
        return torch.full((1, 3, H, W), self._greys[k], dtype=torch.uint8)

    def flow(self, b: int, a: int) -> Tensor:
        self.calls[b, a] += 1
        return self._flows[b, a]


def test_evidence_is_footage(drive: Any) -> None:
    """Trajectories are composed from the flow of a video, or of anything else with frames and flow."""
    assert isinstance(drive.evidence(drive.video([0])), Footage)
    assert isinstance(Flows.of_camera(0, 1), Footage)
    assert not isinstance(drive, Footage)


ENDS = [(1, 0), (3, 0), (0, 3), (5, 1), (2, 4)]


@pytest.mark.parametrize(("frame", "origin"), ENDS)
def test_a_trajectory_of_some_steps_is_as_long_as_all_of_them(drive: Any, frame: int, origin: int) -> None:
    """With steady motion a trajectory of k steps is k times the step, forwards and backwards in time."""
    trajectories = Trajectories(drive.evidence(drive.video([0])), CarrySettings(), reverse=True)

    trajectory = trajectories.between(frame, origin)

    x, y = (float((origin - frame) * number) for number in drive.step)
    along = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *drive.size)
    assert torch.equal(trajectory.flow, along)
    assert trajectory.reverse_flow is not None
    assert torch.equal(trajectory.reverse_flow, -along)


@pytest.mark.parametrize("kind", ["agreement", "photometric", "both", "none"])
@pytest.mark.parametrize(("frame", "origin"), ENDS)
def test_what_stays_in_view_is_trusted(drive: Any, kind: Any, frame: int, origin: int) -> None:
    """Where motion is exact, every kind of trust is 1 for what is in view, and 0 for what is not."""
    trajectories = Trajectories(drive.evidence(drive.video([0])), CarrySettings(trust=kind, tau=0.01))

    trust = trajectories.between(frame, origin).trust

    torch.testing.assert_close(trust, drive.in_view([origin], of=frame).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["agreement", "none"])
def test_a_trajectory_that_leaves_the_frame_is_not_trusted_when_it_comes_back(kind: Any) -> None:
    """What was out of view in between could be anything, though both ends of its trajectory are in view."""
    trajectories = Trajectories(Flows.of_camera(0, 3, 0), CarrySettings(trust=kind))

    trajectory = trajectories.between(2, 0)

    assert torch.equal(trajectory.flow, shift(0))
    torch.testing.assert_close(trajectory.trust[0, 0], torch.tensor([0.0] * 3 + [1.0] * 13))


def test_what_comes_from_just_outside_is_not_trusted_at_all() -> None:
    """Trust is interpolated between pixels, but what lies beyond the last one is out of view all the same."""
    trajectory = Trajectories(Flows.of_camera(0, 0.75, 1.5), CarrySettings()).between(2, 0)

    assert trajectory.trust[0, 0, 13:].tolist() == [1, 0, 0]


def test_a_step_is_sampled_where_the_one_before_it_ends() -> None:
    """Where motion differs from place to place, a pixel moves on with the flow at the place it came to."""
    uneven = shift(2)
    uneven[..., :8] = 4
    footage = Flows({(2, 1): shift(1), (1, 0): uneven, (1, 2): shift(-1), (0, 1): shift(-2)})

    trajectory = Trajectories(footage, CarrySettings()).between(2, 0)

    torch.testing.assert_close(trajectory.flow[0, 0, 0], torch.tensor([5.0] * 7 + [3.0] * 9))


def test_trajectories_do_not_depend_on_the_order_of_calls() -> None:
    """Composed at once, step by step, or after others, a trajectory is the same to the bit."""
    footage = Flows.wild(6)
    at_once, stepwise = (Trajectories(footage, CarrySettings(), reverse=True) for _ in range(2))
    wanted = [(frame, origin) for origin in (0, 5, 3) for frame in range(6) if frame != origin]

    composed = {ends: stepwise.between(*ends) for ends in wanted}

    for ends in reversed(wanted):
        trajectory = at_once.between(*ends)
        assert torch.equal(trajectory.flow, composed[ends].flow)
        assert torch.equal(trajectory.trust, composed[ends].trust)
        assert trajectory.reverse_flow is not None
        assert torch.equal(trajectory.reverse_flow, composed[ends].reverse_flow)


def test_a_step_is_added_at_the_far_end_only() -> None:
    """From one frame to the next, only the flow of the new step is read: nothing is composed twice."""
    footage = Flows.wild(6)
    trajectories = Trajectories(footage, CarrySettings())
    trajectories.between(3, 0)
    footage.calls.clear()

    trajectories.between(4, 0)

    assert set(footage.calls) == {(4, 3), (3, 4)}
    footage.calls.clear()
    trajectories.between(4, 0)
    trajectories.between(2, 0)
    assert not footage.calls


def test_the_trust_in_a_step_is_computed_once_for_all_trajectories() -> None:
    """Trajectories to other origins share the trust in their common steps, and so do those of another use."""
    footage = Flows.wild(4)
    trajectories = Trajectories(footage, CarrySettings())
    trajectories.between(3, 0)
    footage.calls.clear()

    trajectories.between(3, 1)

    back = {(1, 2), (2, 3)}
    assert not back & set(footage.calls), "only agreement reads the reverse flows"
    steps = StepTrust(footage, CarrySettings())
    Trajectories(footage, CarrySettings(), steps=steps).between(3, 0)
    footage.calls.clear()
    Trajectories(footage, CarrySettings(), steps=steps).between(3, 1)
    assert not back & set(footage.calls)


def test_the_trust_in_few_steps_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as fit, but always those of the last twelve steps; others are computed again."""
    monkeypatch.setattr(trajectories_module, "IN_MEMORY", 12)
    footage = Flows.wild(16)
    steps = StepTrust(footage, CarrySettings(trust="none"))
    trusts = {k: steps(k, k - 1) for k in range(1, 14)}
    footage.calls.clear()

    again = {k: steps(k, k - 1) for k in (*range(2, 14), 1)}

    assert [k for k in again if again[k] is not trusts[k]] == [1]
    assert footage.calls == {(1, 0): 1}
    assert torch.equal(again[1], trusts[1])


def test_motion_is_estimated_once_for_all_trajectories(drive: Any) -> None:
    """However many trajectories share a step, its flow is estimated once in each direction."""
    models = drive.models()
    trajectories = Trajectories(drive.evidence(drive.video([0]), models), CarrySettings(), reverse=True)

    for frame in range(drive.length):
        for origin in {*range(drive.length)} - {frame}:
            trajectories.between(frame, origin)

    assert models.motion.calls == 2 * (drive.length - 1)


def test_only_the_trajectories_of_kept_frames_stay() -> None:
    """What was dropped is composed again on demand, with the same result; the rest is not."""
    footage = Flows.wild(6)
    trajectories = Trajectories(footage, CarrySettings())
    before = {ends: trajectories.between(*ends) for ends in ((2, 0), (3, 0), (2, 5), (3, 5))}
    footage.calls.clear()

    trajectories.keep({3})

    assert trajectories.between(3, 0) is before[3, 0]
    assert trajectories.between(3, 5) is before[3, 5]
    assert not footage.calls
    for ends in ((2, 0), (2, 5)):
        again = trajectories.between(*ends)
        assert again is not before[ends]
        assert torch.equal(again.flow, before[ends].flow)
        assert torch.equal(again.trust, before[ends].trust)
    assert set(footage.calls) == {(1, 0), (2, 1), (2, 3)}


@pytest.mark.parametrize("reverse", [True, False])
def test_trajectories_are_the_same_whether_they_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reverse: bool
) -> None:
    """Those to a key frame far ahead lie on disk until their frame comes, and are not composed twice."""
    monkeypatch.setattr(trajectories_module, "IN_MEMORY", 1)
    footage = Flows.wild(13)
    held = Trajectories(footage, CarrySettings(), reverse=reverse)
    spilled = Trajectories(footage, CarrySettings(), reverse=reverse, folder=tmp_path)
    expected = [held.between(frame, 12) for frame in range(12)]
    alive: weakref.WeakSet[Trajectory] = weakref.WeakSet()
    original = Trajectories._extended

    def watched(self: Trajectories, frame: int, before: int, rest: Trajectory | None) -> Trajectory:
        extended = original(self, frame, before, rest)
        alive.add(extended)
        return extended

    monkeypatch.setattr(Trajectories, "_extended", watched)
    spilled.between(0, 12)
    assert len(alive) <= 4 + 1
    footage.calls.clear()

    for frame, wanted in enumerate(expected):
        found = spilled.between(frame, 12)
        assert found.tensors.keys() == wanted.tensors.keys()
        assert all(torch.equal(found.tensors[name], wanted.tensors[name]) for name in wanted.tensors)
        spilled.keep(range(frame, 12))
    assert not footage.calls


def test_a_trajectory_need_not_be_held() -> None:
    """What no later call uses is composed, from those that are held, and forgotten."""
    footage = Flows.wild(6)
    trajectories = Trajectories(footage, CarrySettings(trust="none"))
    held = trajectories.between(2, 0)
    footage.calls.clear()

    first, second = (trajectories.between(5, 0, hold=False) for _ in range(2))

    assert set(footage.calls) == {(3, 2), (4, 3), (5, 4)}
    assert first is not second
    assert torch.equal(first.flow, second.flow)
    assert trajectories.between(2, 0, hold=False) is held


def test_reverse_flow_is_composed_only_where_it_is_wanted() -> None:
    """Few need it, so it costs nothing by default."""
    footage = Flows.wild(4)
    without, wanted = (
        Trajectories(footage, CarrySettings(trust="none")),
        Trajectories(footage, CarrySettings()),
    )

    assert without.between(3, 0).reverse_flow is None
    assert wanted.between(3, 0).reverse_flow is None
    assert {(b, a) for b, a in footage.calls if b < a} == {(0, 1), (1, 2), (2, 3)}, "read by agreement alone"


def test_reverse_flow_points_from_the_origin_to_the_frame() -> None:
    """It is composed along itself, not along the forward flow, where motion differs from place to place."""
    flows = Flows.of_camera(0, 2, 3)
    there = shift(-1)
    there[..., :8] = -3  # from frame 1 on, the left half moves faster
    footage = Flows({**flows._flows, (1, 2): there})

    trajectory = Trajectories(footage, CarrySettings(), reverse=True).between(2, 0)

    assert trajectory.reverse_flow is not None
    expected = torch.tensor([-5.0] * 10 + [-3.0] * 6)  # x - 2 is in the left half for x < 10
    torch.testing.assert_close(trajectory.reverse_flow[0, 0, 0], expected)


@pytest.mark.parametrize(("slack", "trust"), [(1.0, math.exp(-0.5)), (2.0, math.exp(-0.125))])
def test_flows_that_disagree_are_trusted_less(slack: float, trust: float) -> None:
    """Agreement forgives an error of about `slack` pixels; over two steps the trust in both counts."""
    flows = {(1, 0): shift(-1), (0, 1): shift(2), (2, 1): shift(-1), (1, 2): shift(2)}
    trajectories = Trajectories(Flows(flows), CarrySettings(slack=slack))

    torch.testing.assert_close(trajectories.between(1, 0).trust[:, :, 1:], torch.full((1, H, W - 1), trust))
    torch.testing.assert_close(
        trajectories.between(2, 0).trust[:, :, 2:], torch.full((1, H, W - 2), trust**2)
    )


def one_step(settings: CarrySettings) -> tuple[float, float]:
    """Return the trust of a step whose flows disagree by 1.4 pixels, and of one to a frame 50 greys away."""
    footage = Flows(
        {(1, 0): shift(0), (0, 1): shift(1.4), (2, 1): shift(0), (1, 2): shift(0)}, greys=(100, 100, 150)
    )
    moved, changed = (step_trust(footage, settings, b=b, a=b - 1) for b in (1, 2))
    assert moved.unique().numel() == changed.unique().numel() == 1
    return float(moved[0, 0, 0]), float(changed[0, 0, 0])


def test_each_kind_of_trust_compares_what_it_is_about() -> None:
    """One compares forward and backward flow, one colours, one both, and one nothing."""
    agreed = math.exp(-0.5 * 1.4**2)

    assert one_step(CarrySettings(trust="agreement", slack=1.0)) == pytest.approx((agreed, 1))
    assert one_step(CarrySettings(trust="photometric")) == (1, 0)
    assert one_step(CarrySettings(trust="both", slack=1.0)) == pytest.approx((agreed, 0))
    assert one_step(CarrySettings(trust="none")) == (1, 1)


def test_tau_is_the_largest_change_of_colours_that_is_trusted() -> None:
    """The photometric test forgives a change below tau: 50 greys are an RGB distance of 0.34."""
    assert one_step(CarrySettings(trust="photometric", tau=0.35)) == (1, 1)
    assert one_step(CarrySettings(trust="photometric", tau=0.33)) == (1, 0)


@pytest.mark.parametrize(("slack", "verdict"), [(2.0, 1), (1.0, 0)])
def test_hard_trust_is_all_or_nothing(slack: float, verdict: int) -> None:
    """Trust of 0.78 is all of it, trust of 0.38 is none."""
    assert one_step(CarrySettings(slack=slack, hard_trust=True))[0] == verdict
