"""Draw the textures of cars, people and bicycles. Sizes are in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warprefine.datasets.street.canvas import BLACK, GLASS, METAL, WHITE, Canvas, Color, Texture, varied

Rng = np.random.Generator

CLOTHES_COUNT = 3

_PAINT: Color = (0.95, 0.95, 0.95)
_RED: Color = (0.75, 0.08, 0.08)
_SKIN: Color = (0.80, 0.62, 0.50)


@dataclass(frozen=True, kw_only=True, slots=True)
class CarShape:
    """Dimensions of a car in metres; positions along it are measured from the rear."""

    length: float
    width: float
    waist: float  # height of the lower edge of the windows
    roof: float  # height of the upper edge
    rear_window: tuple[float, float]  # its lower and its upper edge
    windscreen: tuple[float, float]  # its upper and its lower edge


CAR_SHAPES = (
    CarShape(length=4.4, width=1.8, waist=0.92, roof=1.42, rear_window=(0.55, 1.05), windscreen=(2.55, 3.25)),
    CarShape(length=3.8, width=1.7, waist=0.95, roof=1.48, rear_window=(0.05, 0.45), windscreen=(2.10, 2.80)),
    CarShape(length=4.8, width=1.9, waist=1.15, roof=2.05, rear_window=(0.02, 0.10), windscreen=(3.40, 4.10)),
)
"""A saloon, a hatchback and a van."""


def draw_movers(rng: Rng) -> dict[str, Texture]:
    """Draw the textures of all moving objects."""
    textures: dict[str, Texture] = {
        "car rear": _car_rear(rng),
        "car front": _car_front(rng),
        "car top": _car_top(rng),
        "car window": _car_window(rng),
        "face": _head(face=True),
        "back of head": _head(face=False),
        "helmet": _helmet(),
        "leg": _limb(rng, end=BLACK),
        "arm": _limb(rng, end=_SKIN),
        "bicycle right": _bicycle(),
        "bicycle left": _bicycle().mirrored(),
        "tyre": _tyre(rng),
    }
    for k, shape in enumerate(CAR_SHAPES):
        textures[f"car right{k}"] = _car_side(rng, shape)
        textures[f"cabin right{k}"] = _cabin_side(rng, shape)
        for part in ("car", "cabin"):
            textures[f"{part} left{k}"] = textures[f"{part} right{k}"].mirrored()
    return textures | {f"torso{k}": _torso(rng, kind=k) for k in range(CLOTHES_COUNT)}


def _car_side(rng: Rng, shape: CarShape) -> Texture:
    """Draw the lower half of a car as seen from its right, down to the ground."""
    length, waist = shape.length, shape.waist
    canvas = Canvas(length, waist, density=64, color=_PAINT, paint=1.0)
    canvas.shade(1.05 - 0.35 * (canvas.y / waist) ** 2)
    canvas.darken(canvas.box(0, 0.42 * waist, length, 0.46 * waist), 0.25)
    for x in (0.30 * length, 0.52 * length, 0.72 * length):
        canvas.fill(canvas.box(x, 0, x + 0.03, 0.68 * waist), BLACK, paint=0.3)
    canvas.fill(canvas.box(0, 0.74 * waist, length, waist), BLACK)
    canvas.fill(canvas.box(0, 0.22 * waist, 0.16, 0.38 * waist), _RED)
    canvas.fill(canvas.box(length - 0.2, 0.28 * waist, length, 0.42 * waist), WHITE)
    opaque = canvas.y < waist - 0.22
    for x in (0.78, length - 0.85):
        canvas.fill(canvas.oval(x, waist - 0.32, 0.39, 0.39), BLACK)
        wheel = canvas.oval(x, waist - 0.32, 0.32, 0.32)
        canvas.fill(canvas.oval(x, waist - 0.32, 0.19, 0.19), METAL)
        canvas.fill(canvas.oval(x, waist - 0.32, 0.06, 0.06), BLACK)
        opaque |= wheel
    canvas.grain(rng, 0.03)
    return canvas.finish(opaque=opaque)


def _cabin_side(rng: Rng, shape: CarShape) -> Texture:
    """Draw the windows of a car as seen from its right."""
    start, end = shape.rear_window[0], shape.windscreen[1]
    height = shape.roof - shape.waist
    canvas = Canvas(end - start, height, density=64, color=_PAINT, paint=1.0)
    upwards = 1 - canvas.y / height
    left = upwards * (shape.rear_window[1] - start)
    right = end - start - upwards * (end - shape.windscreen[0])
    glass = (canvas.x > left + 0.12) & (canvas.x < right - 0.12) & (canvas.y > 0.08)
    glass &= np.abs(canvas.x - 0.5 * (end - start)) > 0.04
    canvas.fill(glass, varied(rng, GLASS, 0.3))
    canvas.shade(np.where(glass, 1 + 0.5 * upwards, 1.0))
    canvas.grain(rng, 0.05)
    return canvas.finish(opaque=(canvas.x >= left) & (canvas.x <= right))


def _car_rear(rng: Rng) -> Texture:
    canvas = Canvas(1.8, 0.95, density=64, color=_PAINT, paint=1.0)
    canvas.shade(1.05 - 0.3 * canvas.y)
    canvas.fill(canvas.box(0.02, 0.12, 0.34, 0.34), _RED)
    canvas.fill(canvas.box(1.46, 0.12, 1.78, 0.34), _RED)
    canvas.fill(canvas.box(0.62, 0.30, 1.18, 0.44), WHITE)
    for letter in range(6):
        canvas.fill(canvas.box(0.66 + 0.085 * letter, 0.33, 0.71 + 0.085 * letter, 0.41), BLACK)
    canvas.fill(canvas.box(0, 0.50, 1.8, 0.54), BLACK)
    canvas.fill(canvas.box(0, 0.66, 1.8, 0.95), BLACK)
    canvas.grain(rng, 0.03)
    return canvas.finish(opaque=(canvas.y < 0.80) | (np.abs(canvas.x - 0.9) > 0.66))


def _car_front(rng: Rng) -> Texture:
    canvas = Canvas(1.8, 0.95, density=64, color=_PAINT, paint=1.0)
    canvas.shade(1.05 - 0.3 * canvas.y)
    canvas.fill(canvas.box(0.04, 0.16, 0.42, 0.34), WHITE)
    canvas.fill(canvas.box(1.38, 0.16, 1.76, 0.34), WHITE)
    canvas.fill(canvas.box(0.50, 0.18, 1.30, 0.36), BLACK)
    for bar in range(3):
        canvas.fill(canvas.box(0.50, 0.22 + 0.05 * bar, 1.30, 0.235 + 0.05 * bar), METAL)
    canvas.fill(canvas.box(0.62, 0.46, 1.18, 0.58), WHITE)
    canvas.fill(canvas.box(0.2, 0.62, 1.6, 0.95), BLACK)
    canvas.grain(rng, 0.03)
    return canvas.finish(opaque=(canvas.y < 0.80) | (np.abs(canvas.x - 0.9) > 0.66))


def _car_top(rng: Rng) -> Texture:
    canvas = Canvas(1.6, 1.6, density=32, color=_PAINT, paint=1.0)
    canvas.grain(rng, 0.06)
    return canvas.finish()


def _car_window(rng: Rng) -> Texture:
    canvas = Canvas(1.6, 0.6, density=64, color=_PAINT, paint=1.0)
    glass = canvas.box(0.10, 0.06, 1.50, 0.54)
    canvas.fill(glass, GLASS)
    canvas.shade(np.where(glass, 1.9 - 1.5 * canvas.y, 1.0))
    for x in (0.48, 1.12):
        canvas.fill(glass & canvas.box(x - 0.12, 0.36, x + 0.12, 0.6), (0.13, 0.14, 0.16))
    canvas.grain(rng, 0.06)
    return canvas.finish()


def _head(*, face: bool) -> Texture:
    canvas = Canvas(0.22, 0.30, density=160, color=_SKIN)
    hair = canvas.y < 0.20
    if face:
        hair = canvas.box(0, 0, 0.22, 0.09) | canvas.box(0, 0, 0.035, 0.18) | canvas.box(0.185, 0, 0.22, 0.18)
        canvas.fill(canvas.oval(0.075, 0.14, 0.014, 0.010) | canvas.oval(0.145, 0.14, 0.014, 0.010), BLACK)
    canvas.fill(hair, (0.7, 0.7, 0.7), paint=1.0)
    neck = canvas.box(0.07, 0.2, 0.15, 0.30)
    return canvas.finish(opaque=canvas.oval(0.11, 0.13, 0.105, 0.13) | neck)


def _helmet() -> Texture:
    canvas = Canvas(0.24, 0.30, density=160, color=_SKIN)
    canvas.fill(canvas.y < 0.16, WHITE, paint=1.0)
    for x in (0.06, 0.12, 0.18):
        canvas.fill(canvas.oval(x, 0.08, 0.012, 0.06), BLACK)
    neck = canvas.box(0.08, 0.2, 0.16, 0.30)
    return canvas.finish(opaque=canvas.oval(0.12, 0.13, 0.115, 0.13) | neck)


def _torso(rng: Rng, *, kind: int) -> Texture:
    """Draw a shirt: plain, striped, or an open jacket with a bag."""
    canvas = Canvas(0.46, 0.66, density=128, color=(0.9, 0.9, 0.9), paint=1.0)
    if kind == 1:
        canvas.fill(canvas.y % 0.14 < 0.07, WHITE, paint=0.2)
    if kind == 2:
        canvas.fill(canvas.box(0.19, 0, 0.27, 0.66), WHITE)
        canvas.fill(canvas.stroke(0.08, 0.02, 0.40, 0.45, width=0.05), BLACK)
        canvas.fill(canvas.box(0.30, 0.36, 0.44, 0.54), (0.35, 0.22, 0.12))
    canvas.grain(rng, 0.10)
    canvas.shade(1.1 - 0.9 * np.abs(canvas.x - 0.2))
    half = np.minimum(0.23 - 0.05 * np.sin(canvas.y / 0.66 * np.pi), 0.10 + 2.0 * canvas.y)
    return canvas.finish(opaque=np.abs(canvas.x - 0.23) < half)


def _limb(rng: Rng, *, end: Color) -> Texture:
    canvas = Canvas(0.16, 0.86, density=128, color=(0.9, 0.9, 0.9), paint=1.0)
    canvas.grain(rng, 0.10)
    canvas.shade(1.15 - 3 * np.abs(canvas.x - 0.07))
    canvas.fill(canvas.y > 0.78, end)
    return canvas.finish(opaque=np.abs(canvas.x - 0.08) < 0.08 - 0.03 * canvas.y / 0.86)


def _bicycle() -> Texture:
    """Draw a bicycle as seen from its right, 1.75 m by 1.05 m."""
    canvas = Canvas(1.75, 1.05, density=96, color=(0.9, 0.9, 0.9), paint=1.0)
    opaque = np.zeros(canvas.shape, dtype=bool)
    for x in (0.34, 1.41):
        tyre = canvas.oval(x, 0.71, 0.34, 0.34) & ~canvas.oval(x, 0.71, 0.28, 0.28)
        hub = canvas.oval(x, 0.71, 0.04, 0.04)
        canvas.fill(tyre | hub, BLACK)
        opaque |= tyre | hub
    rear, crank, seat, head, fork = (0.34, 0.71), (0.80, 0.72), (0.66, 0.22), (1.22, 0.28), (1.41, 0.71)
    tubes = ((rear, crank), (rear, seat), (seat, crank), (seat, head), (crank, head), (head, fork))
    for start, end in tubes:
        opaque |= canvas.stroke(*start, *end, width=0.05)
    handle = canvas.stroke(1.10, 0.12, 1.24, 0.14, width=0.05)
    handle |= canvas.stroke(1.24, 0.14, *head, width=0.05)
    saddle = canvas.stroke(0.54, 0.19, 0.78, 0.19, width=0.06)
    canvas.fill(handle | saddle, BLACK)
    return canvas.finish(opaque=opaque | handle | saddle)


def _tyre(rng: Rng) -> Texture:
    canvas = Canvas(0.1, 0.68, density=128, color=(0.16, 0.16, 0.17))
    canvas.grain(rng, 0.2)
    return canvas.finish(opaque=canvas.oval(0.05, 0.34, 0.05, 0.34))
