"""Read and write the PNGs of formats that keep label maps as pictures: indices, and colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from warprefine.core.classes import VOID_COLOR, Color
from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions
from warprefine.io.images import read_ids
from warprefine.io.label_pixels import label_pixels, packed, shown_colors
from warprefine.io.pictures import with_picture

_LEVEL = 3  # zlib's: as in `write_labels`


def positions_of_values(path: Path, table: NDArray[np.int32], *, named: str, listed: str) -> Positions:
    """Read an index PNG of up to 16 bits as positions.

    Args:
        path: The PNG; colours of a palette do not count, indices do.
        table: For each value its position, VOID, or -1 where it has no meaning; see `value_table`.
        named: How messages name the PNG.
        listed: What lists the values, for messages: "_classes.csv".

    Raises:
        LabelError: It cannot be read, is no index PNG, or holds a value without meaning.
    """
    return check_values(read_ids(path), table, named=named, listed=listed)


def check_values(
    values: NDArray[np.integer], table: NDArray[np.int32], *, named: str, listed: str
) -> Positions:
    """Return the positions of values, (h, w), of up to 16 bits; see `positions_of_values`.

    Raises:
        LabelError: There is a value without meaning.
    """
    positions = table[values]
    if (positions < 0).any():
        y, x = np.argwhere(positions < 0)[0].tolist()
        strays = sorted({*values[positions < 0].tolist()})
        raise LabelError(
            f"{named} holds the value {strays[0]} at x={x}, y={y}{_further(strays)}; expected those that "
            f"{listed} "
            "lists and 255 for void; correct the mask, or list the value"
        )
    return np.asarray(positions, np.uint8)


def value_table(values: Sequence[int], *, void: Sequence[int] = ()) -> NDArray[np.int32]:
    """Return the table of `positions_of_values` for classes of these values, in order, and those of void.

    Example:
        >>> table = value_table([7, 8], void=[0])
        >>> table[[7, 8, 0, 255, 9]].tolist()
        [0, 1, 255, 255, -1]
    """
    table = np.full(1 << 16, -1, np.int32)
    table[VOID] = VOID
    table[list(void)] = VOID
    for position, value in enumerate(values):
        table[value] = position
    return table


def read_colors(path: Path) -> NDArray[np.uint8]:
    """Read a PNG as colours, (h, w, 3); those of a palette are looked up, full alpha is dropped.

    Raises:
        LabelError: The file is missing, damaged or no PNG, or it is partly transparent.
    """

    def colors(picture: ImageFile.ImageFile) -> NDArray[np.uint8]:
        if picture.mode == "P" and picture.format == "PNG":
            return np.array(picture.convert("RGBA").convert("RGB"))
        pixels = label_pixels(picture, path)
        if pixels.ndim == 2:
            if pixels.dtype != np.uint8 and int(pixels.max(initial=0)) > VOID:
                raise LabelError(
                    f"{path} has 16 bits in one channel; expected colours of 8 bits in each channel"
                )
            return np.stack([pixels.astype(np.uint8)] * 3, axis=-1)
        return pixels.astype(np.uint8)

    return with_picture(path, colors, error_class=LabelError)


def positions_of_picture(
    colors: NDArray[np.uint8], table: NDArray[np.int16], *, named: str, listed: str
) -> Positions:
    """Return the positions of colours, (h, w, 3).

    Args:
        colors: The picture.
        table: The table of `table_of_colors`.
        named: How messages name the picture.
        listed: What lists the colours, for messages: "labelmap.txt".

    Raises:
        LabelError: There is a colour that is not listed.
    """
    positions = table[packed(colors)]
    if (positions < 0).any():
        y, x = np.argwhere(positions < 0)[0].tolist()
        red, green, blue = colors[y, x].tolist()
        raise LabelError(
            f"{named} has the colour {red},{green},{blue} at x={x}, y={y}, which {listed} does not list; "
            "colours "
            f"that are not listed: {shown_colors(colors[positions < 0])}; list them, or export without "
            "smoothing"
        )
    return np.asarray(positions, np.uint8)


def table_of_colors(
    names: Sequence[str], colors: Sequence[Color], *, void: Sequence[Color] = (VOID_COLOR,), listed: str
) -> NDArray[np.int16]:
    """Return the position of every colour red · 65536 + green · 256 + blue, or -1.

    Args:
        names: The classes.
        colors: The colour of each.
        void: Colours of what has no label, unless a class has the same.
        listed: What lists the colours, for messages.

    Raises:
        LabelError: Two classes have the same colour.
    """
    table = np.full(1 << 24, -1, np.int16)
    for color in void:
        table[packed(np.array([color]))] = VOID
    seen: dict[Color, str] = {}
    for position, (name, color) in enumerate(zip(names, colors, strict=True)):
        if color in seen:
            raise LabelError(
                f"{listed} gives the classes {seen[color]!r} and {name!r} the same colour {color}; expected "
                "one "
                "colour for each, as a picture cannot tell them apart; give one another colour and export "
                "again"
            )
        seen[color] = name
        table[packed(np.array([color]))] = position
    return table


def write_values(path: Path, values: NDArray[np.uint8], *, palette: Sequence[Color] | None = None) -> None:
    """Write an 8-bit PNG of indices, (h, w), into a draft; with 256 colours if a palette is given.

    The folder of `path` is made. Fewer than 256 colours are filled up with black: Pillow packs pixels into
    as few bits as the length of the palette needs, and would cut 255.
    """
    picture = Image.fromarray(values)
    if palette is not None:
        colors = [*palette, *[VOID_COLOR] * (256 - len(palette))]
        picture.putpalette([channel for color in colors for channel in color])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG", compress_level=_LEVEL)


def write_colors(path: Path, colors: NDArray[np.uint8]) -> None:
    """Write an RGB PNG, (h, w, 3), into a draft; the folder of `path` is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors).save(path, format="PNG", compress_level=_LEVEL)


def _further(strays: Sequence[int]) -> str:
    return f" (and {len(strays) - 1} more values)" if len(strays) > 1 else ""
