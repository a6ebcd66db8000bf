"""Tests of propagation/coverage.py: which frames are labelled, and how that is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from warprefine.core.continuity import Continuity
from warprefine.core.spans import ranges
from warprefine.core.video import Video
from warprefine.propagation.coverage import coverage, farthest


def video(length: int, *key_frames: int) -> Video:
    return Video(
        name="v",
        stems=[str(k) for k in range(length)],
        frame_paths=[Path(f"{k}.png") for k in range(length)],
        labels={k: Path(f"label{k}.png") for k in key_frames},
    )


def test_frames_out_of_reach_are_counted_and_named() -> None:
    """Hand-made labels count as labels; frames beyond the horizon of every key frame are listed."""
    found = coverage(video(51, 1, 31), horizon=10)

    assert found.out_of_reach == (*range(12, 21), *range(42, 51))
    assert found.labelled == 33
    assert str(found) == "33 of 51 frames labelled, 18 out of reach (12 to 20, 42 to 50)"


def test_a_video_that_is_labelled_throughout_says_no_more() -> None:
    """Nothing is out of reach of the middle of a short clip."""
    assert str(coverage(video(7, 3), horizon=3)) == "7 of 7 frames labelled"


def test_many_gaps_are_cut_to_five() -> None:
    """A line stays a line."""
    assert str(coverage(video(40, *range(0, 40, 5)), horizon=1)).endswith(
        "(2 to 3, 7 to 8, 12 to 13, 17 to 18, 22 to 23 and 3 more)"
    )


def test_a_frame_alone_is_no_range() -> None:
    """Numbers are listed as people write them."""
    assert ranges([]) == []
    assert ranges([4]) == ["4"]
    assert ranges([0, 1, 3, 5, 6, 7]) == ["0 to 1", "3", "5 to 7"]


def test_without_labels_nothing_is_far() -> None:
    """Videos without key frames do not count."""
    assert farthest([video(9), video(9, 2), video(5, 4)]) == 6
    assert farthest([video(9)]) == 0


@given(st.sets(st.integers(0, 29), min_size=1), st.integers(0, 9))
def test_the_farthest_distance_is_a_horizon_that_reaches_every_frame(keys: set[int], more: int) -> None:
    """One less leaves a frame out."""
    one = video(max(keys) + 1 + more, *keys)
    reach = farthest([one])

    assert coverage(one, reach).out_of_reach == ()
    assert reach == 0 or coverage(one, reach - 1).out_of_reach


def test_frames_that_a_cut_keeps_from_all_key_frames_are_told_apart() -> None:
    """Those that are too far away anyway are out of reach alone; a blank frame is cut off too."""
    found = coverage(replace(video(20, 5), continuity=Continuity(cuts=(8,), blank=(3,))), horizon=6)

    assert found.out_of_reach == (0, 1, 2, 3, *range(8, 20))
    assert found.cut_off == (0, 1, 2, 3, 8, 9, 10, 11)
    assert str(found).endswith("(0 to 3, 8 to 19), 8 of them because of cuts or blank frames")
