"""Take a labelled picture apart into layers that can move over each other, and put them together again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.training.synthetic_things import Picture, Places, find_things, nearest_places

Array = NDArray[np.float64]

_RIM = np.ones((3, 3), np.uint8)
_ROUNDING = 3.0
"""Pixels by which the outlines of holes are rounded before they serve as mirrors: jagged ones shatter."""
_CLEAR = 0.05  # of a thing, blurred by so much, is as good as nothing


@dataclass(frozen=True, kw_only=True, eq=False)
class Cutout:
    """A part of the picture that moves in front of others; mirrored on where the picture's border cuts it.

    Args:
        corner: (x, y) of its first pixel in the picture; negative where it goes on beyond the border.
        paint: (h, w, 4) RGB and alpha, black where alpha is 0. A rim of one pixel, in which the camera has
            mixed it with what is behind it, belongs to its paint but not to its labels.
        marks: (h, w, 2) labels, and 1 where it is, 0 where it is not.
        nearness: Height of its lower edge: 0 at the top of the picture, 1 at the bottom.
    """

    corner: tuple[int, int]
    paint: Picture
    marks: Picture
    nearness: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """A picture in parts.

    Args:
        background: (h, w, 3) RGB, with what the cutouts hide filled in.
        labels: (h, w) labels of the background.
        cutouts: What is in front of it, from far to near.
        owner: (h, w) what each pixel of the picture shows: 0 the background, k the k-th cutout.
    """

    background: Picture
    labels: Picture
    cutouts: tuple[Cutout, ...]
    owner: Picture


def take_apart(image: Picture, labels: Picture, *, stuff: float, most: int) -> Layers:
    """Cut the things out of a picture and fill in the background behind them; see `find_things`.

    Args:
        image: (h, w, 3), RGB.
        labels: (h, w).
    """
    owner = find_things(labels, stuff=stuff, most=most)
    things = (owner > 0).astype(np.uint8)
    hole = cv2.dilate(things, _RIM) > 0
    clear = (cv2.GaussianBlur(things.astype(np.float32), (0, 0), _ROUNDING) < _CLEAR) & ~hole
    sources = _mirror_images(clear if clear.any() else owner == 0)
    masks = [(owner == number).astype(np.uint8) for number in range(1, int(owner.max()) + 1)]
    return Layers(
        background=np.where(hole[..., None], image.reshape(-1, 3)[sources], image),
        labels=np.where(owner > 0, labels.ravel()[sources], labels),
        cutouts=tuple(_cut_out(image, labels, mask) for mask in masks),
        owner=owner,
    )


def compose(layers: Layers, placements: Array) -> tuple[NDArray[np.float32], Picture, Picture]:
    """Paint the layers where they have gone, from far to near.

    Args:
        placements: (n, 3, 3), for the background and each cutout the map from points (x, y, 1) of the
            picture to where they are now; its last rows are (0, 0, 1).

    Returns:
        The new picture (h, w, 3), its labels (h, w) and the owner of each pixel (h, w). Beyond the
        border of the old picture all are mirrored.
    """
    h, w = layers.labels.shape
    camera, mirrored = placements[0, :2], cv2.BORDER_REFLECT_101
    seen = cv2.warpAffine(layers.background, camera, (w, h), flags=cv2.INTER_LINEAR, borderMode=mirrored)
    picture = seen.astype(np.float32)
    labels = cv2.warpAffine(layers.labels, camera, (w, h), flags=cv2.INTER_NEAREST, borderMode=mirrored)
    owner = np.zeros((h, w), np.uint8)
    for number, cutout in enumerate(layers.cutouts, 1):
        top, bottom, left, right = _window(cutout, placements[number], size=(h, w))
        if top >= bottom or left >= right:
            continue
        window, size = (slice(top, bottom), slice(left, right)), (right - left, bottom - top)
        local = (_translation(-left, -top) @ placements[number] @ _translation(*cutout.corner))[:2]
        paint = cv2.warpAffine(cutout.paint, local, size, flags=cv2.INTER_LINEAR).astype(np.float32)
        picture[window] = paint[..., :3] + picture[window] * (1 - paint[..., 3:] / 255)
        marks = cv2.warpAffine(cutout.marks, local, size, flags=cv2.INTER_NEAREST)
        here = marks[..., 1] > 0
        labels[window][here] = marks[..., 0][here]
        owner[window][here] = number
    return picture, labels, owner


def _mirror_images(known: NDArray[np.bool_]) -> Places:
    """Return (h, w): the place of the known pixel that stands in for each pixel.

    What surrounds a hole goes on inside as if its edge were a mirror, which keeps its texture, where
    inpainting would smear it; and labels can be filled in by the same places. Where a mirror shows
    another hole, one looks into that hole's mirror, too, and then takes the nearest.
    """
    h, w = known.shape
    nearest = nearest_places(known)
    row, column = np.divmod(nearest, w)
    row = _folded(2 * row - np.arange(h)[:, None], h)
    column = _folded(2 * column - np.arange(w), w)
    mirror = row * w + column
    twice: Places = mirror.ravel()[mirror]
    return np.take(nearest, twice)


def _folded(places: Places, length: int) -> Places:
    """Mirror places beyond either end of 0..length - 1 back into it."""
    return np.asarray(length - 1 - np.abs(length - 1 - np.abs(places)))


def _cut_out(image: Picture, labels: Picture, mask: Picture) -> Cutout:
    h, w = mask.shape
    x, y, width, height = cv2.boundingRect(mask)
    left, top, right, bottom = max(x - 1, 0), max(y - 1, 0), min(x + width + 1, w), min(y + height + 1, h)
    window = (slice(top, bottom), slice(left, right))
    rim = cv2.dilate(mask, _RIM)[window]
    # What the border cuts goes on beyond it: as far as it reaches into the picture, which is far enough.
    above, below = (bottom - 1) * (y == 0), (h - 1 - top) * (y + height == h)
    before, after = (right - 1) * (x == 0), (w - 1 - left) * (x + width == w)
    sides = (above, below, before, after)
    paint = np.dstack([image[window] * rim[..., None], rim * 255])
    marks = np.dstack([labels[window], mask[window]])
    return Cutout(
        corner=(left - before, top - above),
        paint=cv2.copyMakeBorder(paint, *sides, cv2.BORDER_REFLECT_101),
        marks=cv2.copyMakeBorder(marks, *sides, cv2.BORDER_REFLECT_101),
        nearness=(y + height) / h,
    )


def _window(cutout: Cutout, placement: Array, *, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what a cutout can touch, within the picture.

    Between pixels it fades until the next pixel centres, at -1 and at its height or width.
    """
    (h, w), (x, y) = size, cutout.corner
    height, width = cutout.marks.shape[:2]
    xs, ys = [x - 1, x + width], [y - 1, y + height]
    reach = (placement @ np.array([xs + xs, [ys[0], ys[0], ys[1], ys[1]], [1] * 4]))[:2]
    (left, top), (right, bottom) = np.floor(reach.min(axis=1)), np.ceil(reach.max(axis=1))
    return max(int(top), 0), min(int(bottom), h), max(int(left), 0), min(int(right), w)


def _translation(x: int, y: int) -> Array:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
