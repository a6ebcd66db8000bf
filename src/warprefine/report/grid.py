"""Image grid with titles and a legend, shared by panels and strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from warprefine.core.classes import ClassSet, Color
from warprefine.core.errors import FrameError
from warprefine.report.chart import Theme
from warprefine.report.fonts import font_file, legible_names

AnyPicture: TypeAlias = UInt8[np.ndarray, "_ _ 3"]
"""RGB pixels; `draw_grid` checks that all of them have one size."""

LegendEntry: TypeAlias = tuple[Sequence[Color], str]
"""One colour, or a colour scale, and its label."""

_LEAST_CELL_W = 240
_GAP = 8


@dataclass(frozen=True, kw_only=True)
class Column:
    """A titled column of pictures, None for an empty cell."""

    title: str
    pictures: Sequence[AnyPicture | None]

    @property
    def is_empty(self) -> bool:
        """Whether all cells are empty."""
        return all(picture is None for picture in self.pictures)


@dataclass(frozen=True, kw_only=True)
class RowTitle:
    """The title of a row, with a smaller line below."""

    text: str
    note: str = ""


def draw_grid(
    columns: Sequence[Column], rows: Sequence[RowTitle], legend: Sequence[LegendEntry], *, theme: Theme
) -> Image.Image:
    """Draw pictures of one size with titles left and above, and the legend below.

    Pixels are shown one to one, or enlarged by a whole number, and never smoothed. The picture is RGB, or
    RGBA if the page shines through the theme's paper.

    Raises:
        FrameError: The pictures differ in size.
    """
    h, w = _common_size(columns)
    enlarge = max(1, _LEAST_CELL_W // w)
    h, w = h * enlarge, w * enlarge
    pt = min(40, max(15, w // 12))
    fonts = [_fitting_font(row.text, pt, width=max(5 * pt, w // 2), bold=True) for row in rows]
    left, top = _title_width(rows, fonts, pt), 2 * pt

    width = left + len(columns) * (w + _GAP) - _GAP
    key = _draw_legend(legend, width=width - left, pt=pt, theme=theme) if legend else None
    below = _GAP + key.height if key else 0
    grid = Image.new(_mode(theme), (width, top + len(rows) * (h + _GAP) - _GAP + below + _GAP), theme.paper)
    draw = ImageDraw.Draw(grid)
    for i, column in enumerate(columns):
        x = left + i * (w + _GAP)
        font = _fitting_font(column.title, pt, width=w - _GAP)
        draw.text((x, top - pt // 2), column.title, font=font, fill=theme.ink, anchor="ls")
        for j, picture in enumerate(column.pictures):
            if picture is not None:
                large = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
                grid.paste(Image.fromarray(large), (x, top + j * (h + _GAP)))
    for j, (row, font) in enumerate(zip(rows, fonts, strict=True)):
        y = top + j * (h + _GAP)
        draw.text((0, y), row.text, font=font, fill=theme.ink)
        draw.text((0, y + 1.5 * pt), row.note, font=_font(round(0.75 * pt), row.note), fill=theme.muted)
    if key:
        grid.paste(key, (left, grid.height - key.height))
    return grid


def class_legend(classes: ClassSet) -> list[LegendEntry]:
    """Return an entry for each class."""
    shown = legible_names(classes)
    return [([color], shown[name]) for name, color in zip(classes.names, classes.colors, strict=True)]


def _mode(theme: Theme) -> str:
    return "RGB" if len(theme.paper) == len("#rrggbb") else "RGBA"


def _common_size(columns: Sequence[Column]) -> tuple[int, int]:
    sizes = {picture.shape[:2] for column in columns for picture in column.pictures if picture is not None}
    if len(sizes) != 1:
        found = ", ".join(f"{h} x {w}" for h, w in sorted(sizes)) or "no picture"
        raise FrameError(
            f"pictures to be set side by side have sizes {found} (h x w); expected one size for all; "
            "resize them first"
        )
    ((h, w),) = sizes
    return h, w


def _title_width(rows: Sequence[RowTitle], fonts: Sequence[ImageFont.FreeTypeFont], pt: int) -> int:
    """Return the width of the row titles, left of the pictures."""
    size = round(0.75 * pt)
    widths = [font.getlength(row.text) for row, font in zip(rows, fonts, strict=True)]
    widest = max(*widths, *(_font(size, row.note).getlength(row.note) for row in rows))
    return round(widest) + pt if widest else 0


def _fitting_font(text: str, pt: int, *, width: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return a font of size `pt`, or smaller, in which the text fits into a width."""
    longest = max(width, _font(pt, text, bold=bold).getlength(text))
    return _font(max(1, int(pt * width / longest)), text, bold=bold)


def _draw_legend(entries: Sequence[LegendEntry], *, width: int, pt: int, theme: Theme) -> Image.Image:
    """Draw the entries one after the other, in as many lines as they need."""
    size, line, side = round(0.85 * pt), 2 * pt, round(0.7 * pt)
    placed, x, y = [], 0, 0
    for colors, name in entries:
        box_w = side if len(colors) == 1 else 6 * side
        entry_w = box_w + pt // 2 + round(_font(size, name).getlength(name))
        if x and x + entry_w > width:
            x, y = 0, y + line
        row = Image.fromarray(np.array([colors], np.uint8))
        placed.append((x, y, row.resize((box_w, side), Image.Resampling.NEAREST), name))
        x += entry_w + round(1.2 * pt)
    legend = Image.new(_mode(theme), (width, y + line), theme.paper)
    draw = ImageDraw.Draw(legend)
    for left, top, box, name in placed:
        legend.paste(box, (left, top + (line - side) // 2))
        middle = (left + box.width + pt // 2, top + line // 2)
        draw.text(middle, name, font=_font(size, name), fill=theme.muted, anchor="lm")
    return legend


def _font(size: int, text: str, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load a font for a text: the one that comes with matplotlib, unless it lacks letters."""
    return _loaded(font_file(text, bold=bold), size)


@cache
def _loaded(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)
