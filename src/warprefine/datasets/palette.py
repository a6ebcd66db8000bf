"""Choose colours for classes that have none: all different, also to people who do not see red or green."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import VOID_COLOR, Color

# Okabe and Ito, "Color universal design" (2008), without black, which is VOID's.
_FIRST: tuple[Color, ...] = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228,
    66),
)  # fmt: skip
_LEVELS = (0, 36, 72, 109, 145, 182, 218, 255)
# Machado, Oliveira and Fernandes (IEEE TVCG 2009), severity 1.0, on linear RGB.
_PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
_DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
_LMS = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
_LAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip


_EYES = np.array([1.0, 2.0, 2.0])[:, None]
"""Distances that people see who do not see red or green are always smaller, and count so many times."""
_TO_VOID = 0.5
"""Distances from VOID's black count half, so that no colour is nearly black."""


def distinct_colors(colors: Sequence[Color | None]) -> tuple[Color, ...]:
    """Return colours with those that are missing filled in: different from all others and from VOID's black.

    The first seven are those of Okabe and Ito. Further ones are as far from all others as possible, also with
    protanopia and deuteranopia.

    Example:
        >>> distinct_colors([(128, 64, 128), None, None])
        ((128, 64, 128), (0, 114, 178), (230, 159, 0))
    """
    taken = [VOID_COLOR, *(color for color in colors if color is not None)]
    new = _new_colors(taken)
    return tuple(color or next(new) for color in colors)


def own_colors(colors: Sequence[Color], *, taken: Sequence[Color] = (VOID_COLOR,)) -> tuple[Color, ...]:
    """Return colours with those that are taken, or that an earlier class has, replaced by new ones.

    Example:
        >>> own_colors([(128, 64, 128), (0, 0, 0), (128, 64, 128)])
        ((128, 64, 128), (0, 114, 178), (230, 159, 0))
    """
    kept: list[Color | None] = []
    for color in colors:
        kept.append(None if color in taken or color in kept else color)
    return distinct_colors([*kept, *taken])[: len(colors)]


def _new_colors(taken: Sequence[Color]) -> Iterator[Color]:
    """Yield those of Okabe and Ito's that are not taken, then the colours farthest from all before them."""
    used = [*taken]
    for color in _FIRST:
        if color not in taken:
            used.append(color)
            yield color
    candidates, seen = _grid(), _seen(_grid())
    nearest = np.full(len(candidates), np.inf)
    while True:
        for color, at in zip(used, _seen(np.array(used)).transpose(1, 0, 2), strict=True):
            distance = (np.linalg.norm(seen - at[:, None], axis=-1) * _EYES).min(axis=0)
            nearest = np.minimum(nearest, distance * (_TO_VOID if color == VOID_COLOR else 1))
        red, green, blue = candidates[int(nearest.argmax())].tolist()
        used = [(red, green, blue)]
        yield red, green, blue


@cache
def _grid() -> NDArray[np.int64]:
    return np.array(list(product(_LEVELS, repeat=3)))


def _seen(colors: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return colours (n, 3) in Oklab (Ottosson, 2020) as three kinds of eyes see them, (3, n, 3)."""
    values = colors / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    eyes = np.stack([linear, linear @ np.array(_PROTANOPIA).T, linear @ np.array(_DEUTERANOPIA).T])
    lab: NDArray[np.float64] = np.cbrt(eyes.clip(0, 1) @ np.array(_LMS).T) @ np.array(_LAB).T
    return lab
