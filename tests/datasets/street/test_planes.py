"""Planes follow their motion, and cameras project them there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warprefine.datasets.street.camera import Camera
from warprefine.datasets.street.canvas import Canvas
from warprefine.datasets.street.planes import Anchor, Material, Motion, Plane, PlaneTable, placed
from warprefine.datasets.street.render import project_planes, surfaces_at, surfaces_on_grid
from warprefine.datasets.street.texture_store import TextureStore

MATERIAL = Material(texture="plain", label=3)
angles = st.floats(-3, 3)
frames = st.integers(0, 500)


@pytest.fixture(scope="module")
def store() -> TextureStore:
    return TextureStore({"plain": Canvas(1.0, 1.0, density=8, color=(0.5, 0.5, 0.5)).finish()})


def board(x: float = 0.0, z: float = 10.0, **settings: object) -> Plane:
    """Stand a board of 2 m by 1 m up, at the height of the camera's eye."""
    corner, across, down = (x - 1.0, -2.0, z), (2.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    return Plane(corner=corner, across=across, down=down, material=MATERIAL, **settings)


@given(swing=angles, rate=angles, phase=angles, t=frames)
def test_what_swings_hangs_by_the_middle_of_its_upper_edge(
    store: TextureStore, swing: float, rate: float, phase: float, t: int
):
    """A swinging leg keeps its hip, its length and its right angles."""
    table = PlaneTable([board(motion=Motion(swing=swing, rate=rate, phase=phase))], store)

    (corner,), (across,), (down,) = table.pose(t)

    assert np.allclose(corner + across / 2, [0, -2, 10])
    assert math.isclose(np.linalg.norm(across), 2, rel_tol=1e-9)
    assert math.isclose(np.linalg.norm(down), 1, rel_tol=1e-9)
    assert abs(across @ down) < 1e-9


@given(turn=angles, t=frames)
def test_what_is_placed_goes_on_from_there(store: TextureStore, turn: float, t: int):
    """An object turns about its own place, and then moves at its velocity, in world coordinates."""
    (plane,) = placed([board(z=0.0)], at=(5.0, 0.0, 7.0), turn=turn, velocity=(0.1, 0.0, -0.2))

    (corner,), (across,), _ = PlaneTable([plane], store).pose(t)

    assert np.allclose(corner + across / 2, [5 + 0.1 * t, -2, 7 - 0.2 * t])
    assert math.isclose(np.linalg.norm(across), 2, rel_tol=1e-9)


def test_a_quarter_turn_takes_what_looks_ahead_to_the_right(store: TextureStore):
    """A car that is turned by 90 degrees heads along x."""
    (plane,) = placed([board(z=10.0)], at=(0.0, 0.0, 0.0), turn=math.pi / 2)

    (corner,), (across,), _ = PlaneTable([plane], store).pose(0)

    assert np.allclose(corner + across / 2, [10, -2, 0])


def test_the_nearer_of_two_boards_is_seen(store: TextureStore):
    """A board hides the one behind it, whichever was built first, on a grid and at single points."""
    camera = Camera(np.random.default_rng(0), h=96, w=160, speed=0.4, lane=0.0)
    table = PlaneTable([board(z=20.0), board(z=10.0), board(z=30.0)], store)
    view = project_planes(table, camera, 0, h=96, w=160)
    x, y, depth = view.to_picture[1] @ [0.5, 0.5, 1]
    place = np.array([x / depth]), np.array([y / depth])

    assert surfaces_on_grid(view, *place).tolist() == [[1]]
    assert surfaces_at(view, *place).tolist() == [1]
    assert math.isclose(depth, 10, rel_tol=0.01)


def test_a_board_is_seen_from_its_front_only(store: TextureStore):
    """Turned round, a board is not drawn."""
    camera = Camera(np.random.default_rng(0), h=96, w=160, speed=0.4, lane=0.0)
    away = placed([board(z=0.0)], at=(0.0, 0.0, 10.0), turn=math.pi)

    view = project_planes(PlaneTable([board(), *away], store), camera, 0, h=96, w=160)

    assert view.drawn.tolist() == [0]


@pytest.mark.parametrize(
    ("anchor", "stays"), [(Anchor.WORLD, False), (Anchor.EYE, False), (Anchor.CAMERA, True)]
)
def test_only_the_bonnet_is_fixed_to_the_picture(store: TextureStore, anchor: Anchor, stays: bool):
    """What goes along with the camera without turning moves in the picture when the camera yaws."""
    camera = Camera(np.random.default_rng(0), h=96, w=160, speed=0.4, lane=0.0)
    table = PlaneTable([board(anchor=anchor)], store)

    first, later = (project_planes(table, camera, t, h=96, w=160).to_picture for t in (0, 9))

    assert np.allclose(first, later) == stays
