"""Render the planes of a street by ray casting: the visible plane and its colour at each point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from warprefine.datasets.street.camera import NEAR, Camera
from warprefine.datasets.street.canvas import Array, Color, Floats, Mask
from warprefine.datasets.street.planes import Anchor, PlaneTable
from warprefine.datasets.street.texture_store import Ids

DRAWN_WITHIN = 120.0
"""Far clipping distance, in metres; beyond it only sky, skyline and treeline are drawn."""

_EDGE_ON = 1e-9
_HAZE = 260.0  # metres over which haze takes 63 % of the contrast
_SHADOW = 0.7  # of the light is lost in the middle of a shadow

# Maps a box x0, y0, x1, y1 in pixels to x and y of the points that may lie in it, and their index.
Window: TypeAlias = Callable[[Array], tuple[Array, Array, Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """The planes of a street projected into one frame.

    `to_picture`, (n, 3, 3), maps (u, v, 1) of each plane to (x d, y d, d), d being the depth in metres
    and (x, y) pixels; `to_plane` is its inverse, zero where a plane is not drawn. `boxes`, (n, 4), hold
    x0, y0, x1, y1 in pixels and `depths`, (n,), the least depth of each plane. `drawn` holds the
    numbers of the planes that may be visible, from near to far.
    """

    table: PlaneTable
    to_picture: Array
    to_plane: Array
    boxes: Array
    depths: Array
    drawn: Ids


def project_planes(table: PlaneTable, camera: Camera, t: int, *, h: int, w: int) -> View:
    """Project every plane into frame t."""
    corner, across, down = table.pose(t)
    fixed = (table.anchor == Anchor.CAMERA)[:, None, None]
    rotation = np.where(fixed, np.eye(3), camera.rotation(t))
    corner = np.where((table.anchor == Anchor.WORLD)[:, None], corner - camera.eye(t), corner)
    to_picture = camera.intrinsics @ rotation @ np.stack([across, down, corner], axis=-1)
    boxes, depths = _extents(to_picture)
    on_screen = (boxes[:, 0] <= w) & (boxes[:, 1] <= h) & (boxes[:, 2] >= -1) & (boxes[:, 3] >= -1)
    near_enough = (depths < DRAWN_WITHIN) | (table.anchor == Anchor.EYE)
    drawn = np.flatnonzero(on_screen & near_enough & (np.linalg.det(to_picture) > _EDGE_ON))
    drawn = drawn[np.argsort(depths[drawn], kind="stable")]
    to_plane = np.zeros_like(to_picture)
    to_plane[drawn] = np.linalg.inv(to_picture[drawn])
    return View(
        table=table, to_picture=to_picture, to_plane=to_plane, boxes=boxes, depths=depths, drawn=drawn
    )


def _extents(to_picture: Array) -> tuple[Array, Array]:
    """Return the boxes, (n, 4), around the parts beyond the near plane, and the least depths, (n,)."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ to_picture.transpose(0, 2, 1)
    following = np.roll(corners, -1, axis=1)
    d0, d1 = corners[..., 2], following[..., 2]
    crosses = (d0 < NEAR) != (d1 < NEAR)
    share = np.where(crosses, (NEAR - d0) / np.where(crosses, d1 - d0, 1), 0)
    cuts = corners + share[..., None] * (following - corners)
    points = np.concatenate([corners, cuts], axis=1)
    valid = np.concatenate([d0 >= NEAR, crosses], axis=1)[..., None]
    places = points[..., :2] / np.where(valid, points[..., 2:], 1)
    lowest = np.where(valid, places, np.inf).min(axis=1)
    highest = np.where(valid, places, -np.inf).max(axis=1)
    depths = np.where(valid, points[..., 2:], np.inf).min(axis=(1, 2))
    return np.concatenate([lowest, highest], axis=1), depths


def surfaces_on_grid(view: View, x: Array, y: Array) -> Ids:
    """Return the number of the visible plane at each point of a grid, columns x, (w,), and rows y, (h,)."""
    return _cast(view, shape=(len(y), len(x)), window=lambda box: _grid_window(box, x, y))


def surfaces_at(view: View, x: Array, y: Array) -> Ids:
    """Return the number of the visible plane at each of some points, (n,), anywhere in the picture."""

    def window(box: Array) -> tuple[Array, Array, Ids]:
        index = np.flatnonzero((x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3]))
        return x[index], y[index], index

    return _cast(view, shape=x.shape, window=window)


