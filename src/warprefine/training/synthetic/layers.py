"""Layers of a labelled image: split it into a background and moving cutouts, and compose them again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.training.synthetic.things import Indices, Picture, find_things, nearest_indices

Array = NDArray[np.float64]

_RIM = np.ones((3, 3), np.uint8)
_ROUNDING = 3.0
"""Blur, in pixels, of the outlines of holes before the background is mirrored at them.

Mirroring at a jagged outline would break up the texture.
"""
_CLEAR = 0.05
"""A pixel is background if the blurred mask of things is below this share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cutout:
    """A part of the image that moves in front of others; extended by mirroring where the border cuts it.

    Args:
        corner: (x, y) of its first pixel in the image; negative where it extends beyond the border.
        rgba: (h, w, 4) colour and alpha, black where alpha is 0. A rim of one pixel, in which the camera
            has blended it with the background, belongs to its colours but not to its labels.
        label_mask: (h, w, 2) labels, and a mask that is 1 on the cutout and 0 elsewhere.
        nearness: Height of its lower edge: 0 at the top of the image, 1 at the bottom.
    """

    corner: tuple[int, int]
    rgba: Picture
    label_mask: Picture
    nearness: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """An image split into a background and cutouts.

    Args:
        background: (h, w, 3) RGB, filled in behind the cutouts.
        labels: (h, w) labels of the background.
        cutouts: The cutouts, from far to near.
        owner: (h, w) layer of each pixel of the image: 0 the background, k the k-th cutout.
    """

    background: Picture
    labels: Picture
    cutouts: tuple[Cutout, ...]
    owner: Picture


def split_layers(image: Picture, labels: Picture, *, stuff: float, most: int) -> Layers:
    """Cut the things out of an image and fill in the background behind them; see `find_things`.

    Args:
        image: (h, w, 3), RGB.
        labels: (h, w).
        stuff: Share of the image above which a piece is background.
        most: Largest number of cutouts.
    """
    owner = find_things(labels, stuff=stuff, most=most)
    things = (owner > 0).astype(np.uint8)
    hole = cv2.dilate(things, _RIM) > 0
    clear = (cv2.GaussianBlur(things.astype(np.float32), (0, 0), _ROUNDING) < _CLEAR) & ~hole
    sources = _mirror_sources(clear if clear.any() else owner == 0)
    masks = [(owner == number).astype(np.uint8) for number in range(1, int(owner.max()) + 1)]
    return Layers(
        background=np.where(hole[..., None], image.reshape(-1, 3)[sources], image),
        labels=np.where(owner > 0, labels.ravel()[sources], labels),
        cutouts=tuple(_cut_out(image, labels, mask) for mask in masks),
        owner=owner,
    )


def compose(layers: Layers, placements: Array) -> tuple[NDArray[np.float32], Picture, Picture]:
    """Composite the layers at new places, from far to near.

    Args:
        placements: (n, 3, 3), for the background and each cutout the affine map of points (x, y, 1) of the
            image to their new places; its last row is (0, 0, 1).

    Returns:
        The new image (h, w, 3), its labels (h, w) and the owner of each pixel (h, w). Beyond the border of
        the original image all are mirrored.
    """
    h, w = layers.labels.shape
    camera, mirrored = placements[0, :2], cv2.BORDER_REFLECT_101
    warped = cv2.warpAffine(layers.background, camera, (w, h), flags=cv2.INTER_LINEAR, borderMode=mirrored)
    picture = warped.astype(np.float32)
    labels = cv2.warpAffine(layers.labels, camera, (w, h), flags=cv2.INTER_NEAREST, borderMode=mirrored)
    owner = np.zeros((h, w), np.uint8)
    for number, cutout in enumerate(layers.cutouts, 1):
        top, bottom, left, right = _window(cutout, placements[number], size=(h, w))
        if top >= bottom or left >= right:
            continue
        window, size = (slice(top, bottom), slice(left, right)), (right - left, bottom - top)
        local = (_translation(-left, -top) @ placements[number] @ _translation(*cutout.corner))[:2]
        rgba = cv2.warpAffine(cutout.rgba, local, size, flags=cv2.INTER_LINEAR).astype(np.float32)
        picture[window] = rgba[..., :3] + picture[window] * (1 - rgba[..., 3:] / 255)
        label_mask = cv2.warpAffine(cutout.label_mask, local, size, flags=cv2.INTER_NEAREST)
        mask = label_mask[..., 1] > 0
        labels[window][mask] = label_mask[..., 0][mask]
        owner[window][mask] = number
    return picture, labels, owner


def _mirror_sources(valid: NDArray[np.bool_]) -> Indices:
    """Return, (h, w), the index of the valid pixel that replaces each pixel.

    The surroundings of a hole are mirrored at its edge, which keeps their texture, where inpainting would
    smear it; and labels are filled in from the same pixels. Where the mirrored pixel lies in another hole,
    it is mirrored at that hole's edge, too, and then replaced by the nearest valid one.
    """
    h, w = valid.shape
    nearest = nearest_indices(valid)
    row, column = np.divmod(nearest, w)
    row = _reflect(2 * row - np.arange(h)[:, None], h)
    column = _reflect(2 * column - np.arange(w), w)
    mirror = row * w + column
    twice: Indices = mirror.ravel()[mirror]
    return np.take(nearest, twice)


def _reflect(positions: Indices, length: int) -> Indices:
    """Reflect positions beyond either end of 0..length - 1 back into it."""
    return np.asarray(length - 1 - np.abs(length - 1 - np.abs(positions)))


def _cut_out(image: Picture, labels: Picture, mask: Picture) -> Cutout:
    h, w = mask.shape
    x, y, width, height = cv2.boundingRect(mask)
    left, top, right, bottom = max(x - 1, 0), max(y - 1, 0), min(x + width + 1, w), min(y + height + 1, h)
    window = (slice(top, bottom), slice(left, right))
    rim = cv2.dilate(mask, _RIM)[window]
    # A thing cut by the border is extended beyond it by its own extent within the image, which suffices.
    above, below = (bottom - 1) * (y == 0), (h - 1 - top) * (y + height == h)
    before, after = (right - 1) * (x == 0), (w - 1 - left) * (x + width == w)
    sides = (above, below, before, after)
    rgba = np.dstack([image[window] * rim[..., None], rim * 255])
    label_mask = np.dstack([labels[window], mask[window]])
    return Cutout(
        corner=(left - before, top - above),
        rgba=cv2.copyMakeBorder(rgba, *sides, cv2.BORDER_REFLECT_101),
        label_mask=cv2.copyMakeBorder(label_mask, *sides, cv2.BORDER_REFLECT_101),
        nearness=(y + height) / h,
    )


def _window(cutout: Cutout, placement: Array, *, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the pixels that a cutout can affect, within the image.

    Interpolation extends it to the next pixel centres, at -1 and at its height or width.
    """
    (h, w), (x, y) = size, cutout.corner
    height, width = cutout.label_mask.shape[:2]
    xs, ys = [x - 1, x + width], [y - 1, y + height]
    corners = (placement @ np.array([xs + xs, [ys[0], ys[0], ys[1], ys[1]], [1] * 4]))[:2]
    (left, top), (right, bottom) = np.floor(corners.min(axis=1)), np.ceil(corners.max(axis=1))
    return max(int(top), 0), min(int(bottom), h), max(int(left), 0), min(int(right), w)


def _translation(x: int, y: int) -> Array:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
