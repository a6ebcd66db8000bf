"""Put planes where the parts of a thing are; things stand on the ground at the origin and look along z."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from warprefine.core.tensors import VOID
from warprefine.datasets.street.canvas import Color
from warprefine.datasets.street.planes import AT_REST, Coat, Motion, Plane, Vector

Pair: TypeAlias = tuple[float, float]

APART = 0.03
"""Metres to leave between planes that would otherwise lie in each other."""


def front(x: float, top: float, *, size: Pair, coat: Coat, z: float = 0.0, motion: Motion = AT_REST) -> Plane:
    """Stand a plane that is seen from -z: centred at x, its upper edge `top` metres high; size is (w, h)."""
    corner, across = (x - size[0] / 2, -top, z), (size[0], 0.0, 0.0)
    return Plane(corner=corner, across=across, down=(0.0, size[1], 0.0), coat=coat, motion=motion)


def back(x: float, top: float, *, size: Pair, coat: Coat, z: float = 0.0) -> Plane:
    """Stand a plane that is seen from +z: centred at x, its upper edge `top` metres high; size is (w, h)."""
    corner, across = (x + size[0] / 2, -top, z), (-size[0], 0.0, 0.0)
    return Plane(corner=corner, across=across, down=(0.0, size[1], 0.0), coat=coat)


def side(x: float, top: float, *, along: Pair, height: float, faces: int, coat: Coat) -> Plane:
    """Stand a plane from one z to another that is seen from its right (1) or its left (-1)."""
    start, end = along if faces > 0 else along[::-1]
    return Plane(corner=(x, -top, start), across=(0.0, 0.0, end - start), down=(0.0, height, 0.0), coat=coat)


def floor(x: float, height: float, *, along: Pair, width: float, coat: Coat) -> Plane:
    """Lay a plane from one z to another, centred at x, that is seen from above."""
    corner, down = (x - width / 2, -height, along[1]), (0.0, 0.0, along[0] - along[1])
    return Plane(corner=corner, across=(width, 0.0, 0.0), down=down, coat=coat)


def limb(
    start: Pair, end: Pair, *, width: float, coat: Coat, z: float = 0.0, motion: Motion = AT_REST
) -> Plane:
    """Stretch a plane that is seen from -z between two points, each x and height."""
    dx, dy = end[0] - start[0], start[1] - end[1]
    reach = math.hypot(dx, dy)
    across: Vector = (width * dy / reach, -width * dx / reach, 0.0)
    corner = (start[0] - across[0] / 2, -start[1] - across[1] / 2, z)
    return Plane(corner=corner, across=across, down=(dx, dy, 0.0), coat=coat, motion=motion)


def shadow(width: float, length: float) -> Plane:
    """Darken the ground under a thing and a little to its right, away from the sun."""
    return Plane(
        corner=(-0.4 * width, -0.01, length / 2),
        across=(width, 0.0, 0.0),
        down=(0.0, 0.0, -length),
        coat=Coat(texture="concrete", label=VOID),
        shadow=True,
    )


def tinted(rng: np.random.Generator, color: Color, spread: float) -> Color:
    """Return a tint near a colour, lighter or darker by up to the share `spread`."""
    brightness = rng.uniform(1 - spread, 1 + spread)
    red, green, blue = (brightness * rng.uniform(0.95, 1.05, 3) * np.array(color)).tolist()
    return (red, green, blue)


def any_tint(rng: np.random.Generator) -> Color:
    """Return any tint; some are dark and some are pale, as clothes are."""
    red, green, blue = (rng.uniform(0.15, 1.0) * rng.uniform(0.4, 1.0, 3)).tolist()
    return (red, green, blue)
