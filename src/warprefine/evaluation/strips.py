"""Lay out any pictures for a figure: titled columns and rows, and the classes below.

The paper's figures 2, A, C and D are of this kind: a row per example or cycle length, and columns such
as frame, labels, truth and errors (`evaluation.paint` paints them).
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError
from warprefine.evaluation.chart import LIGHT, Theme
from warprefine.evaluation.grid import AnyPicture, Column, RowTitle, class_legend, draw_grid


def draw_strip(
    columns: Sequence[tuple[str, Sequence[AnyPicture | None]]],
    *,
    rows: Sequence[str] = (),
    classes: ClassSet | None = None,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Draw columns of pictures of one size, each under its title; None leaves a cell empty.

    Pictures narrower than half of 240 pixels are enlarged by a whole number; nothing is smoothed.

    Args:
        rows: What stands beside each row; empty for a strip without row titles.
        classes: Whose names and colours to explain below the pictures.

    Raises:
        FrameError: Columns or row titles differ in number, or pictures in size.
    """
    lengths = {len(pictures) for _, pictures in columns} | ({len(rows)} if rows else set())
    if len(lengths) != 1:
        raise FrameError(
            f"a strip has columns and row titles of {sorted(lengths)} rows; expected as many pictures in "
            "each column as there are row titles; put None where there is nothing to see"
        )
    titles = [RowTitle(text=text) for text in rows or [""] * lengths.pop()]
    legend = class_legend(classes) if classes else []
    made = [Column(title=title, pictures=pictures) for title, pictures in columns]
    return draw_grid(made, titles, legend, theme=theme)
