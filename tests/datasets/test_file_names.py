"""Tests of datasets/file_names.py: names give the order of frames, or the doubt about it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warprefine.datasets.file_names import in_order, natural_order, order_doubt, readable, twins


def paths(*stems: str) -> list[Path]:
    return [Path(f"{stem}.png") for stem in stems]


def ordered(*stems: str) -> list[str]:
    """Return the names in the order of the frames, whatever order they were in."""
    found = [path.stem for path in in_order(paths(*stems))]
    assert found == [path.stem for path in in_order(paths(*reversed(stems)))]
    return found


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 3)), unique_by=lambda named: named[0]))
def test_padding_does_not_change_the_order(named: list[tuple[int, int]]) -> None:
    """However many zeros stand in front, names are in the order of their numbers."""
    frames = [Path(f"cam2_{'0' * zeros}{number}_left.png") for number, zeros in named]

    order = [int(path.stem.split("_")[1]) for path in sorted(frames, key=natural_order)]

    assert order == sorted(number for number, _ in named)


@pytest.mark.parametrize(
    "stems",
    [
        ("100.0", "100.05", "100.1", "100.15", "100.2", "100.25"),
        ("t0.033", "t0.067", "t0.1", "t0.133", "t0.167", "t0.2"),
        ("7.95", "8.0", "8.05", "8.1"),
        ("12-59.95", "13-0.0", "13-0.05", "13-0.1", "13-0.15"),
        ("0.3", "0.45", "0.9"),
    ],
    ids=["as printed", "a third", "across a second", "minutes", "uneven"],
)
def test_times_are_ordered_by_their_value(stems: tuple[str, ...]) -> None:
    """Programs print 100.05 and 100.1, cutting zeros at the end."""
    assert ordered(*stems) == list(stems)


@pytest.mark.parametrize(
    "stems",
    [
        ("1.8", "1.9", "1.10", "1.11"),
        ("2.7", "2.9", "2.11", "2.13"),
        ("1.9", "1.10", "2.9", "2.10"),
        ("100.05", "100.10", "100.15"),
    ],
    ids=["tens", "odd numbers", "two groups", "padded times"],
)
def test_numbers_of_two_parts_are_ordered_part_by_part(stems: tuple[str, ...]) -> None:
    """1.10 is no time that a program printed, and 2.7, 2.9, 2.11 count in twos."""
    assert ordered(*stems) == list(stems)


@pytest.mark.parametrize(
    ("stems", "doubt"),
    [
        (("1", "2", "10"), None),
        (("100.0", "100.05", "100.1", "100.15"), None),
        (("1.8", "1.9", "1.10", "1.11"), None),
        (("a_1", "a_2", "b_1"), "names of 2 kinds, such as a_1 and b_1"),
        (("0001", "0001 (1)", "0002"), "names of 2 kinds, such as 0001 and 0001 (1)"),
        (("0.3", "0.45", "0.9"), "numbers behind the point differ in length, from 0.3 to 0.9"),
        ((), None),
    ],
)
def test_doubts_about_the_order_are_told(stems: tuple[str, ...], doubt: str | None) -> None:
    """Names of one kind, numbered, leave none."""
    assert order_doubt(paths(*stems)) == doubt


def test_names_of_other_encodings_can_be_written() -> None:
    """Bytes that are no UTF-8 are shown as such."""
    assert readable("Stra\udcdfe") == "Stra\\xdfe"
    assert readable("Straße") == "Straße"


def test_words_in_front_of_a_name_make_a_twin_too() -> None:
    """A mask is named mask_3 or 3_mask; numbers of two parts are no such."""
    frames = [Path(name) for name in ("3.jpg", "mask_3.png", "4.jpg", "4_mask.png", "1_3.jpg")]

    assert [second.name for _, second in twins(frames)] == ["mask_3.png", "4_mask.png"]
