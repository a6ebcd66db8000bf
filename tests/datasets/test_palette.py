"""Tests of datasets/palette.py: colours of classes that have none are told apart at a glance."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from warprefine.core.classes import VOID_COLOR, Color
from warprefine.datasets.palette import distinct_colors, own_colors

CLEARLY = 20.0
"""A distance in CIE Lab at which patches side by side are two colours to all; 2.3 is just noticeable."""

color = st.tuples(*[st.integers(0, 255)] * 3)


def lab(rgb: Color) -> np.ndarray:
    """Return a colour of sRGB in CIE Lab, for daylight D65."""
    values = np.array(rgb) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    of_white = to_xyz @ linear / to_xyz.sum(axis=1)
    x, y, z = np.where(of_white > 216 / 24389, np.cbrt(of_white), (24389 / 27 * of_white + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(colors: tuple[Color, ...]) -> float:
    """Return the smallest distance of two colours."""
    return float(min(np.linalg.norm(lab(a) - lab(b)) for a, b in combinations(colors, 2)))


def test_the_first_twenty_colours_differ_clearly() -> None:
    """From each other and from the black of void; forty are still told apart."""
    assert apart((VOID_COLOR, *distinct_colors([None] * 20))) > CLEARLY
    assert apart((VOID_COLOR, *distinct_colors([None] * 40))) > CLEARLY / 2


@given(st.lists(color | st.none(), max_size=20))
def test_chosen_colours_differ_clearly_from_given_ones(given_colors: list[Color | None]) -> None:
    """Given colours stay as they are, and no chosen one is theirs or black."""
    colors = distinct_colors(given_colors)

    kept = [one for one in given_colors if one is not None]
    chosen = [own for own, one in zip(colors, given_colors, strict=True) if one is None]
    assert [own for own, one in zip(colors, given_colors, strict=True) if one is not None] == kept
    assert len({*chosen, *kept, VOID_COLOR}) == len(chosen) + len({*kept, VOID_COLOR})


def test_colours_that_are_taken_are_replaced() -> None:
    """By others that nobody has."""
    assert own_colors([(1, 2, 3), (0, 114, 178)], taken=[(0, 114, 178)]) == ((1, 2, 3), (230, 159, 0))
