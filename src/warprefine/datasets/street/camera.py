"""Pinhole camera of a dash-cam: it moves down the street with some yaw, pitch, roll and sway."""

from __future__ import annotations

import math

import numpy as np

from warprefine.datasets.street.canvas import Array

NEAR = 0.2
"""Near clipping distance, in metres."""

_HEIGHT = 1.5  # metres above the ground
_FOCAL = 0.87  # in picture widths: 60 degrees from left to right
_HORIZON = 0.46  # of the picture's height


def lowest_slope(aspect: float) -> float:
    """Return the downward slope of the ray through the lower edge of a picture; `aspect` is h / w."""
    return (1 - _HORIZON) * aspect / _FOCAL


class Camera:
    """Intrinsics and pose of the camera of one scene at any frame.

    Args:
        speed: Metres per frame.
        lane: Metres to the right of the middle of the street.
    """

    def __init__(self, rng: np.random.Generator, *, h: int, w: int, speed: float, lane: float) -> None:
        self._speed = speed
        self._lane = lane
        # Sway (m), yaw, pitch and roll (rad), each the sum of a slow and a fast oscillation. At a width
        # of 320 pixels, 0.035 rad of yaw at 0.07 rad per frame turn the picture by 0.7 pixels a frame.
        size = np.array([[0.25, 0.035, 0.006, 0.006], [0.02, 0.002, 0.003, 0.002]])
        self._size = size * rng.uniform(0.5, 1.0, (2, 4))
        self._rate = np.array([[0.07], [0.6]]) * rng.uniform(0.7, 1.4, (2, 4))
        self._phase = rng.uniform(0, 2 * math.pi, (2, 4))
        x, y = (w - 1) / 2, (h - 1) * _HORIZON
        self.intrinsics = np.array([[_FOCAL * w, 0, x], [0, _FOCAL * w, y], [0, 0, 1]])

    def eye(self, t: int) -> Array:
        """Return the position of the camera, (3,), in metres."""
        sway = self._wobble(t)[0]
        return np.array([self._lane + sway, -_HEIGHT, self._speed * t])

    def rotation(self, t: int) -> Array:
        """Return the rotation from the world to the camera, (3, 3)."""
        _, yaw, pitch, roll = self._wobble(t).tolist()
        turned: Array = _turn(roll, 0, 1) @ _turn(pitch, 1, 2) @ _turn(yaw, 2, 0)
        return turned

    def _wobble(self, t: int) -> Array:
        wobble: Array = (self._size * np.sin(self._rate * t + self._phase)).sum(axis=0)
        return wobble


def _turn(angle: float, i: int, j: int) -> Array:
    """Return the rotation by `angle` that takes axis i towards axis j."""
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = math.cos(angle)
    matrix[j, i], matrix[i, j] = math.sin(angle), -math.sin(angle)
    return matrix
