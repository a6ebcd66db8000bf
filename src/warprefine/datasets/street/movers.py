"""Build moving objects from planes: cars, pedestrians and cyclists."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from warprefine.datasets.street.canvas import Color
from warprefine.datasets.street.classes import STREET_CLASSES
from warprefine.datasets.street.mover_textures import CAR_SHAPES, CLOTHES_COUNT, CarShape
from warprefine.datasets.street.planes import Material, Motion, Plane
from warprefine.datasets.street.shapes import APART, any_tint, back, floor, front, limb, shadow, side, tinted

Rng = np.random.Generator

_CAR = STREET_CLASSES.position("car")
_PEDESTRIAN = STREET_CLASSES.position("pedestrian")
_BICYCLIST = STREET_CLASSES.position("bicyclist")

_PAINTS: tuple[Color, ...] = (
    (0.85, 0.86, 0.88),
    (0.55, 0.57, 0.60),
    (0.16, 0.17, 0.19),
    (0.70, 0.12, 0.12),
    (0.14, 0.28, 0.58),
    (0.22, 0.40, 0.30),
    (0.80, 0.66, 0.20),
    (0.58, 0.46, 0.36),
)
_STRIDE = 0.42  # radians per frame: a stride a second at 15 frames per second


def car(rng: Rng) -> list[Plane]:
    """Build a saloon, a hatchback or a van."""
    kind = int(rng.choice(len(CAR_SHAPES), p=(0.45, 0.40, 0.15)))
    shape = CAR_SHAPES[kind]
    tint = tinted(rng, _PAINTS[rng.integers(len(_PAINTS))], 0.12)
    body = partial(Material, label=_CAR, tint=tint)
    half, waist, size = shape.length / 2, shape.waist, (shape.width, shape.waist)
    ends = (-half, half)
    return [
        front(0.0, waist, size=size, z=-half, material=body(texture="car rear")),
        back(0.0, waist, size=size, z=half, material=body(texture="car front")),
        floor(0.0, waist, along=ends, width=shape.width, material=body(texture="car top")),
        side(
            size[0] / 2, waist, along=ends, height=waist, faces=1, material=body(texture=f"car right{kind}")
        ),
        side(
            -size[0] / 2, waist, along=ends, height=waist, faces=-1, material=body(texture=f"car left{kind}")
        ),
        *_cabin(shape, kind, tint),
        shadow(1.5 * shape.width, 1.25 * shape.length),
    ]


def _cabin(shape: CarShape, kind: int, tint: Color) -> list[Plane]:
    """Build a car above its waist: windows on all sides and the roof."""
    body = partial(Material, label=_CAR, tint=tint)
    rear_low, rear_high, ahead_high, ahead_low = (
        z - shape.length / 2 for z in (*shape.rear_window, *shape.windscreen)
    )
    roof, width, height = shape.roof, shape.width - 0.16, shape.roof - shape.waist
    rear = front(0.0, roof, size=(width, height), z=rear_high, material=body(texture="car window"))
    ahead = back(0.0, roof, size=(width, height), z=ahead_high, material=body(texture="car window"))
    ends = (rear_low, ahead_low)
    return [
        replace(rear, down=(0.0, height, rear_low - rear_high)),
        replace(ahead, down=(0.0, height, ahead_low - ahead_high)),
        floor(0.0, roof, along=(rear_high, ahead_high), width=width, material=body(texture="car top")),
        side(
            width / 2, roof, along=ends, height=height, faces=1, material=body(texture=f"cabin right{kind}")
        ),
        side(
            -width / 2, roof, along=ends, height=height, faces=-1, material=body(texture=f"cabin left{kind}")
        ),
    ]


def person(rng: Rng, *, swing: float, away: bool = False) -> list[Plane]:
    """Build a pedestrian whose limbs swing by `swing` radians, viewed from behind if `away`."""
    shirt, trousers, hair = (any_tint(rng) for _ in range(3))
    leg = Material(texture="leg", label=_PEDESTRIAN, tint=trousers)
    arm = Material(texture="arm", label=_PEDESTRIAN, tint=shirt)
    torso = Material(texture=_clothes(rng), label=_PEDESTRIAN, tint=shirt)
    head = Material(texture="back of head" if away else "face", label=_PEDESTRIAN, tint=hair)
    forth = Motion(swing=swing, rate=_STRIDE, phase=rng.uniform(0, 2 * math.pi))
    again = replace(forth, swing=-swing)
    size = rng.uniform(0.85, 1.08)
    planes = [
        front(0.09, 0.88, size=(0.18, 0.88), material=leg, motion=forth),
        front(-0.09, 0.88, size=(0.18, 0.88), z=APART, material=leg, motion=again),
        front(0.0, 1.48, size=(0.46, 0.66), z=-APART, material=torso),
        front(0.0, 1.75, size=(0.22, 0.32), z=-2 * APART, material=head),
        front(0.25, 1.44, size=(0.13, 0.64), z=-3 * APART, material=arm, motion=again),
        front(-0.25, 1.44, size=(0.13, 0.64), z=2 * APART, material=arm, motion=forth),
    ]
    return [*(_scaled(plane, size) for plane in planes), shadow(0.9, 0.9)]


def cyclist_from_behind(rng: Rng) -> list[Plane]:
    """Build a cyclist who rides along the street, viewed from behind."""
    shirt, trousers, helmet = (any_tint(rng) for _ in range(3))
    tyre = Material(texture="tyre", label=_BICYCLIST)
    leg = Material(texture="leg", label=_BICYCLIST, tint=trousers)
    arm = Material(texture="arm", label=_BICYCLIST, tint=shirt)
    torso = Material(texture=_clothes(rng), label=_BICYCLIST, tint=shirt)
    head = Material(texture="helmet", label=_BICYCLIST, tint=helmet)
    down = Motion(sway=(0.0, 0.12, 0.0), rate=_STRIDE, phase=rng.uniform(0, 2 * math.pi))
    up = replace(down, sway=(0.0, -0.12, 0.0))
    return [
        front(0.0, 0.68, size=(0.07, 0.68), material=tyre),
        front(0.0, 1.08, size=(0.60, 0.05), z=0.5, material=tyre),
        front(0.11, 1.02, size=(0.17, 0.78), z=0.3, material=leg, motion=down),
        front(-0.11, 1.02, size=(0.17, 0.78), z=0.3, material=leg, motion=up),
        limb((0.20, 1.50), (0.28, 1.05), width=0.13, z=0.24, material=arm),
        limb((-0.20, 1.50), (-0.28, 1.05), width=0.13, z=0.24, material=arm),
        front(0.0, 1.56, size=(0.46, 0.66), z=0.2, material=torso),
        front(0.0, 1.82, size=(0.24, 0.30), z=0.35, material=head),
        shadow(0.9, 1.9),
    ]


def cyclist_from_the_side(rng: Rng, *, direction: int) -> list[Plane]:
    """Build a cyclist who rides across the street, to the right (1) or to the left (-1)."""
    shirt, trousers, helmet, frame = (any_tint(rng) for _ in range(4))
    bicycle = Material(
        texture="bicycle right" if direction > 0 else "bicycle left", label=_BICYCLIST, tint=frame
    )
    leg = Material(texture="leg", label=_BICYCLIST, tint=trousers)
    arm = Material(texture="arm", label=_BICYCLIST, tint=shirt)
    torso = Material(texture=_clothes(rng), label=_BICYCLIST, tint=shirt)
    head = Material(texture="helmet", label=_BICYCLIST, tint=helmet)
    forth = Motion(swing=0.4, rate=_STRIDE, phase=rng.uniform(0, 2 * math.pi))
    again = replace(forth, swing=-0.4)
    saddle, knee, shoulder, grips, neck = (direction * x for x in (-0.20, -0.08, 0.16, 0.34, 0.26))
    return [
        front(0.0, 1.05, size=(1.75, 1.05), material=bicycle),
        limb((knee, 0.98), (knee, 0.22), width=0.18, z=-APART, material=leg, motion=forth),
        limb((knee, 0.98), (knee, 0.22), width=0.18, z=APART, material=leg, motion=again),
        limb((shoulder, 1.54), (saddle, 0.90), width=0.38, z=-2 * APART, material=torso),
        limb((shoulder, 1.46), (grips, 0.95), width=0.13, z=-3 * APART, material=arm),
        front(neck, 1.82, size=(0.24, 0.30), z=-3 * APART, material=head),
        shadow(1.9, 0.9),
    ]


def _clothes(rng: Rng) -> str:
    return f"torso{rng.integers(CLOTHES_COUNT)}"


def _scaled(plane: Plane, factor: float) -> Plane:
    corner, across, down = (
        (factor * x, factor * y, factor * z) for x, y, z in (plane.corner, plane.across, plane.down)
    )
    return replace(plane, corner=corner, across=across, down=down)
