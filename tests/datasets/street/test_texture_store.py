"""Textures are found where they were drawn, and are averaged when they are far away."""

from __future__ import annotations

import numpy as np
import pytest

from warprefine.datasets.street.canvas import Canvas, Texture
from warprefine.datasets.street.texture_store import TextureStore


def texture(rng: np.random.Generator, *, tiled: bool) -> Texture:
    texels = rng.integers(0, 256, (8, 16, 4), dtype=np.uint8)
    return Texture(texels=texels, opaque=texels[..., 0] > 100, tiled=tiled)


def centres(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Return u and v of the centres of all texels, row by row."""
    u, v = np.meshgrid((np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h)
    return u.ravel().astype(np.float32), v.ravel().astype(np.float32)


@pytest.mark.parametrize("tiled", [True, False])
def test_the_centre_of_a_texel_has_its_colour(rng: np.random.Generator, tiled: bool):
    """Near by, a texture is sampled as it was drawn, also if others are stored before and after it."""
    textures = {name: texture(rng, tiled=tiled) for name in ("before", "wanted", "after")}
    store = TextureStore(textures)
    u, v = centres(8, 16)
    number = np.full(len(u), store.number("wanted"))

    found = store.look_up(number, u, v, np.zeros_like(u))

    assert np.allclose(found * 255, textures["wanted"].texels.reshape(-1, 4), atol=1e-3)
    assert np.array_equal(
        store.opaque(store.number("wanted"), u.astype(float), v.astype(float)),
        textures["wanted"].opaque.ravel(),
    )


def test_far_away_texels_are_averaged(rng: np.random.Generator):
    """Halved once, a texture shows the mean of each two by two texels."""
    drawn = texture(rng, tiled=True)
    u, v = centres(4, 8)
    means = drawn.texels.reshape(4, 2, 8, 2, 4).mean(axis=(1, 3))

    found = TextureStore({"wanted": drawn}).look_up(np.zeros(len(u), np.int64), u, v, np.ones_like(u))

    assert np.allclose(found * 255, means.reshape(-1, 4), atol=1e-3)


def test_a_tiled_texture_goes_on_at_its_edges(rng: np.random.Generator):
    """A tile further, a tiled texture looks the same; any other stays as it is at its edge."""
    tiled, single = texture(rng, tiled=True), texture(rng, tiled=False)
    store = TextureStore({"tiled": tiled, "single": single})
    u, v = centres(8, 16)
    level = np.zeros_like(u)

    def found(name: str, u: np.ndarray) -> np.ndarray:
        return store.look_up(np.full(len(u), store.number(name)), u, v, level)

    assert np.allclose(found("tiled", u + 1), found("tiled", u), atol=1e-3)
    assert np.allclose(found("single", u + 1), found("single", np.ones_like(u)), atol=1e-6)


def test_textures_with_holes_are_marked(rng: np.random.Generator):
    """Only textures with holes need a look-up of opacity."""
    canvas = Canvas(1.0, 1.0, density=8, color=(0.5, 0.5, 0.5))

    store = TextureStore({"closed": canvas.finish(), "open": texture(rng, tiled=False)})

    assert store.has_holes == [False, True]
