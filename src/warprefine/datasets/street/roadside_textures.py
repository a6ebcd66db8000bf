"""Draw the textures of houses, trees, poles, signs and fences. Sizes are in metres."""

from __future__ import annotations

import numpy as np

from warprefine.datasets.street.canvas import (
    BLACK,
    GLASS,
    METAL,
    WHITE,
    Canvas,
    Color,
    Texture,
    noise,
    varied,
)

Rng = np.random.Generator

WALLS: tuple[Color, ...] = (
    (0.58, 0.36, 0.29),
    (0.80, 0.74, 0.62),
    (0.60, 0.60, 0.59),
    (0.74, 0.60, 0.42),
    (0.60, 0.66, 0.72),
    (0.44, 0.33, 0.30),
)
CROWN_COUNT = 4
SIGN_COUNT = 6


def draw_roadside(rng: Rng) -> dict[str, Texture]:
    """Draw the textures of all static objects beside the road."""
    textures = {
        "concrete": _plain(rng, METAL, amount=0.10),
        "bark": _plain(rng, (0.33, 0.26, 0.20), amount=0.2),
        "pole": _pole(rng),
        "signal": _signal(rng),
        "pickets": _pickets(rng),
        "ivy": _ivy(rng),
        "planks": _planks(rng),
        "bin": _bin(rng),
        "cabinet": _cabinet(rng),
    }
    for k, color in enumerate(WALLS):
        textures[f"storeys{k}"] = _storeys(rng, color)
        textures[f"shop{k}"] = _shop(rng, color)
        textures[f"gable{k}"] = _plain(rng, color, amount=0.12)
    textures |= {f"crown{k}": _crown(rng) for k in range(CROWN_COUNT)}
    return textures | {f"sign{k}": _sign(rng, kind=k) for k in range(SIGN_COUNT)}


def _plain(rng: Rng, color: Color, *, amount: float) -> Texture:
    canvas = Canvas(4, 4, density=32, color=color, paint=0.8)
    canvas.grain(rng, amount, slope=0.8)
    return canvas.finish(tiled=True)


def _storeys(rng: Rng, color: Color) -> Texture:
    """Draw two storeys of a house, 12 m wide."""
    canvas = Canvas(12, 6, density=24, color=color, paint=0.8)
    canvas.grain(rng, 0.06, slope=0.9)
    per_storey = int(rng.integers(3, 6))
    width, height = rng.uniform(0.9, 1.5), rng.uniform(1.3, 1.9)
    frame = varied(rng, (0.75, 0.74, 0.72), 0.2)
    for storey in range(2):
        canvas.darken(canvas.box(0, 3 * storey, 12, 3 * storey + 0.18), 0.25)
        for k in range(per_storey):
            x, y = (k + 0.5) * 12 / per_storey - width / 2, 3 * storey + 0.7
            canvas.fill(canvas.box(x - 0.12, y - 0.12, x + width + 0.12, y + height + 0.2), frame)
            canvas.fill(canvas.box(x, y, x + width, y + height), varied(rng, GLASS, 0.5))
            blind = rng.uniform(0, 0.7)
            canvas.fill(
                canvas.box(x, y, x + width, y + blind * height), varied(rng, (0.70, 0.68, 0.62), 0.25)
            )
            canvas.fill(canvas.box(x + width / 2 - 0.04, y, x + width / 2 + 0.04, y + height), frame)
    canvas.grain(rng, 0.04)
    return canvas.finish(tiled=True)


def _shop(rng: Rng, color: Color) -> Texture:
    """Draw a ground floor, 12 m wide."""
    canvas = Canvas(12, 4, density=24, color=color, paint=0.8)
    canvas.grain(rng, 0.08, slope=0.8)
    door = int(rng.integers(0, 4))
    board = varied(rng, (0.5, 0.4, 0.4), 0.8)
    for k in range(4):
        x = 3 * k + 0.25
        if k == door:
            canvas.fill(canvas.box(x + 0.6, 1.2, x + 1.8, 4), varied(rng, (0.35, 0.25, 0.20), 0.6))
            canvas.fill(canvas.box(x + 0.8, 1.4, x + 1.6, 2.2), varied(rng, GLASS, 0.3))
            continue
        canvas.fill(canvas.box(x, 0.35, x + 2.5, 0.95), board)
        for letter in range(7):
            left = x + 0.3 + 0.28 * letter
            canvas.fill(canvas.box(left, 0.48, left + rng.uniform(0.08, 0.24), 0.82), WHITE)
        canvas.fill(canvas.box(x, 1.1, x + 2.5, 3.4), varied(rng, GLASS, 0.4))
        for _ in range(5):
            left, top = x + rng.uniform(0, 2.0), rng.uniform(1.3, 2.9)
            goods = canvas.box(left, top, min(left + rng.uniform(0.2, 0.8), x + 2.5), 3.4)
            canvas.fill(goods, varied(rng, (0.5, 0.5, 0.5), 0.8))
    canvas.darken(canvas.box(0, 3.7, 12, 4), 0.3)
    canvas.grain(rng, 0.05)
    return canvas.finish(tiled=True)


