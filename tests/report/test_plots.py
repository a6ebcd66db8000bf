"""Check that charts are pictures, and that what they rest on holds."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from warprefine.metrics.label_quality import evaluate
from warprefine.report.chart import DARK, LIGHT, method_color
from warprefine.report.plots import plot_confidence, plot_curves, plot_groups, plot_hard_classes, plot_horizon


@pytest.fixture
def scores(run, dataset, world):
    return evaluate(run, dataset, methods=world.methods, horizon=world.horizon)


def pixels_of(png: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB"))


def shows(pixels: np.ndarray, color: str) -> bool:
    return bool((pixels == list(bytes.fromhex(color[1:]))).all(axis=2).any())


def test_each_method_has_its_line_in_its_colour(scores):
    """The chart shows every method, and a gap in the truth does not stop it."""
    pixels = pixels_of(plot_horizon(scores))

    assert [shows(pixels, method_color(method, list(scores))) for method in scores] == [True, True]
    assert not shows(pixels, method_color("warp-inpaint", list(scores)))


def test_a_chart_is_the_same_every_time(scores):
    """The same scores give the same bytes, so that a resumed run ends with the same report."""
    assert plot_horizon(scores) == plot_horizon(scores)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_theme_colours_paper_and_ink(scores, theme):
    """Charts exist for light pages and for dark ones."""
    pixels = pixels_of(plot_horizon(scores, theme=theme))

    assert "#" + bytes(pixels[0, 0]).hex() == theme.paper
    assert shows(pixels, theme.ink)


def test_a_single_distance_can_be_drawn(run, dataset, world):
    """A horizon of 1 is a chart of points."""
    scores = evaluate(run, dataset, methods=world.methods, horizon=1)

    assert shows(pixels_of(plot_horizon(scores)), method_color("warp-refine", world.methods))


def test_bars_of_hard_classes_show_every_method(scores, world):
    """Figure 5: the hardest classes, Ignore and the mean, a bar for each method."""
    few = pixels_of(plot_hard_classes(scores, world.classes, hardest=1))
    all_of_them = pixels_of(plot_hard_classes(scores, world.classes))

    assert [shows(few, method_color(method, list(scores))) for method in scores] == [True, True]
    assert all_of_them.shape[1] >= few.shape[1]


def test_confidence_and_training_curves_can_be_drawn():
    """What a report shows besides scores."""
    confidence = pixels_of(plot_confidence({"warp-refine": [90.0, None, 70.0], "motion-only": [None] * 3}))
    curves = pixels_of(plot_curves({"segmenter": [(0, 2.0), (10, 1.0)], "refiner": [(0, 1.0), (5, 0.5)]}))

    assert shows(confidence, method_color("warp-refine", ["warp-refine"]))
    assert not shows(confidence, method_color("motion-only", ["motion-only"]))
    assert curves.shape[1] > curves.shape[0]


def test_charts_are_written_as_svg_too(scores, world):
    """For a paper: the names of the methods stay words that can be searched."""
    for svg in (
        plot_horizon(scores, kind="svg"),
        plot_hard_classes(scores, world.classes, kind="svg"),
        plot_confidence({method: [90.0] for method in scores}, kind="svg"),
    ):
        assert all(method in svg.decode() for method in scores)
    assert ">refiner<" in plot_curves({"refiner": [(0, 1.0), (5, 0.5)]}, kind="svg").decode()


def test_groups_of_frames_have_a_line_each():
    """Between and beside key frames, in colours that no method has; a gap stops neither."""
    pixels = pixels_of(plot_groups({"between": [90.0, 80.0, 70.0], "beside": [85.0, None, 60.0]}))

    names = ["beside key frames", "between key frames"]
    assert [shows(pixels, method_color(name, names)) for name in names] == [True, True]
    assert len({method_color(name, [*names, "warp-refine"]) for name in (*names, "warp-refine")}) == 3
