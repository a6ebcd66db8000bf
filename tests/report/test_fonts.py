"""Tests of report/fonts.py: names in any script can be read in charts, or are numbers, without noise."""

from __future__ import annotations

import logging
from pathlib import Path

import matplotlib
import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.report import fonts
from warprefine.report.chart import LIGHT, canvas, render
from warprefine.report.fonts import font_file, font_with, legible_names
from warprefine.report.grid import Column, RowTitle, class_legend, draw_grid
from warprefine.report.paint import paint_confidence

OWN = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
STIX = OWN.with_name("STIXGeneral.ttf")
IN_STIX_ALONE = "\u20dd"
"""A letter that DejaVu Sans lacks, and another font that comes with matplotlib has."""
NOBODYS = "\U0005fffd"


def classes_of(*names: str) -> ClassSet:
    return ClassSet(names=names, colors=((1, 2, 3),) * len(names), file_ids=tuple(range(7, 7 + len(names))))


@pytest.fixture
def _two_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be installed but what comes with matplotlib."""
    monkeypatch.setattr(fonts, "_fonts", lambda: (OWN, STIX))
    fonts._warn.cache_clear()


@pytest.mark.usefixtures("_two_fonts")
def test_a_font_that_has_the_letters_is_chosen() -> None:
    """The usual font wherever it can be, so that charts look the same everywhere."""
    assert font_with("a") == OWN
    assert font_with(IN_STIX_ALONE) == STIX
    assert font_with(NOBODYS) is None
    assert font_file("road") == OWN
    assert font_file(f"a{IN_STIX_ALONE}") == STIX
    assert font_file(NOBODYS) == OWN
    assert font_file("road", bold=True).name == "DejaVuSans-Bold.ttf"


@pytest.mark.usefixtures("_two_fonts")
def test_a_name_that_no_font_can_draw_is_a_number(caplog: pytest.LogCaptureFixture) -> None:
    """That of label files, and the log says once what could be installed."""
    classes = classes_of("road", f"{NOBODYS}{NOBODYS}", f"a{IN_STIX_ALONE}", f"b{NOBODYS}")
    for _ in range(2):
        shown = list(legible_names(classes).values())
        assert shown == ["road", "class 8", f"a{IN_STIX_ALONE}", "class 10"]

    (message,) = caplog.messages
    assert f"class names {NOBODYS}{NOBODYS}, b{NOBODYS}: charts show the numbers of these" in message
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.usefixtures("_two_fonts")
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_charts_draw_any_name_without_noise(kind) -> None:
    """Warnings of matplotlib, which are errors here, tell of every letter that is missing."""
    names = legible_names(classes_of("road", f"{NOBODYS} x", f"a{IN_STIX_ALONE}"))
    figure, axes = canvas(width=3.0, height=2.0, theme=LIGHT)
    axes.set_xticks(range(3), list(names.values()))

    assert render(figure, kind)


@pytest.mark.usefixtures("_two_fonts")
def test_legends_of_pictures_draw_any_name() -> None:
    """Each name in a font that has its letters."""
    picture = paint_confidence(torch.zeros((1, 8, 240)))
    grid = draw_grid(
        [Column(title="labels", pictures=[picture])],
        [RowTitle(text="")],
        class_legend(classes_of("road", NOBODYS, f"a{IN_STIX_ALONE}")),
        theme=LIGHT,
    )

    assert grid.width >= 240


def test_installed_fonts_that_show_only_boxes_are_not_used() -> None:
    """One that comes with matplotlib has a box for every letter there is."""
    assert not any("LastResort" in path.name or "Emoji" in path.name for path in fonts._fonts())
    assert fonts._fonts()[0] == OWN
