"""Draw procedural textures, with positions and sizes in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Metres: TypeAlias = float | int
Color: TypeAlias = tuple[float, float, float]
Mask: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float32]
Array: TypeAlias = NDArray[np.float64]

GLASS: Color = (0.20, 0.25, 0.30)
BLACK: Color = (0.06, 0.06, 0.07)
WHITE: Color = (0.92, 0.92, 0.90)
METAL: Color = (0.55, 0.57, 0.58)

_MULTIPLE = 8  # of both sides, so that the first three halvings lose no texel


@dataclass(frozen=True, kw_only=True, eq=False)
class Texture:
    """RGB texture with a paint channel: (h, w, 4) texels, 0..255; paint weights the tint of a surface.

    Where `opaque`, (h, w), is false the texture is transparent. A `tiled` texture repeats at its edges.
    """

    texels: NDArray[np.uint8]
    opaque: Mask
    tiled: bool

    def mirrored(self) -> Texture:
        """Return the texture with left and right swapped."""
        return Texture(texels=self.texels[:, ::-1], opaque=self.opaque[:, ::-1], tiled=self.tiled)


class Canvas:
    """Drawing surface of a texture; `x` and `y`, (h, w), are metres from its upper left corner.

    Args:
        density: Texels per metre.
        paint: Share of the base colour that takes on the tint of a surface, 0..1.
    """

    def __init__(
        self, width: Metres, height: Metres, *, density: int, color: Color, paint: float = 0.0
    ) -> None:
        h, w = (_MULTIPLE * math.ceil(side * density / _MULTIPLE) for side in (height, width))
        self.width, self.height = width, height
        self.x, self.y = np.meshgrid((np.arange(w) + 0.5) * width / w, (np.arange(h) + 0.5) * height / h)
        self._all = np.ones((h, w), dtype=bool)
        self._texels = np.empty((4, h, w))
        self.fill(self._all, color, paint=paint)

    @property
    def shape(self) -> tuple[int, int]:
        """The (h, w) of the texture in texels."""
        h, w = self._all.shape
        return h, w

    def fill(self, mask: Mask, color: Color, *, paint: float = 0.0) -> None:
        """Fill a part with a uniform colour."""
        self._texels[:, mask] = np.array([*color, paint])[:, None]

    def wash(self, strength: Array, color: Color) -> None:
        """Blend in a colour with weights `strength`, (h, w), 0..1."""
        self._texels[:3] += strength * (np.array(color)[:, None, None] - self._texels[:3])

    def shade(self, factor: Array) -> None:
        """Multiply the brightness by a factor, (h, w)."""
        self._texels[:3] *= factor

    def darken(self, mask: Mask, share: float) -> None:
        """Reduce the brightness of a part by a share; a negative share increases it."""
        self._texels[:3, mask] *= 1 - share

    def grain(self, rng: np.random.Generator, amount: float, *, slope: float = 1.0) -> None:
        """Modulate the brightness with noise of standard deviation `amount`."""
        self.shade(1 + amount * noise(rng, *self.shape, slope=slope))

    def box(self, x0: Metres, y0: Metres, x1: Metres, y1: Metres) -> Mask:
        """Return the mask of a rectangle."""
        return (self.x >= x0) & (self.x < x1) & (self.y >= y0) & (self.y < y1)

    def oval(self, x: Metres, y: Metres, rx: Metres, ry: Metres) -> Mask:
        """Return the mask of an ellipse around (x, y)."""
        return np.hypot((self.x - x) / rx, (self.y - y) / ry) <= 1

    def stroke(self, x0: Metres, y0: Metres, x1: Metres, y1: Metres, *, width: float) -> Mask:
        """Return the mask of a line with round ends."""
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        return np.hypot(self.x - x0 - along * dx, self.y - y0 - along * dy) <= width / 2

    def finish(self, *, opaque: Mask | None = None, tiled: bool = False) -> Texture:
        """Return the texture, opaque everywhere unless a mask is given."""
        texels = np.round(np.clip(self._texels, 0, 1) * 255).astype(np.uint8)
        texels = np.ascontiguousarray(np.moveaxis(texels, 0, -1))
        return Texture(texels=texels, opaque=self._all if opaque is None else opaque, tiled=tiled)


def noise(rng: np.random.Generator, h: int, w: int, *, slope: float) -> Array:
    """Return periodic noise of mean 0 and standard deviation 1, (h, w).

    Its amplitude falls with frequency to the power of `slope`: 0 is white noise, 2 resembles clouds.
    """
    frequency = np.hypot(np.fft.fftfreq(h)[:, None] * h, np.fft.rfftfreq(w)[None] * w)
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(rng.standard_normal((h, w)))
    clouds: Array = np.fft.irfft2(white * frequency**-slope, s=(h, w))
    clouds /= clouds.std()
    return clouds


def varied(rng: np.random.Generator, color: Color, spread: float) -> Color:
    """Return a colour near another; each channel differs by up to the share `spread`."""
    red, green, blue = np.clip(np.array(color) * rng.uniform(1 - spread, 1 + spread, 3), 0, 1).tolist()
    return (red, green, blue)
