"""Draw the textures of sky, skyline, bonnet, road and pavement. Sizes are in metres."""

from __future__ import annotations

import numpy as np

from warprefine.datasets.street.canvas import Canvas, Texture, noise, varied

Rng = np.random.Generator


def draw_surroundings(rng: Rng) -> dict[str, Texture]:
    """Draw the textures of sky, skyline, ground and the bonnet of the ego car."""
    return {
        "sky": _sky(rng),
        "skyline": _skyline(rng),
        "treeline": _treeline(rng),
        "bonnet": _bonnet(rng),
        "asphalt": _asphalt(rng),
        "paving": _paving(rng),
        "dashes": _dashes(rng),
        "zebra": _zebra(rng),
    }


def _sky(rng: Rng) -> Texture:
    canvas = Canvas(2, 1, density=384, color=(0.50, 0.66, 0.86))
    zenith = np.clip(1 - 2 * canvas.y, 0, 1)  # 0 at the horizon, which is in the middle, 1 at the top
    canvas.shade(1.18 - 0.35 * zenith)
    cover = noise(rng, *canvas.shape, slope=1.5) + rng.uniform(-0.8, 0.6)
    canvas.wash(np.clip(0.3 + 0.8 * cover, 0, 1), varied(rng, (0.90, 0.91, 0.93), 0.04))
    canvas.shade(1 - 0.12 * np.clip(cover - 0.6, 0, 1.5))
    canvas.grain(rng, 0.02, slope=1.2)
    return canvas.finish()


def _skyline(rng: Rng) -> Texture:
    canvas = Canvas(2, 0.25, density=640, color=(0.60, 0.62, 0.66))
    roofs = np.zeros_like(canvas.x)
    left = 0.0
    while left < canvas.width:
        right = left + rng.uniform(0.02, 0.07)
        tower = canvas.box(left, 0, right, canvas.height)
        roofs[tower] = rng.uniform(0.02, 0.13)
        canvas.fill(tower, varied(rng, (0.62, 0.63, 0.66), 0.10))
        left = right
    windows = (np.modf(canvas.x * 120)[0] > 0.5) & (np.modf(canvas.y * 90)[0] > 0.5)
    canvas.darken(windows, 0.14)
    canvas.grain(rng, 0.03)
    return canvas.finish(opaque=canvas.y > canvas.height / 2 - roofs)


def _treeline(rng: Rng) -> Texture:
    canvas = Canvas(2, 0.25, density=640, color=(0.40, 0.48, 0.40))
    canvas.grain(rng, 0.14, slope=0.8)
    (tops,) = noise(rng, 1, canvas.shape[1], slope=1.0)
    return canvas.finish(opaque=canvas.y > canvas.height / 2 - 0.02 - 0.014 * tops)


def _bonnet(rng: Rng) -> Texture:
    canvas = Canvas(2, 0.4, density=160, color=varied(rng, (0.25, 0.27, 0.30), 0.35))
    canvas.shade(1.5 - 1.2 * canvas.y / canvas.height)
    canvas.shade(1 + 0.35 * np.exp(-(((canvas.x - 1.35) / 0.12) ** 2)))
    canvas.fill(canvas.stroke(0.72, 0.10, 0.66, 0.4, width=0.02), (0.12, 0.13, 0.14))
    canvas.fill(canvas.stroke(1.28, 0.10, 1.34, 0.4, width=0.02), (0.12, 0.13, 0.14))
    return canvas.finish(opaque=canvas.y > 0.02 + 0.30 * np.abs(canvas.x - 1) ** 2.5)


def _asphalt(rng: Rng) -> Texture:
    canvas = Canvas(12, 12, density=40, color=varied(rng, (0.36, 0.36, 0.37), 0.08))
    canvas.grain(rng, 0.10, slope=0.7)
    canvas.grain(rng, 0.05, slope=0.0)
    for _ in range(5):
        (x, y), (width, height) = rng.uniform(0, 10, 2), rng.uniform(0.6, 2.0, 2)
        canvas.darken(canvas.box(x, y, x + width, y + height), rng.uniform(-0.10, 0.16))
    for _ in range(6):
        (x, y), (dx, dy) = rng.uniform(1, 11, 2), rng.uniform(-1.5, 1.5, 2)
        canvas.darken(canvas.stroke(x, y, x + dx, y + dy, width=0.05), 0.4)
    for _ in range(2):
        x, y = rng.uniform(1, 11, 2)
        canvas.fill(canvas.oval(x, y, 0.33, 0.33), (0.22, 0.21, 0.20))
    return canvas.finish(tiled=True)


def _paving(rng: Rng) -> Texture:
    canvas = Canvas(6, 6, density=48, color=varied(rng, (0.50, 0.48, 0.46), 0.12))
    canvas.grain(rng, 0.06, slope=0.6)
    slab = rng.choice([0.5, 0.75, 1.0])
    rows = np.floor(canvas.y / slab)
    columns = np.floor((canvas.x + rows % 2 * slab / 2) / slab)
    brightness = rng.normal(1, 0.06, (32, 32))
    canvas.shade(brightness[rows.astype(int), columns.astype(int) % round(6 / slab)])
    joint = np.minimum(canvas.y % slab, (canvas.x + rows % 2 * slab / 2) % slab) < 0.04
    canvas.darken(joint, 0.25)
    return canvas.finish(tiled=True)


def _dashes(rng: Rng) -> Texture:
    canvas = Canvas(0.15, 6, density=48, color=varied(rng, (0.80, 0.80, 0.77), 0.05))
    canvas.grain(rng, 0.08)
    return canvas.finish(opaque=canvas.y < 3, tiled=True)


def _zebra(rng: Rng) -> Texture:
    canvas = Canvas(10, 3, density=32, color=varied(rng, (0.82, 0.82, 0.80), 0.05))
    canvas.grain(rng, 0.10)
    return canvas.finish(opaque=canvas.x % 1 < 0.5)
