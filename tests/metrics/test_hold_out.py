"""Tests of metrics/hold_out.py: estimates of quality from held-out key frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.metrics.hold_out import HeldOutFrame, estimate, format_estimates
from warprefine.ops.calibration import LEVELS

CLASSES = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))


def held_out(frame: int, *, wrong: int, kind: str = "hold-out", distance: int = 4) -> HeldOutFrame:
    """Return a key frame of 200,000 sure pixels, half of them cars; of 10,000 so many are road."""
    hits = np.zeros((3, LEVELS, 2), np.int64)
    hits[0, 255, 1], hits[1, 255] = 10_000, (wrong, 10_000 - wrong)
    matrix = np.array([[10_000, wrong, 0], [0, 10_000 - wrong, 0], [0, 0, 0]])
    return HeldOutFrame(
        video="drive", frame=frame, kind=kind, distance=distance, hits=10 * hits, confusion=10 * matrix
    )


def counts_of_run() -> np.ndarray:
    """Return the pixels of a run with as many sure roads and cars at distances 1 and 2."""
    counts = np.zeros((2, 3, LEVELS), np.int64)
    counts[:, :2, 255] = 1_000_000
    return counts


def test_the_estimate_is_what_held_out_key_frames_show() -> None:
    """A fifth of the cars are road: of cars 80 % are right, and roads are missed as often."""
    frames = [held_out(k, wrong=2000) for k in range(24)]

    found = estimate(frames, counts_of_run(), CLASSES)

    true = 100 * (1 / 1.2 + 0.8) / 2
    assert (found.kind, found.key_frames) == ("hold-out", 24)
    assert found.miou.value == pytest.approx(true, abs=0.5)
    assert found.measured_by_distance == {4: pytest.approx(true)}
    assert found.iou_by_class["car"].value == pytest.approx(80, abs=0.5)
    assert found.accuracy.value == pytest.approx(90, abs=0.5)
    assert [one.value for one in found.miou_by_distance] == [pytest.approx(true, abs=0.5)] * 2


def test_key_frames_stand_for_the_frames_that_are_labelled_from_as_many() -> None:
    """Those at the ends of a video have one neighbour and are worse; they may count little."""
    between = [replace(held_out(k, wrong=1000), sources=2) for k in range(19)]
    ends = [replace(held_out(k, wrong=5000), sources=1) for k in (20, 21)]

    def accuracy(sources: dict[int, int] | None) -> float:
        found = estimate([*between, *ends], counts_of_run(), CLASSES, sources=sources)
        assert found.accuracy.value is not None
        return found.accuracy.value

    assert accuracy({2: 100}) == pytest.approx(95, abs=0.2)
    assert accuracy({1: 100}) == pytest.approx(75 * 2 / 3 + 93.1 / 3, abs=0.5)
    assert accuracy(None) == accuracy({3: 7}) == pytest.approx((19 * 95 + 2 * 75) / 21, abs=0.3)


def test_the_range_is_wide_where_key_frames_differ() -> None:
    """Equal key frames agree; good and bad ones do not."""
    equal = estimate([held_out(k, wrong=2000) for k in range(10)], counts_of_run(), CLASSES).miou
    mixed = estimate([held_out(k, wrong=4000 * (k % 2)) for k in range(10)], counts_of_run(), CLASSES).miou

    assert equal.low is not None
    assert equal.high is not None
    assert mixed.low is not None
    assert mixed.high is not None
    assert equal.high - equal.low < 0.1
    assert mixed.high - mixed.low > 2
    assert mixed.low <= (mixed.value or 0) <= mixed.high


def test_one_key_frame_has_no_range() -> None:
    """There is nothing to draw from, and no other frame to calibrate on."""
    found = estimate([held_out(0, wrong=2000)], counts_of_run(), CLASSES)

    assert (found.miou.low, found.miou.high, found.calibrated) == (None, None, None)


def test_confidence_of_each_key_frame_is_calibrated_on_the_others() -> None:
    """Labels that claim to be sure and are not are found out, in raw confidence and not in calibrated."""
    found = estimate([held_out(k, wrong=2000) for k in range(12)], counts_of_run(), CLASSES)

    assert found.raw.ece == pytest.approx(10)
    assert found.calibrated is not None
    assert found.calibrated.ece is not None
    assert found.calibrated.ece < 1


def test_cycles_are_marked_as_weaker() -> None:
    """Where there is a real hold-out the measurement is of that alone."""
    alone = [held_out(0, wrong=100, kind="cycle", distance=k) for k in (1, 3)]
    both = [*alone, held_out(9, wrong=2000)]

    assert estimate(alone, counts_of_run(), CLASSES).kind == "cycle"
    assert estimate(both, counts_of_run(), CLASSES).kind == "hold-out"
    assert [*estimate(both, counts_of_run(), CLASSES).measured_by_distance] == [4]
    text = format_estimates({"motion-only": estimate(alone, counts_of_run(), CLASSES)})
    assert "cycles alone, the weaker estimate" in text


def test_estimates_are_printed_with_their_range() -> None:
    """A line for the mean, one by distance, one of what was measured, one by class."""
    found = estimate([held_out(k, wrong=1000 + 100 * k) for k in range(9)], counts_of_run(), CLASSES)

    lines = format_estimates({"motion-only": found}).splitlines()

    assert lines[0].startswith("motion-only: estimated mIoU ")
    assert lines[0].endswith(" %, 9 key frames")
    assert " to " in lines[0]
    assert lines[1].startswith("  by distance: k=1 ")
    assert lines[2].startswith("  measured on key frames: k=4 ")
    assert lines[3].startswith("  by class: road ")


def test_an_estimate_from_farther_away_says_that_it_is_low() -> None:
    """Two key frames at the ends: they lie four times as far apart as labelled frames from the nearer one."""
    frames = [held_out(k, wrong=2000, distance=33) for k in (0, 33)]
    counts = np.zeros((16, 3, LEVELS), np.int64)
    counts[:, :2, 255] = 1000

    found = estimate(frames, counts, CLASSES)

    assert (found.held_out_distance, found.labelled_distance) == (33.0, (8.5, 16))
    assert found.note == (
        "it is rough: only 2 key frames were held out; it is likely too low: key frames were labelled from "
        "33 frames away, the run's frames from 8.5 on average, 16 at most"
    )
    assert format_estimates({"motion-only": found}).splitlines()[-1] == f"  note: {found.note}"
    assert found.to_json()["note"] == found.note


@pytest.mark.parametrize(
    ("key_frames", "distance", "words"),
    [
        (12, 2, ""),
        (12, 33, "it is likely too low"),
        (12, 1, "it is likely too high"),
        (4, 2, "it is rough: only 4 key frames were held out; it may be too low or too high"),
        (1, 2, "it is rough: only 1 key frame was held out"),
    ],
)
def test_the_note_follows_from_number_and_distance(key_frames: int, distance: int, words: str) -> None:
    """The run's frames are 2 from their key frames; many key frames at that distance need no note."""
    counts = np.zeros((2, 3, LEVELS), np.int64)
    counts[1, :2, 255] = 1000
    frames = [held_out(k, wrong=2000, distance=distance) for k in range(key_frames)]

    note = estimate(frames, counts, CLASSES).note

    assert note.startswith(words)
    assert bool(note) == bool(words)


def test_cycles_are_too_high_and_frames_of_the_segmenter_alone_have_no_distance() -> None:
    """Each kind says what is known of it."""
    cycles = [held_out(k, wrong=100, kind="cycle", distance=9) for k in range(6)]
    alone = [held_out(k, wrong=100, kind="alone", distance=0) for k in range(3)]

    assert estimate(cycles, counts_of_run(), CLASSES).note.startswith("it is too high: the labels only went")
    assert estimate(alone, counts_of_run(), CLASSES).note == "it is rough: only 3 key frames were held out"


def test_estimates_are_written_as_numbers() -> None:
    """Each range is a list: value, low, high."""
    content = estimate([held_out(k, wrong=1000) for k in range(3)], counts_of_run(), CLASSES).to_json()

    assert len(content["miou"]) == 3
    assert [*content["iou_by_class"]] == ["road", "car"]
    assert content["confidence"]["raw"]["accuracy"] == 95
