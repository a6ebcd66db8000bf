"""Say what the pixels of Cityscapes' files mean: ids, train ids, colours and polygons.

KITTI has the same ids. CVAT and datumaro write lines of a label_colors.txt instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import VOID_COLOR
from warprefine.core.errors import DatasetError, LabelError, shorten
from warprefine.core.tensors import VOID
from warprefine.datasets.cityscapes_labels import CITYSCAPES_LABELS, CityscapesLabel
from warprefine.interchange.color_png import read_palette
from warprefine.interchange.imported import FileClass, Positions
from warprefine.interchange.pixels import (
    positions_of_picture,
    positions_of_values,
    read_colors,
    table_of_colors,
    value_table,
)
from warprefine.interchange.records import Record, read_record
from warprefine.interchange.shapes import pil_polygon, points_of
from warprefine.interchange.source import Source
from warprefine.io.label_pixels import packed

LABELS_BY_NAME = {label.name: label for label in CITYSCAPES_LABELS}
_LABELS = "labels.py of Cityscapes"
_LIST = "label_colors.txt"

Draw = Callable[[tuple[int, int]], Positions]


def codes_of(source: Source) -> CityscapesCodes | ListedCodes:
    """Return what pixels mean: lines of label_colors.txt where there is one, else ids of Cityscapes."""
    for path in source.called(_LIST)[:1]:
        return ListedCodes(where=source.shown(path), listed=read_palette(path, named=source.shown(path)))
    return CityscapesCodes()


def _instance_ids() -> NDArray[np.int64]:
    """Return the ids of the values of instanceIds, which are id · 1000 + number or an id alone."""
    values = np.arange(1 << 16)
    return np.where(values >= 1000, values // 1000, values)


@dataclass(frozen=True)
class CityscapesCodes:
    """The ids and colours of labels.py; also those of KITTI."""

    @cached_property
    def classes(self) -> list[FileClass]:
        """All labels that pixels can have; those that are not scored are void."""
        return [
            FileClass(name=one.name, color=one.color, id=one.id, is_void=not one.evaluated)
            for one in CITYSCAPES_LABELS
            if one.id >= 0
        ]

    def drawing(self, source: Source, kinds: Mapping[str, Path]) -> tuple[Draw, Path]:
        """Return what draws a frame, and the file that it reads."""
        for kind in ("labelids", "labeltrainids", "polygons", "color", "instanceids"):
            if kind in kinds:
                path = kinds[kind]
                draws: dict[str, Callable[..., Positions]] = {
                    "labelids": self.ids,
                    "labeltrainids": self._train_ids,
                    "polygons": self._polygons,
                    "color": self.colors,
                    "instanceids": partial(self.ids, coding=_instance_ids()),
                }
                return partial(draws[kind], path, source.shown(path)), path
        raise AssertionError("a frame without files")

    def ids(
        self, path: Path, named: str, size: tuple[int, int], *, coding: NDArray[np.int64] | None = None
    ) -> Positions:
        """Read ids of labels; `coding` has the id of each value, where values are no ids."""
        del size
        table = value_table(range(len(self.classes)))
        return positions_of_values(
            path, table if coding is None else table[coding], named=named, listed=_LABELS
        )

    def _train_ids(self, path: Path, named: str, size: tuple[int, int]) -> Positions:
        del size
        scored = sorted((one.train_id, one.id) for one in CITYSCAPES_LABELS if one.evaluated)
        table = value_table([])
        for train_id, number in scored:
            table[train_id] = number
        return positions_of_values(path, table, named=named, listed=_LABELS)

    def colors(self, path: Path, named: str, size: tuple[int, int]) -> Positions:
        """Read colours of labels; black is void, and of labels with the same colour the first counts."""
        del size
        table = table_of_colors([], [], listed=_LABELS)
        for position, one in reversed([*enumerate(self.classes)]):
            if one.color is not None and one.color != VOID_COLOR:
                table[packed(np.array([one.color]))] = position
        return positions_of_picture(read_colors(path), table, named=named, listed=_LABELS)

    def _polygons(self, path: Path, named: str, size: tuple[int, int]) -> Positions:
        """Draw polygons as the benchmark's json2labelImg: in their order, by Pillow, rim included."""
        content = read_record(path, expected="polygons of Cityscapes", named=named)
        own = content.whole("imgHeight"), content.whole("imgWidth")
        if own != size:
            raise LabelError(
                f"{named} has imgHeight = {own[0]} and imgWidth = {own[1]}, but the frame is {size[0]} x "
                f"{size[1]} (h x w); expected the size of the frame; export it unscaled"
            )
        labels = np.full(size, VOID, np.uint8)
        for one in content.records("objects"):
            if one.values.get("deleted"):
                continue
            label = _label(one)
            if label.id >= 0:
                labels[pil_polygon(_corners(one), size)] = label.id
        return labels


