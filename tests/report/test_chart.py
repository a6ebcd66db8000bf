"""Check the look that all charts share: colours that can be told apart, words that never touch, files."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from warprefine.propagation.methods import METHODS
from warprefine.report.chart import CHART_KINDS, LIGHT, canvas, method_color, move_apart, render


def drawn() -> Figure:
    figure, axes = canvas(width=3.0, height=2.0, theme=LIGHT)
    axes.plot([0, 1], [0, 1], marker="o")
    axes.set_title("a & b")
    return figure


@pytest.mark.parametrize("kind", CHART_KINDS)
def test_a_chart_is_the_same_file_every_time(kind):
    """Neither the time nor an id drawn by lot is in it, so that a resumed run ends with the same files."""
    assert render(drawn(), kind) == render(drawn(), kind)


def test_a_chart_does_not_say_what_drew_it():
    """The version of a library and the date would change files whose content did not."""
    svg, png = render(drawn(), "svg").decode(), render(drawn(), "png")

    assert "Matplotlib v" not in svg
    assert "dc:date" not in svg
    assert Image.open(io.BytesIO(png)).info.keys() <= {"dpi"}


def test_words_in_an_svg_stay_words():
    """They can be searched, copied and set in another font."""
    assert ">a &amp; b</text>" in render(drawn(), "svg").decode()


def test_methods_differ_in_colour_for_every_eye():
    """Any two methods differ by a good step in lightness or in blue against yellow, which all eyes see."""
    names = [*METHODS, "his", "mine", "yours"]
    rgb = {m: np.array(list(bytes.fromhex(method_color(m, names)[1:])), float) for m in names}
    seen = {m: np.array([c @ [0.299, 0.587, 0.114], c[2] - (c[0] + c[1]) / 2]) for m, c in rgb.items()}

    distances = {
        pair: np.abs(seen[pair[0]] - seen[pair[1]]).max() for pair in itertools.combinations(names, 2)
    }
    assert {pair: d for pair, d in distances.items() if d < 25} == {}


@given(values=st.lists(st.floats(0, 100), min_size=1, max_size=6), gap=st.floats(0.1, 12))
def test_labels_are_moved_apart_in_their_order_and_stay_inside(values, gap):
    """Names at the ends of lines never overlap, never swap, and never leave the chart."""
    placed = move_apart(values, gap=gap, low=0.0, high=100.0)

    ordered = [placed[i] for i in np.argsort(values, kind="stable")]
    assert all(b - a >= gap - 1e-6 for a, b in itertools.pairwise(ordered))
    assert min(placed) >= -1e-6
    assert max(placed) <= 100 + 1e-6


def test_labels_with_room_stay_where_they_are():
    """Only what would touch is moved, and then evenly."""
    assert move_apart([80.0, 20.0, 50.0], gap=10.0, low=0.0, high=100.0) == pytest.approx([80, 20, 50])
    assert move_apart([50.0, 52.0], gap=10.0, low=0.0, high=100.0) == pytest.approx([46, 56])
