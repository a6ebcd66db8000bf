"""Sample many points of textures at once, with mipmaps against aliasing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from warprefine.datasets.street.canvas import Array, Floats, Mask, Texture

_LEVELS = 7  # full size and six halvings, in which a texture of 512 texels a side shrinks to 8

Ids: TypeAlias = NDArray[np.int64]


class TextureStore:
    """All textures of a scene with their mipmap levels, in one list of texels."""

    def __init__(self, textures: Mapping[str, Texture]) -> None:
        self._number = {name: number for number, name in enumerate(textures)}
        self._opaque = [texture.opaque for texture in textures.values()]
        self._tiled = np.array([texture.tiled for texture in textures.values()])
        self.has_holes = [not texture.opaque.all() for texture in textures.values()]
        levels = [level for texture in textures.values() for level in _levels(texture)]
        self._height, self._width = np.array([level.shape[:2] for level in levels]).T
        self._start = np.cumsum([0] + [len(level) * level.shape[1] for level in levels[:-1]])
        self._texels = np.concatenate([level.reshape(-1, 4) for level in levels])

    def number(self, name: str) -> int:
        """Return the position of the texture called `name`."""
        return self._number[name]

    def texel_count(self, number: Ids) -> Ids:
        """Return the number of texels of textures at full size, (n,)."""
        count: Ids = self._height.take(number * _LEVELS) * self._width.take(number * _LEVELS)
        return count

    def opaque(self, number: int, u: Array, v: Array) -> Mask:
        """Return where a texture is opaque at (u, v), (n,) each, in units of its width and height."""
        opaque = self._opaque[number]
        h, w = opaque.shape
        covered: Mask = opaque[(v * h).astype(np.int64) % h, (u * w).astype(np.int64) % w]
        return covered

    def look_up(self, number: Ids, u: Floats, v: Floats, level: Floats) -> Floats:
        """Interpolate textures at (u, v), all of shape (n,), at `level` halvings: (n, 4) in 0..1."""
        row = number * _LEVELS + np.clip(np.round(level), 0, _LEVELS - 1).astype(np.int64)
        start, height, width = self._start.take(row), self._height.take(row), self._width.take(row)
        tiled = self._tiled.take(number)
        upper, lower, below = _neighbours(v, height, tiled)
        left, right, beyond = _neighbours(u, width, tiled)
        upper, lower = start + upper * width, start + lower * width
        return _between(
            _between(self._at(upper + left), self._at(upper + right), beyond),
            _between(self._at(lower + left), self._at(lower + right), beyond),
            below,
        )

    def _at(self, place: Ids) -> Floats:
        # Three times as fast as indexing, which would take most of the time of a frame.
        return self._texels.take(place, axis=0)


def _neighbours(position: Floats, count: Ids, tiled: Mask) -> tuple[Ids, Ids, Floats]:
    """Return the texels before and after positions in units of the side, and the latter's weight, (n, 1)."""
    sides = count.astype(np.float32)
    texel = position * sides - np.float32(0.5)
    texel = np.where(tiled, texel, np.clip(texel, 0, sides - 1))
    before = np.floor(texel)
    first = before.astype(np.int64) % count
    return first, (first + 1) % count, (texel - before)[:, None]


def _between(first: Floats, second: Floats, weight: Floats) -> Floats:
    """Interpolate from first (weight 0) to second (weight 1); `second` is overwritten."""
    second -= first
    second *= weight
    second += first
    return second


def _levels(texture: Texture) -> list[Floats]:
    """Return the mipmap levels, (h, w, 4) each: the texels at full size, halved, halved again and so on."""
    levels = [texture.texels.astype(np.float32) / np.float32(255)]
    while len(levels) < _LEVELS:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(texels: Floats) -> Floats:
    """Average pairs along each side that has at least two texels; an odd last one is left out."""
    h, w = texels.shape[:2]
    if h > 1:
        texels = np.float32(0.5) * (texels[0 : h - 1 : 2] + texels[1::2])
    if w > 1:
        texels = np.float32(0.5) * (texels[:, 0 : w - 1 : 2] + texels[:, 1::2])
    return texels