def _label(one: Record) -> CityscapesLabel:
    name = one.text("label")
    if name not in LABELS_BY_NAME:
        name = name.removesuffix("group")
    if name not in LABELS_BY_NAME:
        one.refuse(
            f"has the label {one.text('label')!r}, which {_LABELS} does not have; expected one of its "
            f"labels, such as {shorten(LABELS_BY_NAME)}",
            cure="rename it there",
        )
    return LABELS_BY_NAME[name]


def _corners(one: Record) -> NDArray[np.float64]:
    corners = one.listed("polygon")
    if not all(isinstance(corner, list) and len(corner) == 2 for corner in corners):
        one.refuse("has a polygon that is no list of [x, y]")
    return points_of([part for corner in corners for part in corner], where=one.where, least=2)


@dataclass(frozen=True, kw_only=True)
class ListedCodes:
    """The classes of a label_colors.txt, with which ids are lines of that file.

    Attributes:
        where: How messages name that file.
        listed: Its classes, in its order.
    """

    where: str
    listed: Sequence[FileClass]

    @property
    def classes(self) -> Sequence[FileClass]:
        """The classes in the order of the file."""
        return self.listed

    def drawing(self, source: Source, kinds: Mapping[str, Path]) -> tuple[Draw, Path]:
        """Return what draws a frame, and the file that it reads: the colours, else the ids.

        Raises:
            DatasetError: There are ids alone and nothing says what they mean, or neither.
        """
        if "color" in kinds:
            path = kinds["color"]
            return partial(self.colors, path, source.shown(path)), path
        if "labelids" in kinds:
            path = kinds["labelids"]
            if not self.listed[0].is_void:
                raise DatasetError(
                    f"{source.shown(path)} has no picture in colours beside it; expected one, as "
                    f"{self.where} lists labels of its own and no background in its first line: ids may "
                    "count from 0 or from 1; export the colours too"
                )
            return partial(self.ids, path, source.shown(path)), path
        raise DatasetError(
            f"{source.shown(next(iter(kinds.values())))} has neither colours nor ids beside it; expected "
            f"_gtFine_color.png, as {self.where} lists labels of its own"
        )

    def ids(
        self, path: Path, named: str, size: tuple[int, int], *, coding: NDArray[np.int64] | None = None
    ) -> Positions:
        """Read lines of the file, from 0; `coding` has the line of each value, where values are no lines."""
        del size
        table = value_table(range(len(self.listed)))
        return positions_of_values(
            path, table if coding is None else table[coding], named=named, listed=self.where
        )

    def colors(self, path: Path, named: str, size: tuple[int, int]) -> Positions:
        """Read colours of the file."""
        del size
        return positions_of_picture(read_colors(path), self._table, named=named, listed=self.where)

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        """The positions of colours; of labels of Cityscapes with one colour, that which is scored counts."""
        kept = [one for one in self.listed if not self._is_double(one)]
        table = table_of_colors(
            [one.name for one in kept], [one.color or VOID_COLOR for one in kept], listed=self.where
        )
        lines = np.array([self.listed.index(one) for one in kept] + [0], np.int16)
        found: NDArray[np.int16] = np.where(
            (table >= 0) & (table < VOID), lines[np.minimum(table, len(kept))], table
        )
        return found

    def _is_double(self, one: FileClass) -> bool:
        label = LABELS_BY_NAME.get(one.name)
        same = [other for other in self.listed if other.color == one.color]
        return len(same) > 1 and label is not None and label.color == one.color and not label.evaluated
