"""Augmentation of a training image and its label map: zoom, crop, mirror, colour jitter, blur."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.recipe.network import Augmentation
from warprefine.training.data.sampling import Centroid, crop_around

Picture = NDArray[np.uint8]
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""RGB to luma and two chroma axes (NTSC, 1953)."""
_PAD = (124, 116, 104)
"""Mean colour of ImageNet, RGB: pixels beyond the image become zero when normalised."""


def augment(
    image: Picture,
    labels: Picture,
    settings: Augmentation,
    rng: np.random.Generator,
    *,
    focus: int | None = None,
    around: Centroid | None = None,
) -> tuple[Picture, Picture]:
    """Cut a random crop of the recipe's size and jitter its colours.

    Args:
        image: (h, w, 3), RGB.
        labels: (h, w).
        focus: A class of which the crop must contain a pixel; None places the crop anywhere.
        around: A point that the crop must contain; takes precedence over `focus`.

    Returns:
        Image and labels of the crop; VOID and the mean colour beyond the image.

    Example:
        >>> image, labels = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
        >>> crop, crop_labels = augment(image, labels, Augmentation(crop=(32, 32)), np.random.default_rng(0))
        >>> crop.shape, crop_labels.shape
        ((32, 32, 3), (32, 32))
    """
    linear = settings.zooms == "linear"
    zoom = float(rng.uniform(*settings.scale) if linear else np.exp(rng.uniform(*np.log(settings.scale))))
    crop_h, crop_w = settings.crop
    window = (max(round(crop_h / zoom), 1), max(round(crop_w / zoom), 1))
    if around is None:
        corner = _corner(labels, window, rng, focus=focus)
    else:
        size = (labels.shape[0], labels.shape[1])
        corner = crop_around(around, crop=window, size=size, rng=rng)
    mirrored = rng.random() < settings.flip
    image, labels = _cut(image, corner, window, _PAD), _cut(labels, corner, window, VOID)
    shrink = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    image = cv2.resize(image, (crop_w, crop_h), interpolation=shrink)
    labels = cv2.resize(labels, (crop_w, crop_h), interpolation=cv2.INTER_NEAREST_EXACT)
    if mirrored:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return jitter_colours(np.ascontiguousarray(image), settings, rng), np.ascontiguousarray(labels)


def jitter_colours(image: Picture, settings: Augmentation, rng: np.random.Generator) -> Picture:
    """Jitter brightness, contrast, saturation and hue in one affine map of RGB, and blur some images."""
    brightness, contrast, saturation = 1 + settings.jitter * rng.uniform(-1, 1, 3).astype(np.float32)
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.15, 1.3)))
    mix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _GREY
    if settings.hue:
        mix = _hue_rotation(float(rng.uniform(-1, 1)) * settings.hue) @ mix
    mean = float(image.mean())
    matrix = np.concatenate(
        [mix * contrast * brightness, np.full((3, 1), (1 - contrast) * mean * brightness, np.float32)], axis=1
    )
    jittered: Picture = cv2.transform(image, matrix)
    return jittered


def _hue_rotation(turns: float) -> NDArray[np.float32]:
    """Return the linear map of RGB that rotates the chroma plane of YIQ; grey is unchanged."""
    angle = 2 * np.pi * turns
    rotation = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.asarray(np.linalg.solve(_YIQ, rotation @ _YIQ), dtype=np.float32)


def _corner(
    labels: Picture, window: tuple[int, int], rng: np.random.Generator, *, focus: int | None
) -> tuple[int, int]:
    """Return the random (top, left) of a window, negative where the image is smaller than it."""
    places = np.flatnonzero(labels == focus) if focus is not None else np.empty(0, np.int64)
    corner = []
    point = divmod(int(rng.choice(places)), labels.shape[1]) if len(places) else None
    for axis in (0, 1):
        slack = labels.shape[axis] - window[axis]
        low, high = min(slack, 0), max(slack, 0)
        if point is not None:
            low, high = max(low, point[axis] - window[axis] + 1), min(high, point[axis])
        corner.append(int(rng.integers(low, high + 1)))
    return corner[0], corner[1]


def _cut(
    picture: Picture, corner: tuple[int, int], window: tuple[int, int], pad: int | tuple[int, int, int]
) -> Picture:
    (top, left), (h, w) = corner, window
    inside = picture[max(top, 0) : top + h, max(left, 0) : left + w]
    if inside.shape[:2] == window:
        return inside
    above, before = max(-top, 0), max(-left, 0)
    below, behind = h - above - inside.shape[0], w - before - inside.shape[1]
    padded: Picture = cv2.copyMakeBorder(
        inside,
        above,
        below,
        before,
        behind,
        cv2.BORDER_CONSTANT,
        value=pad,
    )
    return padded
