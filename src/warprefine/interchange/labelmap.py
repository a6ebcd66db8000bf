"""Read and write labelmap.txt of Pascal VOC and CVAT, and PNGs of its colours or the numbers of its lines.

A line is "name:r,g,b:parts:actions". Lines are numbered from 0, without those that begin with #. It is
described at docs.cvat.ai, "Segmentation Mask", and written by datumaro.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from warprefine.core.classes import VOID_COLOR, ClassSet, Color
from warprefine.core.errors import DatasetError, LabelError
from warprefine.core.tensors import VOID
from warprefine.datasets.palette import own_colors
from warprefine.interchange.imported import BACKGROUND, NO_LABEL, ClassList, FileClass, Positions
from warprefine.interchange.pixels import positions_of_picture, table_of_colors, value_table
from warprefine.io.label_pixels import label_pixels, packed
from warprefine.io.pictures import with_picture
from warprefine.io.text import read_text

VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""The classes of Pascal VOC 2012, which its label maps have as 0 to 20."""
VOC_VOID: Color = (224, 224, 192)
"""The colour of 255 in Pascal VOC: borders between things, which have no label."""
MOST_CLASSES = 254
"""One more line is for what has no label, and 255 is void."""
_LINE = re.compile(r"(.+?):\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?::[^:]*){0,2}", re.ASCII)
_LINE_WITHOUT_COLOR = re.compile(r"([^:]+):\s*(?::[^:]*){0,2}")
_DUMMY = re.compile(r"dummy_?\d*", re.IGNORECASE)
_BARE_NO_LABEL = frozenset(name.strip("_") for name in NO_LABEL)


def read_labelmap(path: Path, *, named: str) -> list[FileClass]:
    """Read the classes of labelmap.txt, in the order of its lines.

    Names like `background`, `ignored`, `_unlabelled` and `_dummy7` stand for pixels without a label. A
    `background` that is not black is a class where the file lists such a name besides.

    Raises:
        DatasetError: A line is of another form, or a class is listed twice.
    """
    classes = ClassList(where=named)
    text = read_text(path, expected="a line name:r,g,b:: for each class", error_class=DatasetError)
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := _LINE.fullmatch(line.strip()):
            color: Color | None = (int(match[2]), int(match[3]), int(match[4]))
        elif match := _LINE_WITHOUT_COLOR.fullmatch(line.strip()):
            color = None
        if match is None or max(color or VOID_COLOR) > 255:
            raise DatasetError(
                f"{named}, line {number}, is {line.strip()[:80]!r}; expected name:r,g,b:: with numbers from "
                "0 to 255; correct it there"
            )
        classes.add(match[1].strip(), color=color)
    if not classes.found:
        raise DatasetError(f"{named} lists no classes; expected a line name:r,g,b:: for each")
    found = classes.found
    if all(one.color is None for one in found):
        found = [replace(one, color=color) for one, color in zip(found, voc_colors(len(found)), strict=True)]
    return without_label(found)


def without_label(classes: Sequence[FileClass]) -> list[FileClass]:
    """Return classes, and mark those that stand for pixels without a label."""
    told = any(_bare(one) in _BARE_NO_LABEL for one in classes)

    def is_void(one: FileClass) -> bool:
        if one.name.lower() in BACKGROUND:
            return not told or one.color in (None, VOID_COLOR)
        return _bare(one) in _BARE_NO_LABEL or bool(_DUMMY.fullmatch(_bare(one)) and one.name.startswith("_"))

    return [replace(one, is_void=is_void(one)) for one in classes]


def _bare(one: FileClass) -> str:
    return one.name.strip("_").lower()


