"""View a street through its camera: labels, colours, correspondences and occlusion between frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from warprefine.datasets.street.camera import NEAR, Camera
from warprefine.datasets.street.canvas import Array, Color, Floats, Mask
from warprefine.datasets.street.ground_textures import draw_surroundings
from warprefine.datasets.street.layout import LANE, draw_style, lay_out
from warprefine.datasets.street.mover_textures import draw_movers
from warprefine.datasets.street.planes import PlaneTable
from warprefine.datasets.street.render import View, colors, project_planes, surfaces_at, surfaces_on_grid
from warprefine.datasets.street.roadside_textures import draw_roadside
from warprefine.datasets.street.texture_store import Ids, TextureStore

_SLACK = 1e-6  # pixels; keeps rounding from pushing static points at the edge out of the picture


class World:
    """The street of one seed, with its camera and its light."""

    def __init__(self, seed: int, *, h: int, w: int, length: int) -> None:
        rng = np.random.default_rng([seed, 0])
        style = draw_style(rng)
        self._seed = seed
        self._x, self._y = np.arange(w, dtype=np.float64), np.arange(h, dtype=np.float64)
        self._camera = Camera(rng, h=h, w=w, speed=style.speed, lane=LANE)
        self._light = Light(rng)
        store = TextureStore({**draw_surroundings(rng), **draw_roadside(rng), **draw_movers(rng)})
        self._table = PlaneTable(lay_out(seed, style, length=length, aspect=h / w), store)

    def labels(self, t: int) -> NDArray[np.uint8]:
        """Return the labels of frame t, (h, w)."""
        return self._table.label[self._surfaces(self._view(t))]

    def correspondences(self, b: int, a: int) -> tuple[Array, Array]:
        """Return the positions in a of the points at the pixels of b, x and y in pixels, (h, w) each."""
        view_b = self._view(b)
        x, y, _ = self._project(self._surfaces(view_b), view_b, self._view(a))
        return x, y

    def occluded(self, b: int, a: int) -> Mask:
        """Mark the pixels of b whose point is not visible in a, (h, w)."""
        view_b, view_a = self._view(b), self._view(a)
        surface = self._surfaces(view_b)
        x, y, depth = self._project(surface, view_b, view_a)
        inside_x = (x >= -_SLACK) & (x <= self._x[-1] + _SLACK)
        inside_y = (y >= -_SLACK) & (y <= self._y[-1] + _SLACK)
        visible: Mask = (depth >= NEAR) & inside_x & inside_y
        # A ray meets a plane once: if the same plane is visible at the position in a, it is the same point.
        surface_a = surfaces_at(view_a, x[visible], y[visible])
        visible[visible] = surface_a == surface[visible]
        return ~visible

    def render(self, t: int) -> NDArray[np.uint8]:
        """Return frame t, (h, w, 3), with four rays per pixel, the light of frame t and sensor noise."""
        view = self._view(t)
        x, y = (np.add.outer(centres, [-0.25, 0.25]).ravel() for centres in (self._x, self._y))
        surface = surfaces_on_grid(view, x, y)
        fine = colors(view, surface, x, y, haze=self._light.haze)
        picture = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / np.float32(4)
        return self._light.expose(picture, t, np.random.default_rng([self._seed, 4, t]))

    def _view(self, t: int) -> View:
        return project_planes(self._table, self._camera, t, h=len(self._y), w=len(self._x))

    def _surfaces(self, view: View) -> Ids:
        return surfaces_on_grid(view, self._x, self._y)

    def _project(self, surface: Ids, view_b: View, view_a: View) -> tuple[Array, Array, Array]:
        """Return x, y and depth in a of the points at the pixels of b, (h, w) each."""
        pixels = np.stack(np.broadcast_arrays(self._x, self._y[:, None], 1.0), axis=-1)
        nearness = (view_b.to_plane[surface, 2] * pixels).sum(axis=-1, keepdims=True)
        from_b_to_a = (view_a.to_picture @ view_b.to_plane)[surface]
        x, y, depth = np.moveaxis((from_b_to_a @ pixels[..., None])[..., 0] / nearness, -1, 0)
        # Points behind the camera are projected from the near plane, far out; otherwise they are mirrored.
        cx, cy = self._camera.intrinsics[:2, 2]
        reach = np.maximum(depth, NEAR)
        return cx + (x - cx * depth) / reach, cy + (y - cy * depth) / reach, depth


class Light:
    """Exposure, tint and sensor noise of the pictures of one scene."""

    def __init__(self, rng: np.random.Generator) -> None:
        gray = rng.uniform(0.62, 0.78)
        self.haze: Color = (gray, gray + 0.02, gray + 0.06)
        self._tint = rng.uniform(0.93, 1.07, 3)
        self._swell = rng.uniform(0.05, 0.12)
        self._rate = rng.uniform(0.10, 0.35)
        self._phase = rng.uniform(0, 2 * math.pi)
        self._noise = np.float32(rng.uniform(0.008, 0.016))

    def expose(self, picture: Floats, t: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Convert colours in 0..1 to a noisy 8-bit picture with the exposure of frame t."""
        gain = 1 + self._swell * math.sin(self._rate * t + self._phase) + 0.01 * rng.standard_normal()
        grain = self._noise * rng.standard_normal(picture.shape, dtype=np.float32)
        exposed = picture * (gain * self._tint).astype(np.float32) + grain
        return np.round(np.clip(exposed, 0, 1) * 255).astype(np.uint8)
