"""Compare frames by their thumbnails, whatever has moved and however bright they are."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.tensors import Frames

Thumbnail: TypeAlias = NDArray[np.uint8]
SIDE = 64
"""Longer side of a thumbnail, in pixels, about: the mean of 8 x 8 pixels of a frame of 480 x 360 has hardly
any noise, and blocks of 15 x 15 still hold enough structure to be told from others."""
_BLOCKS = (3, 4)
"""Rows and columns of blocks that are searched for in the other frame."""
_SEARCH = 8
"""Largest shift of a block that is searched, in pixels of the thumbnail: an eighth of the picture's width."""
_LEAST_CONTRAST, _MOST_CONTRAST = 2.0, 20.0
"""Standard deviation of a block, in grey levels, below which it is left out, and up to which it is its
weight. That of noise of 5 levels is 0.6 after the mean over 8 x 8 pixels."""
_BLANK = 1.0
"""Standard deviation, in grey levels, below which a thumbnail shows nothing: a night at a twentieth of the
brightness of day has 2."""


def thumbnail(frame: Frames) -> Thumbnail:
    """Return a small grey picture of one frame, (h / f, w / f) with the whole number f = max(h, w) / 64.

    Each pixel is the mean of f x f pixels, green weighted twice; what is left over at the right and at the
    bottom is cut off.

    Example:
        >>> import torch
        >>> thumbnail(torch.zeros(1, 3, 360, 480, dtype=torch.uint8)).shape
        (45, 60)
    """
    (planes,) = frame.cpu().numpy()
    h, w = planes.shape[1:]
    factor = max(1, min(round(max(h, w) / SIDE), h, w))
    size = (w // factor, h // factor)
    used = planes[:, : size[1] * factor, : size[0] * factor]
    red, green, blue = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in used)
    sides = cv2.addWeighted(red, 0.5, blue, 0.5, 0)
    grey: Thumbnail = cv2.addWeighted(sides, 0.5, green, 0.5, 0)
    return grey


def is_blank(picture: Thumbnail) -> bool:
    """Return whether a thumbnail is of one colour: black, white or any other.

    Example:
        >>> is_blank(np.full((45, 60), 7, np.uint8))
        True
    """
    return float(picture.std()) < _BLANK


def dissimilarity(a: Thumbnail, b: Thumbnail) -> float:
    """Return how much of two pictures cannot be found in the other, from 0 (all is found) to 1.

    Blocks of each are searched for in the other by normalised cross-correlation, which neither motion up to
    an eighth of the width nor a change of brightness or contrast alters. Blocks count by their contrast; two
    pictures without any are alike.

    Example:
        >>> y, x = np.mgrid[:45, :60]
        >>> a = (60 * (np.sin(y / 5) + np.sin(x / 4)) + 128).astype(np.uint8)
        >>> round(dissimilarity(a, np.roll(a, 3, axis=1) // 2), 1)
        0.0
    """
    return 1 - min(_found(a, b), _found(b, a))


def _found(a: Thumbnail, b: Thumbnail) -> float:
    """Return the mean correlation of the blocks of b with the most similar place in a."""
    rows, columns = _BLOCKS
    h, w = max(1, b.shape[0] // rows), max(1, b.shape[1] // columns)
    around = cv2.copyMakeBorder(a, *[_SEARCH] * 4, cv2.BORDER_REFLECT)
    total = weights = 0.0
    for top in range(0, b.shape[0] - h + 1, h):
        for left in range(0, b.shape[1] - w + 1, w):
            block = b[top : top + h, left : left + w]
            contrast = float(cv2.meanStdDev(block)[1].item())
            if contrast < _LEAST_CONTRAST:
                continue
            window = around[top : top + h + 2 * _SEARCH, left : left + w + 2 * _SEARCH]
            most = cv2.minMaxLoc(cv2.matchTemplate(window, block, cv2.TM_CCOEFF_NORMED))[1]
            weight = min(contrast, _MOST_CONTRAST)
            total += weight * min(max(most, 0.0), 1.0)
            weights += weight
    return total / weights if weights else 1.0