def voc_colors(number: int) -> tuple[Color, ...]:
    """Return the first colours of Pascal VOC: the bits of an index are dealt out to red, green and blue.

    Example:
        >>> voc_colors(4)
        ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    index = np.arange(number)
    channels = [
        sum(((index >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)
    ]
    return tuple((int(red), int(green), int(blue)) for red, green, blue in zip(*channels, strict=True))


@dataclass(frozen=True, eq=False)
class Legend:
    """What the pixels of label PNGs mean.

    Attributes:
        values: The table of `value_table`: for each value of an index PNG its position.
        colors: The table of `table_of_colors`; None where classes have no colours.
        listed: What lists the classes, for messages.
    """

    values: NDArray[np.int32]
    colors: NDArray[np.int16] | None
    listed: str

    def read(self, path: Path, named: str) -> Positions:
        """Read a PNG of colours, or of values, as positions in the classes.

        A palette PNG has both: values count where the colours of the palette are not those of the classes.

        Raises:
            LabelError: It cannot be read, holds what the legend does not list, or has colours and values of
                different meaning.
        """
        values, colors = with_picture(path, lambda picture: _pixels(picture, path), error_class=LabelError)
        if values is None:
            assert colors is not None, "a picture has values or colours"
            return self._of_colors(colors, named)
        positions = self.values[values]
        if colors is None or self.colors is None:
            return self._of_values(values, positions, named)
        shown = self.colors[packed(colors)]
        if (shown < 0).any():
            return self._of_values(values, positions, named)
        if not (positions < 0).any() and (positions != shown).any():
            y, x = np.argwhere(positions != shown)[0].tolist()
            raise LabelError(
                f"{named} has the value {values[y, x]} in the colour {tuple(colors[y, x].tolist())} at "
                f"x={x}, y={y}, which {self.listed} has as two different classes; expected a palette in the "
                "order of its lines; save it as RGB if the colours are right"
            )
        return np.asarray(shown, np.uint8)

    def _of_colors(self, colors: NDArray[np.uint8], named: str) -> Positions:
        if self.colors is None:
            raise LabelError(
                f"{named} is in colours, and {self.listed} has none; expected a PNG of values, or "
                "labelmap.txt with the colours"
            )
        return positions_of_picture(colors, self.colors, named=named, listed=self.listed)

    def _of_values(self, values: NDArray[np.uint16], positions: NDArray[np.int32], named: str) -> Positions:
        if (positions < 0).any():
            y, x = np.argwhere(positions < 0)[0].tolist()
            raise LabelError(
                f"{named} holds the value {values[y, x]} at x={x}, y={y}; expected the number of a line of "
                f"{self.listed}, from 0, or 255 for void; list the class, or correct the label map"
            )
        return np.asarray(positions, np.uint8)


def legend_of(classes: Sequence[FileClass], *, listed: str) -> Legend:
    """Return what pixels mean if classes are listed in the order of their values.

    Raises:
        LabelError: Two classes have the same colour.
    """
    colors = [one.color for one in classes]
    table = None
    if not all(color is None for color in colors):
        known = [(one.name, one.color) for one in classes if one.color is not None]
        positions = np.array(
            [n for n, color in enumerate(colors) if color is not None] + [VOID, -1], np.int16
        )
        by_color = table_of_colors(*zip(*known, strict=True), void=(VOID_COLOR, VOC_VOID), listed=listed)
        if len(known) < len(classes):
            found = by_color >= 0
            by_color[found] = positions[np.where(by_color[found] == VOID, len(known), by_color[found])]
        table = by_color
    return Legend(values=value_table(range(len(classes))), colors=table, listed=listed)


def _pixels(
    picture: ImageFile.ImageFile, path: Path
) -> tuple[NDArray[np.uint16] | None, NDArray[np.uint8] | None]:
    """Return the values of a PNG, and its colours; one of both is None where it has none."""
    if picture.mode == "P" and picture.format == "PNG":
        values = np.asarray(picture).astype(np.uint16)
        return values, np.array(picture.convert("RGBA").convert("RGB"))
    pixels = label_pixels(picture, path)
    return (pixels.astype(np.uint16), None) if pixels.ndim == 2 else (None, pixels.astype(np.uint8))


@dataclass(frozen=True, kw_only=True)
class WrittenClasses:
    """The lines of labelmap.txt for an export, and the line of each class.

    Attributes:
        names: The names in the order of lines.
        colors: Their colours, all different.
        lines: For each of the 256 values of a label map the number of its line.
        changed: The names of the classes that got another colour.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    lines: NDArray[np.uint8]
    changed: tuple[str, ...]

    @property
    def text(self) -> str:
        """What labelmap.txt holds."""
        lines = [f"{name}:{','.join(map(str, c))}::" for name, c in zip(self.names, self.colors, strict=True)]
        return "\n".join(["# label:color_rgb:parts:actions", *lines, ""])


def written_classes(classes: ClassSet) -> WrittenClasses:
    """Return the lines of labelmap.txt: a black `background` for void, then the classes.

    A class that is called `background` takes its place, as CVAT and datumaro have it first, and void is
    `ignored` in the last line. A class that is black, or has the colour of another one, gets one of its own.

    Raises:
        DatasetError: There are more than 254 classes, or a name cannot stand in a line.
    """
    if len(classes) > MOST_CLASSES:
        raise DatasetError(
            f"labelmap.txt would list {len(classes)} classes; expected at most {MOST_CLASSES}; merge some"
        )
    for name in classes.names:
        if name != name.strip() or len(name.splitlines()) != 1 or ":" in name or name.startswith("#"):
            raise DatasetError(
                f"the class {name!r} cannot be listed in labelmap.txt; expected a name of one line without "
                "blanks around it, without ':', and not beginning with '#'; rename it in classes.toml, "
                "or by --map"
            )
    colors = own_colors(classes.colors, taken=(VOID_COLOR, VOC_VOID))
    void = next(name for name in _void_names() if name not in classes.names)
    order = list(range(len(classes)))
    if void == "background":
        order.insert(0, VOID)
    else:
        order.insert(0, order.pop(classes.names.index("background")))
        order.append(VOID)
    lines = np.zeros(256, np.uint8)
    lines[order] = range(len(order))
    by_position = {VOID: (void, VOID_COLOR if void == "background" else VOC_VOID)}
    by_position |= {
        n: (name, color) for n, (name, color) in enumerate(zip(classes.names, colors, strict=True))
    }
    names, shown = zip(*(by_position[position] for position in order), strict=True)
    changed = [n for n, own, color in zip(classes.names, classes.colors, colors, strict=True) if own != color]
    return WrittenClasses(names=names, colors=shown, lines=lines, changed=tuple(changed))


def _void_names() -> Iterator[str]:
    return chain(("background", "ignored", "void"), ("_" * number + "void" for number in count(1)))
