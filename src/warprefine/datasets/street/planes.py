"""Planes: the flat textured surfaces of a street, and the pose of each at any frame.

World coordinates are metres: x to the right, y down, z along the street; the ground is y = 0. Every
surface is a parallelogram `corner + u * across + v * down` with u and v from 0 to 1, so one 3x3
homography per surface and frame maps it to the picture, and the ground truth is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from warprefine.datasets.street.canvas import Array, Color, Floats
from warprefine.datasets.street.texture_store import TextureStore

Vector: TypeAlias = tuple[float, float, float]

ORIGIN: Vector = (0.0, 0.0, 0.0)

_SUN = np.array([-0.45, -0.75, -0.48])  # towards the sun: high, behind the camera and to its left
_IN_SHADE = 0.72  # of full light, on a surface that the sun does not reach
_LOW = 0.3  # metres; a level surface below this height is ground, on which shadows fall


class Anchor(IntEnum):
    """Coordinate system in which a surface is fixed."""

    WORLD = 0
    EYE = 1  # translates with the camera, does not rotate: the sky and the far skyline
    CAMERA = 2  # fixed to the picture: the bonnet of the ego car


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """Motion of a surface in closed form, so that a frame is independent of the frames before it.

    `velocity` is in metres per frame; `sway` is the amplitude in metres and `swing` the amplitude in
    radians (in the surface's own plane, about the middle of its upper edge) of one oscillation with
    `rate` in radians per frame.
    """

    velocity: Vector = ORIGIN
    sway: Vector = ORIGIN
    swing: float = 0.0
    rate: float = 0.0
    phase: float = 0.0


AT_REST = Motion()


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Appearance of a surface: a texture, repeated `repeats` times along u and v, and its label (or VOID).

    `tint` multiplies the paint of the texture.
    """

    texture: str
    label: int
    tint: Color = (1.0, 1.0, 1.0)
    repeats: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """One flat surface, visible from the side on which `across` points right and `down` points down.

    A `shadow` only darkens the ground below it and is invisible itself.
    """

    corner: Vector
    across: Vector
    down: Vector
    material: Material
    motion: Motion = AT_REST
    anchor: Anchor = Anchor.WORLD
    shadow: bool = False


def placed(
    planes: Sequence[Plane], *, at: Vector, turn: float = 0.0, velocity: Vector = ORIGIN
) -> list[Plane]:
    """Rotate planes about the vertical (z towards x, in radians), move them to `at` and add a velocity."""
    cos, sin = math.cos(turn), math.sin(turn)
    rotation = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    shapes = np.array([(plane.corner, plane.across, plane.down) for plane in planes]) @ rotation.T
    shapes[:, 0] += at
    moved = []
    for plane, (corner, across, down) in zip(planes, shapes.tolist(), strict=True):
        x, y, z = np.add(plane.motion.velocity, velocity).tolist()
        motion = replace(plane.motion, velocity=(x, y, z))
        moved.append(
            replace(plane, corner=tuple(corner), across=tuple(across), down=tuple(down), motion=motion)
        )
    return moved


class PlaneTable:
    """Planes as arrays, one row each; `texture` holds the number of each texture in `store`."""

    def __init__(self, planes: Sequence[Plane], store: TextureStore) -> None:
        self.store = store
        self.label = np.array([plane.material.label for plane in planes], dtype=np.uint8)
        self.texture = np.array([store.number(plane.material.texture) for plane in planes], dtype=np.int64)
        self.tint = np.array([plane.material.tint for plane in planes], dtype=np.float32)
        self.repeats = np.array([plane.material.repeats for plane in planes], dtype=np.float32)
        self.anchor = np.array([plane.anchor for plane in planes])
        self.shadow = np.array([plane.shadow for plane in planes])
        self._corner = np.array([plane.corner for plane in planes])
        self._across = np.array([plane.across for plane in planes])
        self._down = np.array([plane.down for plane in planes])
        motions = [plane.motion for plane in planes]
        self._velocity = np.array([motion.velocity for motion in motions])
        self._sway = np.array([motion.sway for motion in motions])
        self._swing = np.array([motion.swing for motion in motions])
        self._rate = np.array([motion.rate for motion in motions])
        self._phase = np.array([motion.phase for motion in motions])
        level = (self._across[:, 1] == 0) & (self._down[:, 1] == 0)
        self.ground = level & (self._corner[:, 1] > -_LOW) & (self.anchor == Anchor.WORLD)
        self.light = self._light()

    def __len__(self) -> int:
        return len(self.label)

    def pose(self, t: int) -> tuple[Array, Array, Array]:
        """Return corner, across and down, (n, 3) each, in metres at frame t."""
        wave = np.sin(self._rate * t + self._phase)
        corner = self._corner + self._velocity * t + self._sway * wave[:, None]
        cos, sin = np.cos(self._swing * wave)[:, None], np.sin(self._swing * wave)[:, None]
        width, height = (np.linalg.norm(edge, axis=1, keepdims=True) for edge in (self._across, self._down))
        across = cos * self._across + sin * self._down * (width / height)
        down = cos * self._down - sin * self._across * (height / width)
        return corner + (self._across - across) / 2, across, down

    def _light(self) -> Floats:
        """Return the brightness of each plane in the sun, (n,); 1 for planes that move with the camera."""
        normal = np.cross(self._down, self._across)
        facing = np.clip(normal @ _SUN / np.linalg.norm(normal, axis=1), 0, 1)
        lit = _IN_SHADE + (1 - _IN_SHADE) * facing / np.abs(_SUN).max()
        return np.where(self.anchor == Anchor.WORLD, lit, 1.0).astype(np.float32)
