"""Things of a labelled image, which can move, and the background behind them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Indices = NDArray[np.intp]
"""Flat indices of pixels of an (h, w) image: y * w + x."""

TINY = 12
"""Pixels; a smaller piece is taken for an annotation error and joins its surroundings."""


def find_things(labels: Picture, *, stuff: float, most: int) -> Picture:
    """Segment a label map into things and background by size and position, whatever the classes mean.

    A piece is a connected region of one label. Pieces that reach the border and cover more than the share
    `stuff` of the image are background, and so are all other pieces of their classes: background visible
    between things. The remaining pieces are things. Things that touch move as one, like a sign and its
    pole, unless they cover more than `stuff` together.

    Args:
        labels: (h, w).
        stuff: Share of the image above which a piece at the border is background.
        most: Number of things at most, the largest first, up to 255; the others count as background.

    Returns:
        (h, w): 0 on the background, k on the k-th thing, from far to near; the lower its lower edge, the
        nearer it is.

    Example:
        >>> labels = np.zeros((8, 12), np.uint8)
        >>> labels[2:6, 3:7] = 1
        >>> np.array_equal(find_things(labels, stuff=0.5, most=5), labels)
        True
    """
    pieces, class_of = _pieces(labels)
    area = np.bincount(pieces.ravel(), minlength=len(class_of))
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    reaching = np.bincount(border, minlength=len(class_of)) > 0
    behind = reaching & (area > stuff * labels.size)
    behind[np.argmax(area * reaching)] = True  # there is always a background
    thing = ~np.isin(class_of, class_of[behind])[pieces]
    _, groups = cv2.connectedComponents(thing.astype(np.uint8), connectivity=8)
    small_group = np.bincount(groups.ravel()) <= stuff * labels.size
    single = pieces + int(groups.max()) + 1
    things = np.where(thing, np.where(small_group[groups], groups, single), 0)
    area = np.bincount(things.ravel())
    area[0] = 0
    largest = [number for number in np.argsort(-area, kind="stable")[:most] if area[number] >= TINY]
    lower_edge = {number: np.flatnonzero((things == number).any(axis=1))[-1] for number in largest}
    owner_of = np.zeros(len(area), np.uint8)
    for owner, number in enumerate(sorted(largest, key=lambda number: int(lower_edge[number])), 1):
        owner_of[number] = owner
    owners: Picture = owner_of[things]
    return owners


def _pieces(labels: Picture) -> tuple[Numbers, Picture]:
    """Number the pieces, merging tiny ones into the nearest other; return also the class of each number."""
    numbers, class_of = np.zeros(labels.shape, np.int32), [0]
    for label in np.unique(labels).tolist():
        count, regions = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
        numbers += np.where(regions > 0, regions + len(class_of) - 1, 0)
        class_of += [label] * (count - 1)
    large = (np.bincount(numbers.ravel()) >= TINY)[numbers]
    joined = numbers.ravel()[nearest_indices(large)] if large.any() else np.zeros_like(numbers)
    return joined, np.array(class_of, np.uint8)


def nearest_indices(valid: NDArray[np.bool_]) -> Indices:
    """Return, (h, w), the index of the valid pixel nearest to each pixel.

    Example:
        >>> nearest_indices(np.array([[False, True, False, False, True]]))
        array([[1, 1, 1, 4, 4]])
    """
    invalid = (~valid).astype(np.uint8)
    _, cells = cv2.distanceTransformWithLabels(invalid, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    index_of = np.zeros(int(cells.max()) + 1, np.intp)
    index_of[cells[valid]] = np.flatnonzero(valid)
    nearest: Indices = index_of[cells]
    return nearest
