"""Check that charts of experiments show every value and its spread, in the colours of the methods."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from warprefine.propagation.methods import METHODS
from warprefine.report.chart import DARK, LIGHT, method_color
from warprefine.report.experiment_plots import plot_bars, plot_lines
from warprefine.report.result_table import Spread

TABLE_1 = {
    "manual only": Spread(mean=72.63, deviation=0.12, count=3),
    "motion-only": Spread(mean=72.57, deviation=0.21, count=3),
    "warp-refine": Spread(mean=73.74, deviation=0.08, count=3),
    "oracle": Spread(mean=75.36, deviation=None, count=1),
}
LINES = {
    "motion-only": [
        (2, Spread(mean=72.6, deviation=0.2, count=3)),
        (8, Spread(mean=71.9, deviation=0.3, count=3)),
    ],
    "warp-refine": [
        (2, Spread(mean=73.1, deviation=0.1, count=3)),
        (8, Spread(mean=73.7, deviation=0.1, count=3)),
    ],
}


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def height_of(pixels: np.ndarray, color: str) -> int:
    """Return over how many rows of pixels a colour goes."""
    return int((pixels == list(bytes.fromhex(color[1:]))).all(axis=2).any(axis=1).sum())


def words_of(svg: bytes) -> list[str]:
    return [
        "".join(e.itertext()) for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_bars_are_as_high_as_their_values_above_what_they_share():
    """The axis begins below the lowest spread, so that a point of mIoU can be seen."""
    pixels = pixels_of(plot_bars(TABLE_1, ylabel="mIoU (%)", baseline="manual only"))

    heights = {
        m: height_of(pixels, method_color(m, list(METHODS))) for m in ("motion-only", "warp-refine", "oracle")
    }
    low, high = 72.57 - 0.21, 75.36
    bottom = low - 0.35 * (high - low)
    for method, height in heights.items():
        share = (TABLE_1[method].mean - bottom) / (high - bottom)
        assert height / heights["oracle"] == pytest.approx(share, abs=0.02)


def test_every_value_is_written_with_its_deviation():
    """The numbers can be read off, and a single run claims no spread."""
    words = words_of(plot_bars(TABLE_1, ylabel="mIoU (%)", kind="svg"))

    assert {*TABLE_1, "mIoU (%)"} <= {*words}
    assert {"72.63", "± 0.12", "73.74", "± 0.08", "75.36"} <= {*words}
    assert sum(word.startswith("±") for word in words) == 3


def test_the_baseline_is_a_line_to_compare_with():
    """It has no colour of a method: it is what all of them are measured against."""
    plain, compared = (
        pixels_of(plot_bars(TABLE_1, ylabel="mIoU", baseline=name)) for name in (None, "manual only")
    )
    spare = method_color("manual only", list(TABLE_1))

    assert height_of(plain, spare) > 0
    assert height_of(compared, spare) == 0
    line_length = [
        (p == list(bytes.fromhex(LIGHT.muted[1:]))).all(axis=2).sum(axis=1) for p in (plain, compared)
    ]
    assert (line_length[1] > compared.shape[1] // 3).sum() > (line_length[0] > plain.shape[1] // 3).sum()


def test_what_was_not_measured_leaves_a_gap():
    """The name stays, without a bar."""
    values = {**TABLE_1, "motion-only": None}

    assert "motion-only" in words_of(plot_bars(values, ylabel="mIoU", kind="svg"))
    pixels = pixels_of(plot_bars(values, ylabel="mIoU"))
    assert height_of(pixels, method_color("motion-only", list(METHODS))) == 0


@pytest.mark.parametrize(
    "values",
    [
        {"a": None},
        {"a": Spread(mean=0.0, deviation=None, count=1)},
        {"a": Spread(mean=-2.0, deviation=1.0, count=2), "b": Spread(mean=1.0, deviation=None, count=1)},
    ],
)
def test_odd_values_can_be_drawn(values):
    """Nothing measured, nothing reached, and losses below zero are charts too."""
    assert pixels_of(plot_bars(values, ylabel="points")).size


def test_lines_have_their_colours_and_a_pale_band():
    """A line for each method, its name and last value at its end, its spread around it."""
    pixels = pixels_of(plot_lines(LINES, xlabel="range", ylabel="mIoU (%)"))
    bare = {
        name: [(x, Spread(mean=s.mean, deviation=None, count=1)) for x, s in points]
        for name, points in LINES.items()
    }
    without_bands = pixels_of(plot_lines(bare, xlabel="range", ylabel="mIoU (%)"))

    for method in LINES:
        assert height_of(pixels, method_color(method, list(METHODS))) > 10
    assert (pixels == 255).all(axis=2).sum() < (without_bands == 255).all(axis=2).sum() - 10_000
    words = words_of(plot_lines(LINES, xlabel="range", ylabel="mIoU (%)", kind="svg"))
    assert {"motion-only  71.90", "warp-refine  73.70", "range", "mIoU (%)"} <= {
        re.sub("\xa0", " ", w) for w in words
    }


def test_a_line_without_points_is_left_out():
    """A method that was not tried has no line and no name."""
    words = words_of(plot_lines({**LINES, "oracle": []}, xlabel="x", ylabel="y", kind="svg"))

    assert not any(word.startswith("oracle") for word in words)


def test_charts_of_experiments_take_the_theme_of_their_page():
    """By day and by night."""
    for draw in (
        lambda theme: plot_bars(TABLE_1, ylabel="y", theme=theme),
        lambda theme: plot_lines(LINES, xlabel="x", ylabel="y", theme=theme),
    ):
        assert "#" + bytes(pixels_of(draw(DARK))[0, 0]).hex() == DARK.paper
