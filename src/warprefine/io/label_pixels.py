"""Read what the pixels of a label map mean: ids in one channel, ids in several equal ones, or colours."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from warprefine.core.classes import VOID_COLOR, ClassSet
from warprefine.core.errors import LabelError, shorten
from warprefine.core.tensors import VOID

NO_CLASS = -1
_VOID_OF_16_BITS = 65535
_INDEX_MODES = ("1", "L", "P")
_DEEP_MODES = ("I;16", "I;16B", "I;16L")
_COLOR_MODES = ("RGB", "RGBA", "LA")
# Pillow stretches grey PNGs of 2 and 4 bits to 0..255, which multiplies the indices they hold.
_STRETCH = {"L;2": 85, "L;4": 17}
_MOST_STRAYS = 16


def label_pixels(picture: ImageFile.ImageFile, path: Path) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """Return the ids of a label map of any bit depth, (h, w), or its colours, (h, w, 3), if it has colours.

    An alpha channel that is full everywhere is dropped.

    Raises:
        LabelError: The picture is no PNG, is transparent, or has 16 bits in each of several channels.
    """
    if picture.format != "PNG":
        raise LabelError(
            f"label map {path} is a {picture.format} file; expected an index PNG, which keeps ids exact"
        )
    rawmode = str(picture.tile[0].args)
    if picture.mode in _DEEP_MODES:
        return np.asarray(picture).astype(np.uint16)
    if picture.mode in _INDEX_MODES:
        ids = np.asarray(picture).astype(np.uint8, copy=False)
        return ids // _STRETCH[rawmode] if rawmode in _STRETCH else ids
    if picture.mode not in _COLOR_MODES or ";16" in rawmode:
        raise LabelError(
            f"label map {path} has {picture.mode} of 16 bits; expected an index PNG, one channel of class ids"
        )
    pixels: NDArray[np.uint8] = np.asarray(picture)
    channels = len(picture.getbands())
    if channels % 2 == 0 and int(pixels[..., -1].min()) < 255:
        raise LabelError(
            f"label map {path} is partly transparent (mode {picture.mode}); expected an index PNG, one "
            f"channel of class ids; export it without alpha"
        )
    return pixels[..., :3] if channels > 2 else pixels[..., 0]


def positions_of_ids(
    ids: NDArray[np.uint16] | NDArray[np.uint8], classes: ClassSet, path: Path
) -> NDArray[np.uint8]:
    """Return the class position of each id, or VOID.

    Raises:
        LabelError: There is an id that is neither a class nor void.
    """
    table = _table_of_ids(classes)
    # Four times as fast as `table[ids]`.
    positions = cv2.LUT(ids, table[: VOID + 1]) if ids.dtype == np.uint8 else table[ids]
    if positions.min(initial=0) == NO_CLASS:
        raise _stray_ids(ids[positions == NO_CLASS], classes, path)
    return np.asarray(positions, np.uint8)


def positions_of_colors(colors: NDArray[np.integer], classes: ClassSet, path: Path) -> NDArray[np.uint8]:
    """Return the class position of each colour, or of each id where red, green and blue are equal everywhere.

    Raises:
        LabelError: There is a colour of no class; or the values mean one thing as ids, another as colours.
    """
    by_color = color_table(classes)[packed(colors)]
    in_colors = not (by_color == NO_CLASS).any()
    if bool((colors == colors[..., :1]).all()):
        by_id = _table_of_ids(classes)[colors[..., 0]]
        if not (by_id == NO_CLASS).any():
            if in_colors and (by_id != by_color).any():
                raise LabelError(
                    f"label map {path} is grey in three channels, which can be read as ids and as colours of "
                    f"classes.toml, with different results; export one channel of class ids"
                )
            return np.asarray(by_id, np.uint8)
    if not in_colors:
        raise _stray_colors(colors[by_color == NO_CLASS], path)
    return np.asarray(by_color, np.uint8)


@lru_cache(maxsize=2)
def color_table(classes: ClassSet) -> NDArray[np.int16]:
    """Return the class position of every colour red · 65536 + green · 256 + blue; `NO_CLASS` for none.

    Black is VOID unless it is the colour of a class. A colour of several classes is that of none.
    """
    table = np.full(1 << 24, NO_CLASS, np.int16)
    table[packed(np.array([VOID_COLOR]))] = VOID
    colors = packed(np.array(classes.colors))
    table[colors] = range(len(classes))
    found, counts = np.unique(colors, return_counts=True)
    table[found[counts > 1]] = NO_CLASS
    return table


def packed(colors: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return colours (..., 3) as red · 65536 + green · 256 + blue.

    Example:
        >>> print(packed(np.array([[1, 2, 3]])))
        [66051]
    """
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    both: NDArray[np.int32] = (red << 16) + (green << 8) + blue
    return both


def shown_colors(colors: NDArray[np.integer]) -> str:
    """Return each of some colours (n, 3) once, with its number of pixels."""
    found, counts = np.unique(packed(colors), return_counts=True)
    listed = (
        f"{(int(color) >> 16, int(color) >> 8 & 255, int(color) & 255)} ({count} px)"
        for color, count in zip(found, counts, strict=True)
    )
    return shorten(listed, most=_MOST_STRAYS)


@lru_cache(maxsize=8)
def _table_of_ids(classes: ClassSet) -> NDArray[np.int16]:
    """Return the class position of each number from 0 to 65535; `NO_CLASS` for none."""
    table = np.full(1 << 16, NO_CLASS, np.int16)
    table[[VOID, *classes.void_ids]] = VOID
    for position, file_ids in enumerate(classes.all_ids):
        table[list(file_ids)] = position
    if table[VOID] == VOID and table[_VOID_OF_16_BITS] == NO_CLASS:
        table[_VOID_OF_16_BITS] = VOID
    return table


def _stray_ids(strays: NDArray[np.integer], classes: ClassSet, path: Path) -> LabelError:
    found, counts = np.unique(strays, return_counts=True)
    listed = shorten(f"{number} ({count} px)" for number, count in zip(found, counts, strict=True))
    remedy = "add it to classes.toml or to void_ids"
    if int(found[-1]) > VOID:
        remedy = "ids end at 255, so these may be instances; export class ids, or name them in void_ids"
    return LabelError(
        f"label map {path} holds ids that are no class: {listed}; "
        f"the classes have ids {shorten(classes.ids)}; {remedy}"
    )


def _stray_colors(strays: NDArray[np.integer], path: Path) -> LabelError:
    return LabelError(
        f"label map {path} is a colour picture, with colours of no class or of several: "
        f"{shown_colors(strays)}; give each class its own colour in classes.toml, or export an index PNG"
    )
