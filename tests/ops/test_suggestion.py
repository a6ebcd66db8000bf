"""Tests of ops/suggestion.py: the frames whose labelling would help most."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from warprefine.ops.suggestion import Footage, choose_frames, error_by_distance


def footage(errors: Sequence[float], keys: Sequence[int], *, cuts: Sequence[int] = ()) -> Footage:
    """Return a video with these expected errors and key frames; a stretch begins at each cut."""
    places = np.arange(len(errors))
    distances = np.abs(places[:, None] - np.array(keys)[None]).min(axis=1)
    values = np.array(errors, np.float64)
    distances = np.where(np.isnan(values), -1, distances)
    return Footage(errors=values, distances=distances, stretch=np.searchsorted(cuts, places, side="right"))


def test_a_frame_in_the_worst_part_is_chosen_first() -> None:
    """Errors that are large far from the key frame and small near it point to the far end."""
    errors = [0.01 * k for k in range(11)]

    (choice,) = choose_frames([footage(errors, [0])], 1, horizon=10)

    assert 6 <= choice.frame <= 9
    assert choice.error == pytest.approx(0.01 * choice.frame)


def test_the_next_choice_is_elsewhere() -> None:
    """Once a frame is chosen, its neighbours gain little, so the other half of the video is next."""
    errors = [0.02 * min(k, 20 - k, 10) + 0.001 for k in range(21)] + [0.02 * k for k in range(1, 11)]
    video = footage(errors, [0, 20])

    first, second = choose_frames([video], 2, horizon=10)

    assert abs(first.frame - second.frame) > 5
    assert first.gain >= second.gain


def test_frames_without_labels_come_first() -> None:
    """A frame out of reach of all key frames has no label at all."""
    errors = [0.0, *[0.1] * 5, *[np.nan] * 9]

    (choice,) = choose_frames([footage(errors, [0])], 1, horizon=5)

    assert choice.error == 1
    assert choice.reached[0] <= choice.frame <= choice.reached[1]
    assert choice.unlabelled == 9


def test_nothing_is_gained_across_a_cut() -> None:
    """Labels are not carried from one stretch into another."""
    errors = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]

    (choice,) = choose_frames([footage(errors, [0], cuts=[5])], 1, horizon=5)

    assert choice.reached[1] <= 4


def test_the_gain_is_what_errors_lose() -> None:
    """A lone frame gains its own error, and no other."""
    (choice,) = choose_frames([footage([0.0, 0.25], [0])], 1, horizon=1)

    assert (choice.frame, choice.gain, choice.reached) == (1, 0.25, (1, 1))


def test_key_frames_and_perfect_videos_are_not_suggested() -> None:
    """Fewer frames than asked for are named where the others would gain nothing."""
    assert choose_frames([footage([0.0, 0.0, 0.0], [1])], 3, horizon=2) == []
    assert len(choose_frames([footage([0.0, 0.1], [0])], 3, horizon=2)) == 1


def test_the_worse_video_is_named() -> None:
    """All videos compete."""
    good, bad = footage([0.0, 0.01, 0.02], [0]), footage([0.0, 0.2, 0.4], [0])

    assert choose_frames([good, bad], 1, horizon=2)[0].video == 1


def test_errors_never_fall_with_distance() -> None:
    """An easy frame far away is an accident; distances without frames are filled."""
    curve = error_by_distance([footage([0.0, 0.3, 0.1, np.nan, 0.4], [0])], 6)

    assert curve.tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4])
    assert error_by_distance([], 2).tolist() == [0, 0.25, 0.5]


def test_ten_thousand_frames_take_a_second() -> None:
    """A long video is searched at once."""
    errors = [0.002 * min(k % 40, 40 - k % 40) for k in range(10_000)]
    begun = time.process_time()

    found = choose_frames([footage(errors, range(0, 10_000, 40))], 5, horizon=20)

    assert len(found) == 5
    assert time.process_time() - begun < 5
