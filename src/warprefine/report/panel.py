"""Panel of a clip: a row per frame, a column per method, errors and confidence (figure 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from PIL import Image

from warprefine.core.classes import VOID_COLOR, ClassSet
from warprefine.core.tensors import VOID
from warprefine.metrics.scores import in_order, leading
from warprefine.report import paint
from warprefine.report.chart import LIGHT, Theme
from warprefine.report.gallery import View
from warprefine.report.grid import Column, LegendEntry, RowTitle, class_legend, draw_grid
from warprefine.report.paint import Picture

_MOST_CELL_W = 480


def draw_panel(
    views: Sequence[View], classes: ClassSet, *, methods: Sequence[str], theme: Theme = LIGHT
) -> Image.Image:
    """Draw frame, truth, the labels of each method, errors and confidence, a row per view.

    Errors and confidence are those of the method whose labels are to be used (`leading`). Columns that
    are empty in all rows, such as truth and errors where there is no truth, are left out. Pixels are
    shown one to one, or enlarged or downscaled by a whole number; label maps are never smoothed.
    """
    rows = [view.shrunk(_MOST_CELL_W) for view in views]
    columns = [column for column in _columns(rows, classes, methods) if not column.is_empty]
    titles = [RowTitle(text=f"k = {view.distance}", note=f"frame {view.number}") for view in rows]
    return draw_grid(columns, titles, _legend(rows, classes), theme=theme)


def _columns(views: Sequence[View], classes: ClassSet, methods: Sequence[str]) -> Iterator[Column]:
    chosen = leading(methods)

    def column(title: str, draw: Callable[[View], Picture | None]) -> Column:
        return Column(title=title, pictures=[draw(view) for view in views])

    def truth(view: View) -> Picture | None:
        return None if view.truth is None else paint.paint_labels(view.truth, classes, frame=view.frame)

    def errors(view: View) -> Picture | None:
        if view.truth is None:
            return None
        return paint.paint_errors(view.predictions[chosen], view.truth, frame=view.frame)

    def confidence(view: View) -> Picture | None:
        values = view.confidences.get(chosen)
        return None if values is None else paint.paint_confidence(values)

    yield column("frame", lambda view: paint.paint_frame(view.frame))
    yield column("truth", truth)
    for method in in_order(methods):
        yield Column(
            title=method,
            pictures=[paint.paint_labels(v.predictions[method], classes, frame=v.frame) for v in views],
        )
    yield column("errors", errors)
    yield column("confidence", confidence)


def _legend(views: Sequence[View], classes: ClassSet) -> list[LegendEntry]:
    """Return the legend entries of the classes, errors and confidence that the views contain."""
    maps = [labels for v in views for labels in (v.truth, *v.predictions.values()) if labels is not None]
    present = {int(position) for labels in maps for position in torch.unique(labels)}
    entries = [entry for position, entry in enumerate(class_legend(classes)) if position in present]
    if VOID in present:
        entries.append(([VOID_COLOR], "void"))
    if any(view.truth is not None for view in views):
        entries += [([paint.RIGHT], "right"), ([paint.WRONG], "wrong"), ([paint.UNKNOWN], "no truth")]
    if any(view.confidences for view in views):
        scale = [(int(r), int(g), int(b)) for r, g, b in paint.confidence_colors()]
        entries.append((scale, "confidence 0 to 100 %"))
    return entries
