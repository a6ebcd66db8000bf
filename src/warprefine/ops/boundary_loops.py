"""Compiled loops over the pixels of class boundaries; `metrics.boundaries` defines these.

Boundaries are sparse: of each class the columns of its boundary pixels are listed, row by row, and two such
lists are merged instead of dilating one map of the whole frame after the other.
"""

from __future__ import annotations

from typing import TypeAlias, no_type_check

import numba
import numpy as np
from numpy.typing import NDArray

from warprefine.ops.compiled import compiled_serially

BoundaryColumns: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Where each row of each class begins, that of class c and row y at place c * h + y, and the columns of
boundary pixels, ascending in each row."""


@compiled_serially()
@no_type_check  # compiled code has no place for run-time checks of its arguments
def columns_by_class(
    labels: NDArray[np.uint8], across: NDArray[np.bool_], down: NDArray[np.bool_], class_count: int
) -> BoundaryColumns:
    """List the boundary pixels of each class.

    Args:
        labels: A label map (h, w).
        across: Where a boundary runs between a pixel and its right neighbour, (h, w).
        down: Where one runs between a pixel and its lower neighbour, (h, w).
        class_count: Labels from this one on are no classes.
    """
    h, w = labels.shape
    begins, found = np.zeros(class_count * h + 1, np.int64), np.empty(3, np.uint8)
    places = np.flatnonzero(across | down)
    for place in places:
        for label in found[: _classes_at(labels, across, down, (place // w, place % w), found)]:
            if label < class_count:
                begins[label * h + place // w + 1] += 1
    begins = begins.cumsum()
    columns, ends = np.empty(begins[-1], np.int32), begins.copy()
    for place in places:
        for label in found[: _classes_at(labels, across, down, (place // w, place % w), found)]:
            if label < class_count:
                row = label * h + place // w
                columns[ends[row]] = place % w
                ends[row] += 1
    return begins, columns


@numba.njit(inline="always")
@no_type_check
def _classes_at(
    labels: NDArray[np.uint8],
    across: NDArray[np.bool_],
    down: NDArray[np.bool_],
    place: tuple[int, int],
    found: NDArray[np.uint8],
) -> int:
    """Write the labels whose boundary a pixel is on into `found`; return how many there are."""
    y, x = place
    found[0], count = labels[y, x], 1
    if across[y, x]:
        found[1], count = labels[y, x + 1], 2
    if down[y, x] and (count == 1 or labels[y + 1, x] != found[1]):
        found[count] = labels[y + 1, x]
        count += 1
    return count


@compiled_serially()
@no_type_check
def count_matched(
    boundary_a: BoundaryColumns,
    boundary_b: BoundaryColumns,
    reach: NDArray[np.int64],
    size: tuple[int, int, int],
) -> NDArray[np.int64]:
    """Count the boundary pixels of each class in a, and those of them that are near one in b, (c, 2).

    Args:
        boundary_a: The boundaries in a.
        boundary_b: Those in b.
        reach: Largest distance of columns of pixels that are 0, 1, ... rows apart and near each other.
        size: The number of classes, and the size of the frame.
    """
    (begins_a, columns_a), (begins_b, columns_b), (class_count, h, w) = boundary_a, boundary_b, size
    counts, left = np.zeros((class_count, 2), np.int64), np.empty(w, np.int32)
    for row in range(class_count * h):
        label, y = row // h, row % h
        total = begins_a[row + 1] - begins_a[row]
        left[:total] = columns_a[begins_a[row] : begins_a[row + 1]]
        unmatched = total
        for distance in range(len(reach)):  # nearest rows first: most pixels are matched there
            if unmatched and y >= distance:
                others = columns_b[begins_b[row - distance] : begins_b[row - distance + 1]]
                unmatched = _drop_matched(left, unmatched, others, reach[distance])
            if unmatched and 0 < distance < h - y:
                others = columns_b[begins_b[row + distance] : begins_b[row + distance + 1]]
                unmatched = _drop_matched(left, unmatched, others, reach[distance])
        counts[label, 0] += total
        counts[label, 1] += total - unmatched
    return counts


@numba.njit(inline="always")
@no_type_check
def _drop_matched(left: NDArray[np.int32], count: int, others: NDArray[np.int32], reach: int) -> int:
    """Keep those of the first `count` columns that no other is within reach of; return how many there are."""
    if len(others) == 0:
        return count
    kept = other = 0
    for i in range(count):
        while other < len(others) and others[other] < left[i] - reach:
            other += 1
        if other == len(others) or others[other] > left[i] + reach:
            left[kept] = left[i]
            kept += 1
    return kept
