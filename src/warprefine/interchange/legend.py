"""Draw the legend of a video: a square in its colour and the name of each class, in columns."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from warprefine.core.classes import ClassSet

BACKGROUND = (24, 24, 24)
_INK = (240, 240, 240)
_MOST_CLASSES = 64
_LONGEST = 40


def draw_legend(classes: ClassSet, *, width: int, letters: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return a legend of a width; the height follows from the number of classes, of which it shows up to 64.

    A name with letters that the font lacks is given as the number of its class.

    Args:
        classes: The classes.
        width: In pixels.
        letters: Height of the letters, in pixels.

    Example:
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
        >>> draw_legend(classes, width=200, letters=12).shape
        (30, 200, 3)
    """
    font = ImageFont.truetype(str(_font()), letters)
    pad = letters // 2
    entries = [(_shown(classes, position), classes.colors[position]) for position in range(len(classes))]
    if len(entries) > _MOST_CLASSES:
        further = f"and {len(entries) - _MOST_CLASSES + 1} more"
        entries = [*entries[: _MOST_CLASSES - 1], (further, BACKGROUND)]
    widest = max(int(font.getlength(text)) for text, _ in entries) + letters + 3 * pad
    columns = max(1, (width - pad) // widest)
    rows = -(-len(entries) // columns)
    line = letters + pad
    picture = Image.new("RGB", (width, rows * line + 2 * pad), BACKGROUND)
    drawing = ImageDraw.Draw(picture)
    for number, (text, color) in enumerate(entries):
        x, y = pad + number // rows * widest, pad + number % rows * line
        drawing.rectangle((x, y, x + letters - 1, y + letters - 1), fill=color)
        drawing.text((x + letters + pad, y + letters // 2), text, fill=_INK, font=font, anchor="lm")
    return np.array(picture)


def _shown(classes: ClassSet, position: int) -> str:
    name = classes.names[position]
    if all(ord(letter) in _letters() for letter in name):
        return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"
    return f"class {classes.ids[position]}"


def _font() -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def _letters() -> frozenset[int]:
    return frozenset(FT2Font(str(_font())).get_charmap())
