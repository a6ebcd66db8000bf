"""Build the static objects beside the road: houses, fences, trees, lamps, signs, unlabelled ones."""

from __future__ import annotations

from functools import partial

import numpy as np

from warprefine.core.tensors import VOID
from warprefine.datasets.street.classes import STREET_CLASSES
from warprefine.datasets.street.planes import Material, Plane
from warprefine.datasets.street.roadside_textures import CROWN_COUNT, SIGN_COUNT, WALLS
from warprefine.datasets.street.shapes import APART, any_tint, floor, front, shadow, side, tinted

Rng = np.random.Generator

_BUILDING = STREET_CLASSES.position("building")
_FENCE = STREET_CLASSES.position("fence")
_TREE = STREET_CLASSES.position("tree")
_POLE = STREET_CLASSES.position("pole")
_SIGN = STREET_CLASSES.position("sign")

# Texture, its height and its period along the fence, both in metres.
_FENCES = (("ivy", 1.9, 4.0), ("pickets", 1.3, 1.6), ("planks", 1.8, 4.0))


def house(rng: Rng, *, length: float, faces: int) -> list[Plane]:
    """Build a house of `length` metres along the street that faces right (1) or left (-1)."""
    wall, storeys = int(rng.integers(len(WALLS))), int(rng.integers(1, 5))
    ground_floor, upper, depth = 3.6, 3.0 * storeys, 14.0
    top = ground_floor + upper
    material = partial(Material, label=_BUILDING, tint=tinted(rng, (1.0, 1.0, 1.0), 0.15))
    windows = material(texture=f"storeys{wall}", repeats=(length / 12, storeys / 2))
    shops = material(texture=f"shop{wall}", repeats=(length / 12, 1.0))
    gable = material(texture=f"gable{wall}", repeats=(depth / 4, top / 4))
    along = (0.0, length)
    return [
        side(0.0, top, along=along, height=upper, faces=faces, material=windows),
        side(0.0, ground_floor, along=along, height=ground_floor, faces=faces, material=shops),
        front(-faces * depth / 2, top, size=(depth, top), material=gable),
    ]


def fence(rng: Rng, *, length: float, faces: int) -> list[Plane]:
    """Build a fence along the street: ivy, pickets with gaps, or planks."""
    texture, height, tile = _FENCES[rng.integers(len(_FENCES))]
    tint = tinted(rng, (0.9, 0.9, 0.9), 0.25)
    material = Material(texture=texture, label=_FENCE, tint=tint, repeats=(length / tile, 1.0))
    return [side(0.0, height, along=(0.0, length), height=height, faces=faces, material=material)]


def tree(rng: Rng) -> list[Plane]:
    """Build a tree: a trunk and three layers of leaves."""
    trunk, size = rng.uniform(1.8, 2.8), rng.uniform(2.6, 4.4)
    tint = tinted(rng, (1.0, 1.0, 0.9), 0.3)
    bark = Material(texture="bark", label=_TREE, repeats=(0.1, 0.8))
    planes = [front(0.0, trunk + 0.5, size=(rng.uniform(0.22, 0.40), trunk + 0.5), material=bark)]
    for z in (-0.25 * size, APART, 0.3 * size):
        width = size * rng.uniform(0.8, 1.0)
        x, top = size * rng.uniform(-0.15, 0.15), trunk + size * rng.uniform(0.85, 1.0)
        leaves = Material(texture=f"crown{rng.integers(CROWN_COUNT)}", label=_TREE, tint=tint)
        planes.append(front(x, top, size=(width, width), z=z, material=leaves))
    return [*planes, shadow(size, size)]


def lamp(rng: Rng, *, towards: int) -> list[Plane]:
    """Build a street lamp whose arm reaches to the right (1) or to the left (-1)."""
    height = rng.uniform(5.0, 6.5)
    material = Material(
        texture="pole", label=_POLE, tint=tinted(rng, (0.9, 0.9, 0.9), 0.3), repeats=(1.0, 1.5)
    )
    return [
        front(0.0, height, size=(0.15, height), material=material),
        front(towards * 0.8, height, size=(1.6, 0.11), z=APART, material=material),
        front(towards * 1.6, height + 0.04, size=(0.55, 0.16), z=-APART, material=material),
    ]


def sign(rng: Rng) -> list[Plane]:
    """Build a road sign on its pole."""
    kind, height, size = int(rng.integers(SIGN_COUNT)), rng.uniform(2.3, 3.0), rng.uniform(0.6, 0.9)
    width = size * (1.5 if kind > 2 else 1.0)
    return [
        front(0.0, height - 0.1, size=(0.09, height - 0.1), material=Material(texture="pole", label=_POLE)),
        front(
            0.0, height, size=(width, size), z=-APART, material=Material(texture=f"sign{kind}", label=_SIGN)
        ),
    ]


def traffic_light(rng: Rng) -> list[Plane]:
    """Build a traffic light on its pole."""
    height = rng.uniform(3.2, 3.8)
    return [
        front(0.0, height - 0.3, size=(0.13, height - 0.3), material=Material(texture="pole", label=_POLE)),
        front(0.0, height, size=(0.36, 0.95), z=-APART, material=Material(texture="signal", label=_SIGN)),
    ]


def unlabelled(rng: Rng) -> list[Plane]:
    """Build a litter bin or a switch cabinet, which belong to no class."""
    texture, width, height = (("bin", 0.6, 1.05), ("cabinet", 1.1, 1.3))[rng.integers(2)]
    material = partial(Material, label=VOID, tint=any_tint(rng))
    half = width / 2
    return [
        front(0.0, height, size=(width, height), z=-half, material=material(texture=texture)),
        side(half, height, along=(-half, half), height=height, faces=1, material=material(texture=texture)),
        side(-half, height, along=(-half, half), height=height, faces=-1, material=material(texture=texture)),
        floor(
            0.0,
            height,
            along=(-half, half),
            width=width,
            material=material(texture="concrete", repeats=(0.2, 0.2)),
        ),
        shadow(1.5 * width, 1.5 * width),
    ]