def _grid_window(box: Array, x: Array, y: Array) -> tuple[Array, Array, tuple[slice, slice]]:
    x0, x1 = np.searchsorted(x, box[::2]).tolist()
    y0, y1 = np.searchsorted(y, box[1::2]).tolist()
    rows, columns = slice(y0, y1 + 1), slice(x0, x1 + 1)
    return x[None, columns], y[rows, None], (rows, columns)


def _cast(view: View, *, shape: tuple[int, ...], window: Window) -> Ids:
    """Return the number of the nearest plane at each point, of shape `shape`; `window` selects some."""
    table = view.table
    surface = np.zeros(shape, dtype=np.int64)
    nearness = np.zeros(shape)  # 1 / depth
    for number in view.drawn[~table.shadow[view.drawn]].tolist():
        x, y, index = window(view.boxes[number])
        if nearness[index].min(initial=np.inf) * view.depths[number] >= 1:
            continue  # all of it is hidden by what was drawn before
        u, v, near = (row[0] * x + row[2] + row[1] * y for row in view.to_plane[number])
        hit = (u >= 0) & (u <= near) & (v >= 0) & (v <= near) & (near > nearness[index]) & (near < 1 / NEAR)
        texture = int(table.texture[number])
        if table.store.has_holes[texture]:
            ru, rv = table.repeats[number].tolist()
            hit[hit] = table.store.opaque(texture, ru * u[hit] / near[hit], rv * v[hit] / near[hit])
        surface[index] = np.where(hit, number, surface[index])
        nearness[index] = np.where(hit, near, nearness[index])
    return surface


def colors(view: View, surface: Ids, x: Array, y: Array, *, haze: Color) -> Floats:
    """Return the colours, (h, w, 3) in 0..1, of the planes visible on a grid with columns x and rows y."""
    table, plane = view.table, surface.ravel()
    px, py = (grid.ravel() for grid in np.meshgrid(x.astype(np.float32), y.astype(np.float32)))
    entries = np.ascontiguousarray(view.to_plane.astype(np.float32).transpose(1, 2, 0))
    u, v, near = (row[0].take(plane) * px + row[1].take(plane) * py + row[2].take(plane) for row in entries)
    texture, repeats = table.texture.take(plane), table.repeats.take(plane, axis=0)
    # The Jacobian determinant of a homography is its own over the cube of its denominator: the share of
    # the plane that one point of the grid covers, which in texels determines the mipmap level.
    determinant = np.linalg.det(view.to_plane).astype(np.float32)
    share = determinant.take(plane) / near**3 * np.float32((x[1] - x[0]) * (y[1] - y[0]))
    texels = share * repeats.prod(axis=1) * table.store.texel_count(texture).astype(np.float32)
    level = np.log2(np.maximum(texels, 1)) / 2
    found = table.store.look_up(texture, u / near * repeats[:, 0], v / near * repeats[:, 1], level)
    paint = found[:, 3:]
    color = found[:, :3] * (1 - paint + paint * table.tint.take(plane, axis=0))
    color *= (table.light.take(plane) * _shadows(view, surface, x, y).ravel())[:, None]
    hazy = 1 - np.exp(-1 / (near * np.float32(_HAZE)))[:, None]
    hazy *= (table.anchor == Anchor.WORLD).take(plane)[:, None]
    color += hazy * (np.array(haze, dtype=np.float32) - color)
    return color.reshape(*surface.shape, 3)


def _shadows(view: View, surface: Ids, x: Array, y: Array) -> Floats:
    """Return the light that soft round shadows leave on the ground, (h, w)."""
    table, light = view.table, np.ones(surface.shape, dtype=np.float32)
    for number in view.drawn[table.shadow[view.drawn]].tolist():
        columns, rows, window = _grid_window(view.boxes[number], x, y)
        u, v, near = (row[0] * columns + row[2] + row[1] * rows for row in view.to_plane[number])
        on_ground: Mask = table.ground[surface[window]] & (near > 0)
        off_centre = np.where(on_ground, ((2 * u - near) ** 2 + (2 * v - near) ** 2) / near**2, 1)
        light[window] *= 1 - _SHADOW * np.clip(1 - off_centre, 0, 1)
    return light
