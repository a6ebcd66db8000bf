"""Tests of propagation/stepwise/cycle.py: labels that go out and come back, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warprefine.propagation.stepwise.cycle import (
    Cycle,
    carry,
    cycles_of,
    key_to_key,
    pair_at,
    run_cycle,
    run_cycles,
    there_and_back,
)
from warprefine.propagation.stepwise.step import warp_inpaint

TAU = 0.05


@pytest.mark.parametrize("step", [(2, 1), (-1, 2), (0, 0)])
@pytest.mark.parametrize("reach", [1, -1, 3, -2])
def test_labels_return_exactly_where_they_stayed_in_view(
    film: Callable[..., Any], step: tuple[int, int], reach: int
) -> None:
    """Whole-pixel motion is undone without loss; what went out of view gets the segmenter's labels."""
    drive = film(step=step)
    video = drive.video([2])

    returned = run_cycle(
        drive.evidence(video),
        Cycle(video=video.name, key_frame=2, reach=reach),
        drive.hand_labels(2),
        tau=TAU,
    )

    stayed = drive.in_view([2 + reach], of=2)
    assert torch.equal(
        returned.labelling.labels, torch.where(stayed, drive.hand_labels(2), drive.segmented(2))
    )
    assert bool((returned.labelling.confidence[stayed] == 1).all())


@pytest.mark.parametrize("reach", [2, -2])
def test_the_last_step_of_a_cycle_ends_at_the_key_frame(drive: Any, reach: int) -> None:
    """The pair for the refiner is the key frame and its neighbour on the way back."""
    video = drive.video([3])
    cycle = Cycle(video=video.name, key_frame=3, reach=reach)

    pair = run_cycle(drive.evidence(video), cycle, drive.hand_labels(3), tau=TAU).pair

    neighbour = 3 + reach // 2
    inside = drive.in_view([neighbour], of=3)
    shift = torch.tensor(drive.step) * (neighbour - 3)
    assert torch.equal(pair.frame_b, drive.frame(3))
    assert pair.flow_ba[0, :, 0, 0].tolist() == shift.tolist()
    warped = pair.warped_frame.round()[:, :, inside[0]]
    assert torch.equal(warped, drive.frame(3)[:, :, inside[0]].float())


def test_a_cycle_is_the_walk_that_labels_frames_there_and_back(drive: Any) -> None:
    """A cycle does nothing but the steps that propagation does, one after the other."""
    video = drive.video([1])
    evidence = drive.evidence(video)
    returned = run_cycle(evidence, Cycle(video="drive", key_frame=1, reach=2), drive.hand_labels(1), tau=TAU)

    labelling = returned.labelling.__class__(
        labels=drive.hand_labels(1), confidence=torch.ones(1, *drive.size)
    )
    for b, a in ((2, 1), (3, 2), (2, 3), (1, 2)):
        labelling = warp_inpaint(labelling, pair_at(evidence, b=b, a=a), tau=TAU)

    assert torch.equal(returned.labelling.labels, labelling.labels)
    assert torch.equal(returned.labelling.confidence, labelling.confidence)


@pytest.mark.parametrize("lengths", [(1, 2, 3), (3,), (1, 3)])
def test_cycles_that_share_their_way_out_return_what_each_returns_alone(
    film: Callable[..., Any], lengths: tuple[int, ...]
) -> None:
    """Run together, in both directions, cycles bring back the labels that they bring back one by one."""
    drive = film(length=7)
    video = drive.video([3])
    cycles = [c for c in cycles_of(video, 3) if abs(c.reach) in lengths]

    together = run_cycles(drive.evidence(video), cycles, drive.hand_labels(3), tau=TAU)

    assert set(together) == set(cycles)
    assert len(cycles) == 2 * len(lengths)
    for cycle in cycles:
        alone = run_cycle(drive.evidence(video), cycle, drive.hand_labels(3), tau=TAU)
        assert torch.equal(together[cycle].labelling.labels, alone.labelling.labels)
        assert torch.equal(together[cycle].labelling.confidence, alone.labelling.confidence)
        assert torch.equal(together[cycle].pair.warped_frame, alone.pair.warped_frame)


def test_cycles_of_all_lengths_need_each_flow_once(drive: Any) -> None:
    """Going out to three frames and back, labels pass six pairs of frames, whatever lengths turn earlier."""
    models = drive.models()
    evidence = drive.evidence(drive.video([0]), models)
    cycles = [Cycle(video="drive", key_frame=0, reach=reach) for reach in (1, 2, 3)]

    run_cycles(evidence, cycles, drive.hand_labels(0), tau=TAU)

    assert models.motion.calls == 6
    assert models.segmenter.calls == 4


def test_a_pair_for_motion_alone_uses_no_segmenter(drive: Any) -> None:
    """Where the segmenter's output is not needed, it is not computed."""
    models = drive.models()

    pair = pair_at(drive.evidence(drive.video([0]), models), b=1, a=0, segmented=False)

    assert pair.segmentation_b is None
    assert models.segmenter.calls == 0


@pytest.mark.parametrize(
    ("reach", "stops"), [(1, [4, 5, 4]), (-1, [4, 3, 4]), (3, [4, 5, 6, 7, 6, 5, 4]), (-2, [4, 3, 2, 3, 4])]
)
def test_a_cycle_turns_round_once(reach: int, stops: list[int]) -> None:
    """A cycle goes out frame by frame, and back over the same frames."""
    assert there_and_back(Cycle(video="v", key_frame=4, reach=reach)) == stops


def test_labels_travel_between_neighbouring_key_frames(drive: Any) -> None:
    """From each key frame there is a walk to the next and to the one before, unless it is too far."""
    video = drive.video([0, 2, 5])

    assert [list(walk) for walk in key_to_key(video, 3)] == [[0, 1, 2], [2, 1, 0], [2, 3, 4, 5], [5, 4, 3, 2]]
    assert [list(walk) for walk in key_to_key(video, 2)] == [[0, 1, 2], [2, 1, 0]]
    assert key_to_key(drive.video([3]), 9) == []


def test_several_tau_travel_together(drive: Any) -> None:
    """The labels of each tau are those that it gives alone."""
    video = drive.video([0])
    evidence = drive.evidence(video)

    together = carry(evidence, range(5), drive.hand_labels(0), taus=[0.0, 0.05, 2.0])

    for tau, returned in zip([0.0, 0.05, 2.0], together, strict=True):
        (alone,) = carry(evidence, range(5), drive.hand_labels(0), taus=[tau])
        assert torch.equal(returned.labelling.labels, alone.labelling.labels)
    assert torch.equal(together[0].labelling.labels, drive.segmented(4))
    assert not torch.equal(together[1].labelling.labels, drive.segmented(4))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(longest=st.integers(1, 8), keys=st.sets(st.integers(0, 5), min_size=1, max_size=4))
def test_every_cycle_stays_in_the_video(drive: Any, longest: int, keys: set[int]) -> None:
    """Cycles of every length go both ways from every key frame, as far as there are frames, each once."""
    cycles = cycles_of(drive.video(sorted(keys)), longest)

    expected = {
        (drive.name, key, end - key)
        for key in keys
        for end in range(drive.length)
        if 1 <= abs(end - key) <= longest
    }
    assert len(cycles) == len(expected)
    assert {astuple(cycle) for cycle in cycles} == expected
