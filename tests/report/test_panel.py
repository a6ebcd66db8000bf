"""Check the layout of the panel: what stands where, at which size, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from warprefine.report import paint
from warprefine.report.chart import DARK
from warprefine.report.gallery import read_views
from warprefine.report.panel import draw_panel


@pytest.fixture
def views(run, dataset, world):
    return read_views(run, dataset, dataset.videos[0], frames=[3, 4], methods=world.methods, most_w=100)


def places(picture: np.ndarray, panel: np.ndarray, *, enlarge: int) -> list[tuple[int, int]]:
    """Return every (y, x) at which `panel` shows `picture` exactly, enlarged by a whole number."""
    large = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(panel[..., :3], large.shape)[:, :, 0]
    corners = zip(*np.nonzero((windows[:, :, 0, 0] == large[0, 0]).all(axis=-1)), strict=True)
    return [(int(y), int(x)) for y, x in corners if np.array_equal(windows[y, x], large)]


def test_every_cell_shows_its_pixels_exactly_and_in_its_place(views, world):
    """Small frames are enlarged by a whole number, crisp; frames in rows, columns in reading order."""
    panel = np.asarray(draw_panel(views, world.classes, methods=world.methods))
    first, second = views

    def found(picture: np.ndarray) -> list[tuple[int, int]]:
        return places(picture, panel, enlarge=240 // world.w)

    ((top, left),) = found(paint.paint_frame(first.frame))
    ((below, below_left),) = found(paint.paint_frame(second.frame))
    assert (below > top, below_left) == (True, left)
    cell = 240 + 8
    # The truth, and warp-refine, which is right everywhere; motion-only between them.
    labels = paint.paint_labels(first.truth, world.classes, frame=first.frame)
    assert found(labels) == [(top, left + cell), (top, left + 3 * cell)]
    errors = paint.paint_errors(first.predictions["warp-refine"], first.truth, frame=first.frame)
    assert found(errors) == [(top, left + 4 * cell)]
    assert found(paint.paint_confidence(first.confidences["warp-refine"])) == [(top, left + 5 * cell)]


def test_rows_go_down_and_columns_go_right(views, world):
    """One row more is one frame more, one column more is one method more."""
    both = draw_panel(views, world.classes, methods=world.methods)
    one_row = draw_panel(views[:1], world.classes, methods=world.methods)
    one_method = draw_panel(views, world.classes, methods=["warp-refine"])

    cell_h, cell_w = (240 // world.w) * world.h, 240
    assert (both.height - one_row.height, both.width - one_row.width) == (cell_h + 8, 0)
    assert both.width - one_method.width == cell_w + 8


def test_columns_that_nothing_can_fill_are_left_out(views, world):
    """Without truth there are neither truth nor errors; without confidence no map of it."""
    full = draw_panel(views, world.classes, methods=world.methods)
    no_truth = [replace(view, truth=None) for view in views]
    nothing_else = [replace(view, confidences={}) for view in no_truth]

    without_truth = draw_panel(no_truth, world.classes, methods=world.methods)
    bare = draw_panel(nothing_else, world.classes, methods=world.methods)

    assert full.width - without_truth.width == 2 * (240 + 8)
    assert without_truth.width - bare.width == 240 + 8


def test_a_row_without_truth_leaves_its_cells_empty(views, world):
    """The column stays for the rows that have truth."""
    partly = [views[0], replace(views[1], truth=None)]

    panel = draw_panel(partly, world.classes, methods=world.methods)

    assert panel.width == draw_panel(views, world.classes, methods=world.methods).width


def test_a_panel_takes_the_theme_of_its_page(views, world):
    """The paper of a dark panel is dark."""
    panel = draw_panel(views, world.classes, methods=world.methods, theme=DARK).convert("RGB")

    assert "#" + bytes(panel.getpixel((0, panel.height - 1))).hex() == DARK.paper
