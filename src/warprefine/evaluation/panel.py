"""Lay out the pictures of a clip side by side: a row per frame, a column per method (figure 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from warprefine.core.classes import ClassSet, Color
from warprefine.evaluation import paint
from warprefine.evaluation.gallery import View
from warprefine.evaluation.paint import Picture
from warprefine.evaluation.plots import LIGHT, Theme
from warprefine.evaluation.scores import in_order, leading

_MOST_CELL_W = 480
_LEAST_CELL_W = 240
_GAP = 8


@dataclass(frozen=True, kw_only=True)
class _Column:
    title: str
    pictures: Sequence[Picture | None]

    @property
    def is_empty(self) -> bool:
        return all(picture is None for picture in self.pictures)


def draw_panel(
    views: Sequence[View], classes: ClassSet, *, methods: Sequence[str], theme: Theme = LIGHT
) -> Image.Image:
    """Draw frame, truth, the labels of each method, errors and confidence, a row per view.

    Errors and confidence are those of the method whose labels are meant to be used, warp-refine if it
    is there. Columns that no view can fill, such as truth and errors where there is no truth, are left
    out. Pixels are shown one to one, or enlarged or divided by a whole number; label maps are never
    smoothed.
    """
    rows = [view.shrunk(_MOST_CELL_W) for view in views]
    columns = [column for column in _columns(rows, classes, methods) if not column.is_empty]
    _, _, h, w = rows[0].frame.shape
    enlarge = max(1, _LEAST_CELL_W // w)
    h, w = h * enlarge, w * enlarge
    pt = min(40, max(15, w // 12))
    left, top = 5 * pt, 2 * pt

    width = left + len(columns) * (w + _GAP) - _GAP
    legend = _draw_legend(_legend(rows, classes), width=width - left, pt=pt, theme=theme)
    panel = Image.new("RGBA", (width, top + len(rows) * (h + _GAP) + _GAP + legend.height), theme.paper)
    draw = ImageDraw.Draw(panel)
    for i, column in enumerate(columns):
        x = left + i * (w + _GAP)
        draw.text((x, top - pt // 2), column.title, font=_font(pt), fill=theme.ink, anchor="ls")
        for j, picture in enumerate(column.pictures):
            if picture is not None:
                large = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
                panel.paste(Image.fromarray(large), (x, top + j * (h + _GAP)))
    for j, view in enumerate(rows):
        y = top + j * (h + _GAP)
        draw.text((0, y), f"k = {view.distance}", font=_font(pt, bold=True), fill=theme.ink)
        draw.text((0, y + 1.5 * pt), f"frame {view.number}", font=_font(round(0.75 * pt)), fill=theme.muted)
    panel.paste(legend, (left, panel.height - legend.height))
    return panel


def _columns(views: Sequence[View], classes: ClassSet, methods: Sequence[str]) -> Iterator[_Column]:
    chosen = leading(methods)

    def column(title: str, draw: Callable[[View], Picture | None]) -> _Column:
        return _Column(title=title, pictures=[draw(view) for view in views])

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
        yield _Column(
            title=method,
            pictures=[paint.paint_labels(v.predictions[method], classes, frame=v.frame) for v in views],
        )
    yield column("errors", errors)
    yield column("confidence", confidence)


def _legend(views: Sequence[View], classes: ClassSet) -> list[tuple[Sequence[Color], str]]:
    """Return colours, one or a scale of them, and what they mean; only for what is to be seen."""
    maps = [labels for v in views for labels in (v.truth, *v.predictions.values()) if labels is not None]
    seen = {int(position) for labels in maps for position in torch.unique(labels)}
    entries: list[tuple[Sequence[Color], str]] = [
        ([color], name)
        for position, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
        if position in seen
    ]
    if any(view.truth is not None for view in views):
        entries += [([paint.RIGHT], "right"), ([paint.WRONG], "wrong"), ([paint.UNKNOWN], "no truth")]
    if any(view.confidences for view in views):
        scale = [(int(r), int(g), int(b)) for r, g, b in paint.confidence_colors()]
        entries.append((scale, "confidence 0 to 100 %"))
    return entries


def _draw_legend(
    entries: Sequence[tuple[Sequence[Color], str]], *, width: int, pt: int, theme: Theme
) -> Image.Image:
    """Set the entries one after the other, in as many lines as they need."""
    font, line, side = _font(round(0.85 * pt)), 2 * pt, round(0.7 * pt)
    placed, x, y = [], 0, 0
    for colors, name in entries:
        box_w = side if len(colors) == 1 else 6 * side
        entry_w = box_w + pt // 2 + round(font.getlength(name))
        if x and x + entry_w > width:
            x, y = 0, y + line
        row = Image.fromarray(np.array([colors], np.uint8))
        placed.append((x, y, row.resize((box_w, side), Image.Resampling.NEAREST), name))
        x += entry_w + round(1.2 * pt)
    legend = Image.new("RGBA", (width, y + line), theme.paper)
    draw = ImageDraw.Draw(legend)
    for left, top, box, name in placed:
        legend.paste(box, (left, top + (line - side) // 2))
        middle = (left + box.width + pt // 2, top + line // 2)
        draw.text(middle, name, font=font, fill=theme.muted, anchor="lm")
    return legend


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load a font that comes with matplotlib, so that pictures look the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