def _crown(rng: Rng) -> Texture:
    """Draw leaves, 4 m by 4 m, with a ragged edge and transparent gaps."""
    canvas = Canvas(4, 4, density=48, color=varied(rng, (0.24, 0.36, 0.16), 0.2), paint=0.6)
    canvas.grain(rng, 0.22, slope=0.8)
    canvas.shade(1.25 - 0.14 * canvas.y)
    clumps = noise(rng, *canvas.shape, slope=1.3)
    canvas.shade(np.clip(1 + 0.15 * clumps, 0.5, 1.6))
    radius = np.hypot((canvas.x - 2) / 1.9, (canvas.y - 2) / 1.9)
    return canvas.finish(opaque=radius + 0.13 * clumps + 0.05 * noise(rng, *canvas.shape, slope=0.6) < 0.85)


def _pole(rng: Rng) -> Texture:
    canvas = Canvas(0.2, 4, density=40, color=(0.46, 0.47, 0.47), paint=1.0)
    canvas.shade(1.2 - 0.5 * np.abs(canvas.x / 0.2 - 0.35))
    canvas.grain(rng, 0.08)
    return canvas.finish(tiled=True)


def _sign(rng: Rng, *, kind: int) -> Texture:
    """Draw a road sign, 1 m by 1 m: two round, one triangular, three rectangular ones."""
    red, blue, green = (0.78, 0.12, 0.12), (0.10, 0.28, 0.66), (0.10, 0.42, 0.24)
    base = (WHITE, red, red, blue, green, (0.85, 0.72, 0.15))[kind]
    canvas = Canvas(1, 1, density=96, color=base)
    inside = canvas.box(0, 0, 1, 1)
    if kind < 2:
        inside = canvas.oval(0.5, 0.5, 0.5, 0.5)
        canvas.fill(inside & ~canvas.oval(0.5, 0.5, 0.40, 0.40), red)
        canvas.fill(canvas.box(0.2, 0.42, 0.8, 0.58), WHITE if kind else BLACK)
    elif kind == 2:
        inside = np.abs(canvas.x - 0.5) < canvas.y / 2
        canvas.fill((np.abs(canvas.x - 0.5) < (canvas.y - 0.25) / 2.2) & (canvas.y < 0.9), WHITE)
        canvas.fill(canvas.stroke(0.5, 0.5, 0.5, 0.78, width=0.1), BLACK)
    else:
        for line in range(3):
            canvas.fill(
                canvas.box(0.12, 0.18 + 0.25 * line, rng.uniform(0.5, 0.9), 0.30 + 0.25 * line), WHITE
            )
    canvas.grain(rng, 0.05)
    return canvas.finish(opaque=inside)


def _pickets(rng: Rng) -> Texture:
    canvas = Canvas(1.6, 1.6, density=48, color=varied(rng, (0.62, 0.60, 0.56), 0.2), paint=1.0)
    canvas.grain(rng, 0.10)
    canvas.darken(canvas.x % 0.4 > 0.2, 0.2)
    rails = canvas.box(0, 0.3, 1.6, 0.45) | canvas.box(0, 1.2, 1.6, 1.35)
    return canvas.finish(opaque=(canvas.x % 0.4 < 0.24) | rails, tiled=True)


def _ivy(rng: Rng) -> Texture:
    """Draw a green fence: ivy on wire, similar to a tree."""
    canvas = Canvas(4, 2, density=48, color=varied(rng, (0.26, 0.36, 0.20), 0.2))
    canvas.grain(rng, 0.22, slope=0.6)
    canvas.darken(canvas.x % 2 < 0.10, 0.35)
    canvas.darken(canvas.y < 0.08, 0.30)
    return canvas.finish(tiled=True)


def _planks(rng: Rng) -> Texture:
    """Draw a closed wooden fence."""
    canvas = Canvas(4, 2, density=48, color=varied(rng, (0.52, 0.42, 0.32), 0.2), paint=0.7)
    canvas.shade(rng.normal(1, 0.10, 20)[(canvas.x / 0.2).astype(int)])
    canvas.grain(rng, 0.08, slope=0.6)
    canvas.darken(canvas.x % 0.2 < 0.03, 0.5)
    return canvas.finish(tiled=True)


def _bin(rng: Rng) -> Texture:
    canvas = Canvas(0.6, 1.1, density=96, color=varied(rng, (0.34, 0.36, 0.34), 0.3), paint=0.8)
    canvas.fill(canvas.box(0, 0, 0.6, 0.12), BLACK)
    canvas.darken(canvas.x % 0.15 < 0.04, 0.25)
    canvas.fill(canvas.box(0.2, 0.35, 0.4, 0.6), WHITE)
    canvas.grain(rng, 0.08)
    return canvas.finish()


def _cabinet(rng: Rng) -> Texture:
    canvas = Canvas(1.2, 1.3, density=64, color=varied(rng, (0.55, 0.56, 0.50), 0.2))
    canvas.fill(canvas.box(0.58, 0, 0.62, 1.3), BLACK)
    for _ in range(5):
        x, y = rng.uniform(0, 0.9), rng.uniform(0.1, 0.9)
        canvas.fill(canvas.box(x, y, x + 0.25, y + 0.3), varied(rng, (0.5, 0.5, 0.5), 0.8))
    canvas.grain(rng, 0.08)
    return canvas.finish()


def _signal(rng: Rng) -> Texture:
    """Draw a traffic light."""
    canvas = Canvas(0.4, 1.0, density=96, color=BLACK)
    lit = int(rng.integers(0, 3))
    for k, color in enumerate(((0.95, 0.20, 0.15), (0.95, 0.70, 0.15), (0.25, 0.85, 0.45))):
        lens = canvas.oval(0.2, 0.2 + 0.3 * k, 0.12, 0.12)
        canvas.fill(lens, color)
        canvas.darken(lens, 0.0 if k == lit else 0.75)
    return canvas.finish()
