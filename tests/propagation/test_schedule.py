"""Tests of propagation/schedule.py: which key frame labels which frame, and in what order."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from warprefine.core.video import Video
from warprefine.propagation.schedule import Unit, nearest_key_frame, plan, plan_stretches, sides_of


def video(length: int, *key_frames: int) -> Video:
    return Video(
        name="v",
        stems=[str(k) for k in range(length)],
        frame_paths=[Path(f"{k}.png") for k in range(length)],
        labels={k: Path(f"label{k}.png") for k in key_frames},
    )


def frames_by_name(units: list[Unit]) -> dict[str, tuple[int, ...]]:
    return {unit.name: unit.frames for unit in units}


def test_a_key_frame_labels_both_ways_up_to_the_horizon() -> None:
    """From one key frame the labels walk forwards and backwards, as far as the horizon."""
    assert frames_by_name(plan(video(20, 10), 3)) == {
        "v/000010+": (11, 12, 13),
        "v/000010-": (9, 8, 7),
    }


def test_labels_stop_at_the_ends_of_the_video() -> None:
    """Nothing lies before the first frame and behind the last; where nothing is to be done, no unit is."""
    assert frames_by_name(plan(video(4, 0), 9)) == {"v/000000+": (1, 2, 3)}
    assert frames_by_name(plan(video(4, 3), 9)) == {"v/000003-": (2, 1, 0)}
    assert plan(video(1, 0), 9) == []
    assert plan(video(4, 2), 0) == []


def test_the_nearest_key_frame_labels_a_frame_and_the_earlier_on_a_tie() -> None:
    """Between two key frames each labels its half; the frame in the middle belongs to the earlier one."""
    assert frames_by_name(plan(video(5, 0, 4), 9)) == {"v/000000+": (1, 2), "v/000004-": (3,)}
    assert nearest_key_frame(video(5, 0, 4), 2) == 0


def test_neighbouring_key_frames_leave_nothing_between_them() -> None:
    """Frames that are labelled by hand are never labelled again."""
    assert frames_by_name(plan(video(4, 1, 2), 1)) == {"v/000001-": (0,), "v/000002+": (3,)}


def test_without_key_frames_there_is_nothing_to_do() -> None:
    """A video that nobody labelled has no units."""
    assert plan(video(5), 3) == []


@given(length=st.integers(1, 40), horizon=st.integers(0, 45), data=st.data())
def test_every_frame_in_reach_is_labelled_exactly_once(
    length: int, horizon: int, data: st.DataObject
) -> None:
    """Frames within the horizon are in one unit each, that of their nearest key frame, one step at a time."""
    keys = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1, max_size=5)))
    units = plan(video(length, *keys), horizon)

    def distance(frame: int) -> int:
        return min(abs(frame - key) for key in keys)

    planned = sorted(frame for unit in units for frame in unit.frames)
    assert planned == [frame for frame in range(length) if 0 < distance(frame) <= horizon]
    for unit in units:
        assert [unit.distance(frame) for frame in unit.frames] == list(range(1, len(unit.frames) + 1))
        assert all(frame == unit.key_frame + unit.direction * unit.distance(frame) for frame in unit.frames)
        assert all(distance(frame) == unit.distance(frame) for frame in unit.frames)
    assert [(unit.key_frame, -unit.direction) for unit in units] == sorted(
        (unit.key_frame, -unit.direction) for unit in units
    )
    assert len({unit.name for unit in units}) == len(units)


def test_frames_between_two_key_frames_are_one_stretch() -> None:
    """What lies between is labelled together, however it is split by distance; so is each end of a video."""
    assert [s.frames for s in plan_stretches(video(9, 2, 6), 9, reach=9)] == [(0, 1), (3, 4, 5), (7, 8)]


def test_a_gap_too_wide_for_the_horizon_is_two_stretches() -> None:
    """Frames that are too far from every key frame stay unlabelled, and part the others."""
    stretches = plan_stretches(video(12, 1, 10), 2, reach=5)

    assert [s.frames for s in stretches] == [(0,), (2, 3), (8, 9), (11,)]
    assert [s.key_frames for s in stretches] == [(1,), (1,), (10,), (10,)]
    assert [s.name for s in stretches][1:3] == ["v/000002-000003", "v/000008-000009"]


def test_a_stretch_knows_how_far_its_frames_are_from_a_key_frame() -> None:
    """The distance is that to the nearest key frame, on whichever side."""
    (stretch,) = [s for s in plan_stretches(video(9, 0, 8), 9, reach=9) if s.frames[0] == 1]

    assert [stretch.distance(k) for k in stretch.frames] == [1, 2, 3, 4, 3, 2, 1]


@given(st.integers(1, 30), st.sets(st.integers(0, 29), max_size=5), st.integers(1, 8), st.integers(0, 8))
def test_stretches_hold_the_frames_of_the_plan(length: int, keys: set[int], horizon: int, more: int) -> None:
    """Each frame that a key frame labels is in one stretch, and no other frame is."""
    film = video(length, *(k for k in keys if k < length))
    frames = [k for s in plan_stretches(film, horizon, reach=horizon + more) for k in s.frames]

    assert frames == sorted(k for unit in plan(film, horizon) for k in unit.frames)


def test_the_side_of_the_nearest_key_frame_comes_first() -> None:
    """Each side begins with its nearest key frame; on a tie the earlier side is first."""
    assert sides_of(5, (0, 3, 6, 9), reach=9) == ((6, 9), (3, 0))
    assert sides_of(4, (2, 6), reach=9) == ((2,), (6,))
    assert sides_of(4, (0, 5, 9), reach=4) == ((5,), (0,))
    assert sides_of(1, (3,), reach=9) == ((3,), ())
