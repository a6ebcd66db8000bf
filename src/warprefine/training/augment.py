"""Vary a training image and its label map together: zoom, crop, mirror, colours, blur."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.training.network_recipe import Augmentation
from warprefine.training.sampling import Centroid, crop_around

Picture = NDArray[np.uint8]
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""RGB to brightness and two axes of colour (NTSC, 1953)."""
_PAD = (124, 116, 104)
"""The mean colour of ImageNet, RGB: what lies beyond the picture becomes zero when normalised."""


def augment(
    image: Picture,
    labels: Picture,
    settings: Augmentation,
    rng: np.random.Generator,
    *,
    focus: int | None = None,
    around: Centroid | None = None,
) -> tuple[Picture, Picture]:
    """Cut a random crop of the recipe's size.

    Args:
        image: (h, w, 3), RGB.
        labels: (h, w).
        focus: A class that the crop must show some of; None places the crop anywhere.
        around: A point that the crop must show; it goes before `focus`.

    Returns:
        Image and labels of the crop; VOID and the mean colour beyond the picture.
    """
    even = settings.zooms == "linear"
    zoom = float(rng.uniform(*settings.scale) if even else np.exp(rng.uniform(*np.log(settings.scale))))
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
    return change_look(np.ascontiguousarray(image), settings, rng), np.ascontiguousarray(labels)


def change_look(image: Picture, settings: Augmentation, rng: np.random.Generator) -> Picture:
    """Jitter brightness, contrast, saturation and hue in one linear map, and blur some images."""
    brightness, contrast, saturation = 1 + settings.jitter * rng.uniform(-1, 1, 3).astype(np.float32)
    if rng.random() < settings.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.15, 1.3)))
    mix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _GREY
    if settings.hue:
        mix = _turn_of_hue(float(rng.uniform(-1, 1)) * settings.hue) @ mix
    mean = float(image.mean())
    matrix = np.concatenate(
        [mix * contrast * brightness, np.full((3, 1), (1 - contrast) * mean * brightness, np.float32)], axis=1
    )
    changed: Picture = cv2.transform(image, matrix)
    return changed


def _turn_of_hue(turns: float) -> NDArray[np.float32]:
    """Return the linear map of RGB that turns the colour circle of YIQ and leaves grey as it is."""
    angle = 2 * np.pi * turns
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.asarray(np.linalg.solve(_YIQ, turn @ _YIQ), dtype=np.float32)


def _corner(
    labels: Picture, window: tuple[int, int], rng: np.random.Generator, *, focus: int | None
) -> tuple[int, int]:
    """Place the window: its top left corner, which may be negative where the picture is smaller."""
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
