"""Tests of propagation/units.py: which key frames label which frame, and in what order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warprefine.core.continuity import Continuity
from warprefine.core.video import Video
from warprefine.propagation.units import (
    Unit,
    is_between,
    nearest_key_frame,
    sides_of,
    stepwise_units,
    two_sided_units,
)


def video(length: int, *key_frames: int) -> Video:
    return Video(
        name="v",
        stems=[str(k) for k in range(length)],
        frame_paths=[Path(f"{k}.png") for k in range(length)],
        labels={k: Path(f"label{k}.png") for k in key_frames},
    )


def walks(units: Sequence[Unit]) -> list[tuple[int, tuple[int, ...]]]:
    """Return the one key frame and the frames of each unit."""
    assert all(unit.video == "v" and len(unit.key_frames) == 1 for unit in units)
    return [(unit.key_frames[0], unit.frames) for unit in units]


def direction_of(unit: Unit) -> int:
    """Return 1 for a walk forwards in time and -1 for one backwards."""
    return 1 if unit.frames[0] > unit.key_frames[0] else -1


def test_a_key_frame_labels_both_ways_up_to_the_horizon() -> None:
    """From one key frame labels walk forwards and backwards, as far as the horizon."""
    assert walks(stepwise_units(video(20, 10), 3)) == [(10, (11, 12, 13)), (10, (9, 8, 7))]


def test_labels_stop_at_the_ends_of_the_video() -> None:
    """Nothing lies before the first frame and after the last; a walk without frames is no unit."""
    assert walks(stepwise_units(video(4, 0), 9)) == [(0, (1, 2, 3))]
    assert walks(stepwise_units(video(4, 3), 9)) == [(3, (2, 1, 0))]
    assert stepwise_units(video(1, 0), 9) == []
    assert stepwise_units(video(4, 2), 0) == []


def test_the_nearest_key_frame_labels_a_frame_and_the_earlier_on_a_tie() -> None:
    """Between two key frames each labels its half; the frame in the middle belongs to the earlier one."""
    assert walks(stepwise_units(video(5, 0, 4), 9)) == [(0, (1, 2)), (4, (3,))]
    assert nearest_key_frame(video(5, 0, 4), 2) == 0


def test_neighbouring_key_frames_leave_nothing_between_them() -> None:
    """Frames that are labelled by hand are never labelled again."""
    assert walks(stepwise_units(video(4, 1, 2), 1)) == [(1, (0,)), (2, (3,))]


def test_without_key_frames_there_is_nothing_to_do() -> None:
    """A video without labels has no units."""
    assert stepwise_units(video(5), 3) == []
    assert two_sided_units(video(5), 3, reach=3) == []


@given(length=st.integers(1, 40), horizon=st.integers(0, 45), data=st.data())
def test_every_frame_in_reach_is_labelled_exactly_once(
    length: int, horizon: int, data: st.DataObject
) -> None:
    """Frames within the horizon are in one unit each, that of their nearest key frame, one step at a time."""
    keys = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1, max_size=5)))
    units = stepwise_units(video(length, *keys), horizon)

    def distance(frame: int) -> int:
        return min(abs(frame - key) for key in keys)

    planned = sorted(frame for unit in units for frame in unit.frames)
    assert planned == [frame for frame in range(length) if 0 < distance(frame) <= horizon]
    for unit in units:
        (key,) = unit.key_frames
        assert [unit.distance(frame) for frame in unit.frames] == list(range(1, len(unit.frames) + 1))
        assert all(frame == key + direction_of(unit) * unit.distance(frame) for frame in unit.frames)
        assert all(distance(frame) == unit.distance(frame) for frame in unit.frames)
    order = [(unit.key_frames, -direction_of(unit)) for unit in units]
    assert order == sorted(set(order)), "in order of key frames, forwards first, each once"


def test_frames_between_two_key_frames_are_one_unit() -> None:
    """What lies between is labelled together, however it is split by distance; so is each end of a video."""
    units = two_sided_units(video(9, 2, 6), 9, reach=9)

    assert [unit.frames for unit in units] == [(0, 1), (3, 4, 5), (7, 8)]


def test_a_gap_too_wide_for_the_horizon_is_two_units() -> None:
    """Frames that are too far from every key frame stay unlabelled, and separate the others."""
    units = two_sided_units(video(12, 1, 10), 2, reach=5)

    assert [unit.frames for unit in units] == [(0,), (2, 3), (8, 9), (11,)]
    assert [unit.key_frames for unit in units] == [(1,), (1,), (10,), (10,)]
    assert {unit.video for unit in units} == {"v"}


def test_a_unit_has_the_key_frames_in_reach_of_any_of_its_frames() -> None:
    """The reach counts from either end of the run of frames."""
    assert [unit.key_frames for unit in two_sided_units(video(12, 0, 3, 8), 2, reach=5)] == [
        (0, 3),  # of frames 1 and 2
        (0, 3, 8),  # of frames 4 to 7
        (8,),  # of frames 9 and 10
    ]


def test_a_frame_is_as_far_away_as_the_nearest_key_frame() -> None:
    """The distance is that to the nearest key frame, on whichever side."""
    (unit,) = [unit for unit in two_sided_units(video(9, 0, 8), 9, reach=9) if unit.frames[0] == 1]

    assert [unit.distance(k) for k in unit.frames] == [1, 2, 3, 4, 3, 2, 1]


@given(st.integers(1, 30), st.sets(st.integers(0, 29), max_size=5), st.integers(1, 8), st.integers(0, 8))
def test_two_sided_units_hold_the_same_frames(length: int, keys: set[int], horizon: int, more: int) -> None:
    """Each frame that a key frame labels step by step is in one unit, and no other frame is."""
    film = video(length, *(k for k in keys if k < length))
    frames = [k for unit in two_sided_units(film, horizon, reach=horizon + more) for k in unit.frames]

    assert frames == sorted(k for unit in stepwise_units(film, horizon) for k in unit.frames)


def test_the_side_of_the_nearest_key_frame_comes_first() -> None:
    """Each side begins with its nearest key frame; on a tie the earlier side is first."""
    assert sides_of(5, (0, 3, 6, 9), reach=9) == ((6, 9), (3, 0))
    assert sides_of(4, (2, 6), reach=9) == ((2,), (6,))
    assert sides_of(4, (0, 5, 9), reach=4) == ((5,), (0,))
    assert sides_of(1, (3,), reach=9) == ((3,), ())


@pytest.mark.parametrize(
    ("keys", "reach", "between"),
    [
        ((2, 6), 20, {3, 4, 5}),
        ((2,), 20, set()),
        ((0, 8), 5, {3, 4, 5}),  # from frame 2 the later key frame is 6 frames away
        ((0, 8), 2, {4}),  # the nearest key frame is always used, here two of them
        ((), 20, set()),
    ],
)
def test_a_frame_with_key_frames_before_and_after_it_lies_between(
    keys: tuple[int, ...], reach: int, between: set[int]
) -> None:
    """Both have to be within the reach that labels come from; all other frames lie beside key frames."""
    film = video(9, *keys)

    found = {frame for frame in range(9) if frame not in keys and is_between(film, frame, reach=reach)}

    assert found == between


def test_a_key_frame_beyond_a_damaged_frame_does_not_count() -> None:
    """No labels come across it, so that the key frame before alone labels what is before it."""
    broken = replace(video(12, 1, 8), damaged=frozenset({4}))

    assert not any(is_between(broken, frame, reach=20) for frame in range(12) if frame not in (1, 8))


def test_no_walk_crosses_a_damaged_frame() -> None:
    """Each stretch is labelled from its own key frames, and one without key frames is not labelled."""
    broken = replace(video(12, 1, 8), damaged=frozenset({4, 10}))

    assert walks(stepwise_units(broken, 9)) == [(1, (2, 3)), (1, (0,)), (8, (9,)), (8, (7, 6, 5))]
    assert [(unit.frames, unit.key_frames) for unit in two_sided_units(broken, 9, reach=20)] == [
        ((0,), (1,)),
        ((2, 3), (1,)),
        ((5, 6, 7), (8,)),
        ((9,), (8,)),
    ]
    assert nearest_key_frame(broken, 5) == 8


def test_no_unit_crosses_a_cut() -> None:
    """Frames on both sides of a cut follow each other, but have no key frame in common."""
    film = replace(video(12, 2, 9), continuity=Continuity(cuts=(4,)))

    assert walks(stepwise_units(film, 12)) == [(2, (3,)), (2, (1, 0)), (9, (10, 11)), (9, (8, 7, 6, 5, 4))]
    assert [(unit.frames, unit.key_frames) for unit in two_sided_units(film, 12, reach=12)] == [
        ((0, 1), (2,)),
        ((3,), (2,)),
        ((4, 5, 6, 7, 8), (9,)),
        ((10, 11), (9,)),
    ]
    assert not is_between(film, 5, reach=12)
    assert nearest_key_frame(film, 4) == 9
