"""Construct the planes of an object, which stands on the ground at the origin and faces along z."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from warprefine.core.tensors import VOID
from warprefine.datasets.street.canvas import Color
from warprefine.datasets.street.planes import AT_REST, Material, Motion, Plane, Vector

Pair: TypeAlias = tuple[float, float]

APART = 0.03
"""Metres between planes that would otherwise coincide."""


def front(
    x: float, top: float, *, size: Pair, material: Material, z: float = 0.0, motion: Motion = AT_REST
) -> Plane:
    """Return an upright plane visible from -z: centred at x, upper edge `top` metres high, size (w, h)."""
    corner, across = (x - size[0] / 2, -top, z), (size[0], 0.0, 0.0)
    return Plane(corner=corner, across=across, down=(0.0, size[1], 0.0), material=material, motion=motion)


def back(x: float, top: float, *, size: Pair, material: Material, z: float = 0.0) -> Plane:
    """Return an upright plane visible from +z: centred at x, upper edge `top` metres high, size (w, h)."""
    corner, across = (x + size[0] / 2, -top, z), (-size[0], 0.0, 0.0)
    return Plane(corner=corner, across=across, down=(0.0, size[1], 0.0), material=material)


def side(x: float, top: float, *, along: Pair, height: float, faces: int, material: Material) -> Plane:
    """Return an upright plane from one z to another, visible from its right (1) or its left (-1)."""
    start, end = along if faces > 0 else along[::-1]
    return Plane(
        corner=(x, -top, start), across=(0.0, 0.0, end - start), down=(0.0, height, 0.0), material=material
    )


def floor(x: float, height: float, *, along: Pair, width: float, material: Material) -> Plane:
    """Return a level plane from one z to another, centred at x, visible from above."""
    corner, down = (x - width / 2, -height, along[1]), (0.0, 0.0, along[0] - along[1])
    return Plane(corner=corner, across=(width, 0.0, 0.0), down=down, material=material)


def limb(
    start: Pair, end: Pair, *, width: float, material: Material, z: float = 0.0, motion: Motion = AT_REST
) -> Plane:
    """Return a plane visible from -z that spans two points, each x and height."""
    dx, dy = end[0] - start[0], start[1] - end[1]
    reach = math.hypot(dx, dy)
    across: Vector = (width * dy / reach, -width * dx / reach, 0.0)
    corner = (start[0] - across[0] / 2, -start[1] - across[1] / 2, z)
    return Plane(corner=corner, across=across, down=(dx, dy, 0.0), material=material, motion=motion)


def shadow(width: float, length: float) -> Plane:
    """Return a shadow on the ground under an object and slightly to its right, away from the sun."""
    return Plane(
        corner=(-0.4 * width, -0.01, length / 2),
        across=(width, 0.0, 0.0),
        down=(0.0, 0.0, -length),
        material=Material(texture="concrete", label=VOID),
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
