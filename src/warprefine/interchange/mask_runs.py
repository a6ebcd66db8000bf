"""Find the run lengths and boxes of all masks of a label map in one pass, for formats that keep RLE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.interchange.imported import Positions
from warprefine.interchange.shapes import positions_in

Runs = NDArray[np.uint32]
"""Lengths of runs outside and inside of a mask, in turn; the first may be 0, the last is inside or not 0."""
_Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskRuns:
    """The mask of a class, or of a region of one.

    Attributes:
        position: The class.
        runs: Its run lengths.
        box: The (left, top, width, height) of its pixels.
        area: The number of its pixels.
    """

    position: int
    runs: Runs
    box: tuple[int, int, int, int]
    area: int


def coco_runs(labels: Positions, *, instances: bool = False) -> Iterator[MaskRuns]:
    """Yield the mask of each class, with runs over the whole picture, column by column, as COCO counts them.

    Args:
        labels: A label map.
        instances: Yield each connected region of a class on its own; neighbours share an edge or a corner.
            Regions follow each other by class, then from left to right.

    Example:
        >>> labels = np.array([[0, 0], [1, 0]], np.uint8)
        >>> [(mask.position, mask.runs.tolist(), mask.box) for mask in coco_runs(labels)]
        [(0, [0, 1, 1, 2], (0, 0, 2, 2)), (1, [1, 1, 2], (0, 1, 1, 1))]
    """
    found = _find(labels, "columns", instances=instances)
    if found is not None:
        boxes = found.boxes()
        left, top = boxes[0], boxes[1]
        counts = _counts(found, found.starts, found.ends, np.full(len(left), labels.size))
        yield from found.masks(counts, (left, top, boxes[2] - left, boxes[3] - top))


def cvat_runs(labels: Positions, *, instances: bool = False) -> Iterator[MaskRuns]:
    """Yield the mask of each class, with runs inside its box, row by row, as CVAT counts them.

    Args:
        labels: A label map.
        instances: As in `coco_runs`; regions follow each other by class, then from top to bottom.

    Example:
        >>> labels = np.array([[0, 0], [1, 0]], np.uint8)
        >>> [(mask.position, mask.runs.tolist(), mask.box) for mask in cvat_runs(labels)]
        [(0, [0, 2, 1, 1], (0, 0, 2, 2)), (1, [0, 1], (0, 1, 1, 1))]
    """
    found = _find(labels, "rows", instances=instances)
    if found is None:
        return
    top, left, bottom, right = found.boxes()
    width = right - left
    y, x = np.divmod(found.starts, found.line)
    # A run that goes on in the next row makes the box as wide as the picture, so that it is one in the box.
    starts = (y - top[found.groups]) * width[found.groups] + x - left[found.groups]
    counts = _counts(found, starts, starts + found.ends - found.starts, width * (bottom - top))
    yield from found.masks(counts, (left, top, width, bottom - top))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """The runs of pixels of all masks, mask after mask.

    Attributes:
        positions: The class of each mask.
        firsts: The number of the first run of each mask.
        groups: The number of the mask of each run.
        starts: The first pixel of each run, counted along rows or columns.
        ends: The pixel after its last.
        line: The length of a row or column.
    """

    positions: list[int]
    firsts: _Indices
    groups: _Indices
    starts: _Indices
    ends: _Indices
    line: int

    def boxes(self) -> tuple[_Indices, _Indices, _Indices, _Indices]:
        """Return for each mask its first line and place in a line, and those after its last."""
        line, place = np.divmod(self.starts, self.line)
        last_line, last_place = np.divmod(self.ends - 1, self.line)
        goes_on = last_line > line
        lasts = np.append(self.firsts[1:], len(self.starts)) - 1
        return (
            line[self.firsts],
            np.minimum.reduceat(np.where(goes_on, 0, place), self.firsts),
            last_line[lasts] + 1,
            np.maximum.reduceat(np.where(goes_on, self.line, last_place + 1), self.firsts),
        )

    def masks(
        self, counts: list[Runs], boxes: tuple[_Indices, _Indices, _Indices, _Indices]
    ) -> Iterator[MaskRuns]:
        """Yield the masks, with their run lengths and boxes."""
        areas = np.add.reduceat(self.ends - self.starts, self.firsts).tolist()
        sides = (side.tolist() for side in boxes)
        for position, runs, area, *box in zip(self.positions, counts, areas, *sides, strict=True):
            left, top, width, height = box
            yield MaskRuns(position=position, runs=runs, box=(left, top, width, height), area=area)


def _find(labels: Positions, order: Literal["rows", "columns"], *, instances: bool) -> _Found | None:
    """Return the runs of all masks; None if all is void."""
    lines = cv2.transpose(labels) if order == "columns" else np.ascontiguousarray(labels)
    numbers, positions = _regions(lines) if instances else (lines, list(range(VOID)))
    outside = 0 if instances else VOID
    flat = numbers.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([np.zeros(min(1, flat.size), np.int64), changes])
    ends = np.append(changes, flat.size)[: len(starts)]
    values = flat[starts]
    inside = values != outside
    starts, ends, values = starts[inside], ends[inside], values[inside]
    if not values.size:
        return None
    order_of_runs = np.argsort(values, kind="stable")
    starts, ends, values = starts[order_of_runs], ends[order_of_runs], values[order_of_runs]
    begins = np.concatenate([[True], values[1:] != values[:-1]])
    firsts = np.flatnonzero(begins)
    return _Found(
        positions=[positions[value] for value in values[firsts].tolist()],
        firsts=firsts,
        groups=np.cumsum(begins) - 1,
        starts=starts,
        ends=ends,
        line=lines.shape[1],
    )


def _regions(labels: Positions) -> tuple[NDArray[np.int32], list[int]]:
    """Return a map of the numbers of regions, 0 for void, and the class of each number."""
    numbers = np.zeros(labels.shape, np.int32)
    positions = [VOID]
    for position in positions_in(labels):
        inside = labels == position
        count, found = cv2.connectedComponents(inside.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        np.add(found, len(positions) - 1, out=numbers, where=inside)
        positions += [position] * (count - 1)
    return numbers, positions


def _counts(found: _Found, starts: _Indices, ends: _Indices, sizes: _Indices) -> list[Runs]:
    """Return the run lengths of each mask.

    Args:
        found: What the runs belong to.
        starts: The first pixel of each run, in its mask; runs of a mask that touch become one.
        ends: The pixel after its last.
        sizes: The number of pixels that each mask is part of.
    """
    groups = found.groups
    apart = np.ones(len(starts), bool)
    apart[1:] = (starts[1:] != ends[:-1]) | (groups[1:] != groups[:-1])
    kept = np.flatnonzero(apart)
    starts, ends, groups = starts[kept], ends[np.append(kept[1:], len(ends)) - 1], groups[kept]
    firsts = np.searchsorted(groups, np.arange(len(sizes)))
    lasts = np.append(firsts[1:], len(groups)) - 1
    before = np.concatenate([[0], ends[:-1]])
    before[firsts] = 0
    counts = np.empty(2 * len(starts) + len(sizes), np.uint32)
    places = 2 * np.arange(len(starts)) + groups
    counts[places] = starts - before
    counts[places + 1] = ends - starts
    tails = sizes - ends[lasts]
    counts[places[lasts] + 2] = tails
    begins, stops = places[firsts].tolist(), (places[lasts] + 2 + (tails > 0)).tolist()
    return [counts[begin:stop] for begin, stop in zip(begins, stops, strict=True)]
