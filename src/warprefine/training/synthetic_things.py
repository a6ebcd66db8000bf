"""Find what can move in a labelled picture, and what it moves in front of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Places = NDArray[np.intp]
"""Pixels of an (h, w) picture by their place in a row: y * w + x."""

TINY = 12
"""Pixels; a piece smaller than this is a slip of the annotator's brush and goes with what is around it."""


def find_things(labels: Picture, *, stuff: float, most: int) -> Picture:
    """Tell things from the background by size and place alone, whatever the classes mean.

    A piece is what holds together and has one label. Pieces that reach the border and cover more than
    the share `stuff` of the picture are the background, and so are all others of their classes: they
    are what is seen of it between things. What is left are things. Those that touch move as one, like
    a sign and its pole, unless they cover more than `stuff` together.

    Args:
        labels: (h, w).
        most: How many things are told apart, the largest, up to 255; the others count as background.

    Returns:
        (h, w): 0 where the background is seen, k where the k-th thing from afar is; the lower its lower
        edge, the nearer it is.
    """
    pieces, class_of = _pieces(labels)
    area = np.bincount(pieces.ravel(), minlength=len(class_of))
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    reaching = np.bincount(border, minlength=len(class_of)) > 0
    behind = reaching & (area > stuff * labels.size)
    behind[np.argmax(area * reaching)] = True  # there is always something to move in front of
    thing = ~np.isin(class_of, class_of[behind])[pieces]
    _, groups = cv2.connectedComponents(thing.astype(np.uint8), connectivity=8)
    small_group = np.bincount(groups.ravel()) <= stuff * labels.size
    apart = pieces + int(groups.max()) + 1
    things = np.where(thing, np.where(small_group[groups], groups, apart), 0)
    area = np.bincount(things.ravel())
    area[0] = 0
    largest = [number for number in np.argsort(-area, kind="stable")[:most] if area[number] >= TINY]
    lower_edge = {number: np.flatnonzero((things == number).any(axis=1))[-1] for number in largest}
    owner_of = np.zeros(len(area), np.uint8)
    for owner, number in enumerate(sorted(largest, key=lambda number: int(lower_edge[number])), 1):
        owner_of[number] = owner
    found: Picture = owner_of[things]
    return found


def _pieces(labels: Picture) -> tuple[Numbers, Picture]:
    """Number the pieces, tiny ones as a part of the nearest other; return also the class of each number."""
    numbers, class_of = np.zeros(labels.shape, np.int32), [0]
    for label in np.unique(labels).tolist():
        count, found = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
        numbers += np.where(found > 0, found + len(class_of) - 1, 0)
        class_of += [label] * (count - 1)
    large = (np.bincount(numbers.ravel()) >= TINY)[numbers]
    joined = numbers.ravel()[nearest_places(large)] if large.any() else np.zeros_like(numbers)
    return joined, np.array(class_of, np.uint8)


def nearest_places(known: NDArray[np.bool_]) -> Places:
    """Return (h, w): the place of the known pixel that is nearest to each pixel."""
    unknown = (~known).astype(np.uint8)
    _, cells = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    place_of = np.zeros(int(cells.max()) + 1, np.intp)
    place_of[cells[known]] = np.flatnonzero(known)
    nearest: Places = place_of[cells]
    return nearest
