"""Check the layout of the panel: what stands where, at which size, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from warprefine.evaluation import paint
from warprefine.evaluation.gallery import read_views
from warprefine.evaluation.panel import draw_panel
from warprefine.evaluation.plots import DARK


@pytest.fixture
def views(run, dataset, world):
    return read_views(
        run, dataset, dataset.videos[0], frames=[3, 4], key_frame=2, methods=world.methods, most_w=100
    )


def times(picture: np.ndarray, panel: np.ndarray, *, enlarge: int) -> int:
    """Count the places where `panel` shows `picture` exactly, enlarged by a whole number."""
    large = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    h, w, _ = large.shape
    windows = np.lib.stride_tricks.sliding_window_view(panel[..., :3], (h, w, 3))[:, :, 0]
    corners = (windows[:, :, 0, 0] == large[0, 0]).all(axis=-1)
    return sum(np.array_equal(windows[y, x], large) for y, x in zip(*np.nonzero(corners), strict=True))


def test_every_cell_shows_its_pixels_exactly(views, world):
    """Small frames are enlarged by a whole number; label maps stay crisp and nothing is smoothed."""
    panel = np.asarray(draw_panel(views, world.classes, methods=world.methods))

    enlarge = 240 // world.w
    assert times(paint.paint_frame(views[1].frame), panel, enlarge=enlarge) == 1
    errors = paint.paint_errors(views[0].predictions["warp-refine"], views[0].truth, frame=views[0].frame)
    assert times(errors, panel, enlarge=enlarge) == 1
    # The truth, and warp-refine, which is right everywhere.
    truth = paint.paint_labels(views[0].truth, world.classes, frame=views[0].frame)
    assert times(truth, panel, enlarge=enlarge) == 2
    sure = paint.paint_confidence(views[0].confidences["warp-refine"])
    assert times(sure, panel, enlarge=enlarge) == 1


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
