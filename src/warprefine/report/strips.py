"""Strip of pictures for a figure: titled columns and rows, with the classes below.

The paper's figures 2, A, C and D are of this kind: a row per example or cycle length, and columns such
as frame, labels, truth and errors (painted by `report.paint`).
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError
from warprefine.report.chart import LIGHT, Theme
from warprefine.report.grid import AnyPicture, Column, RowTitle, class_legend, draw_grid


def draw_strip(
    columns: Sequence[tuple[str, Sequence[AnyPicture | None]]],
    *,
    rows: Sequence[str] = (),
    classes: ClassSet | None = None,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Draw columns of pictures of one size, each under its title; None leaves a cell empty.

    Pictures at most 120 pixels wide are enlarged by a whole number; nothing is smoothed.

    Args:
        rows: The title of each row; empty for a strip without row titles.
        classes: Classes whose names and colours are listed below the pictures.

    Raises:
        FrameError: Columns or row titles differ in number, or pictures in size.

    Example:
        >>> import numpy as np
        >>> black = np.zeros((120, 240, 3), np.uint8)
        >>> draw_strip([("labels", [black]), ("truth", [black])]).width
        488
    """
    lengths = {len(pictures) for _, pictures in columns} | ({len(rows)} if rows else set())
    if len(lengths) != 1:
        raise FrameError(
            f"a strip has columns and row titles of {sorted(lengths)} rows; expected as many pictures in "
            "each column as there are row titles; put None for an empty cell"
        )
    titles = [RowTitle(text=text) for text in rows or [""] * lengths.pop()]
    legend = class_legend(classes) if classes else []
    titled = [Column(title=title, pictures=pictures) for title, pictures in columns]
    return draw_grid(titled, titles, legend, theme=theme)
