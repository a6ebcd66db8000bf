"""Lay out the street and its traffic block by block, each block from its own seed.

A block depends only on the seed and its number, and all motion has a closed form. So a frame is the
same whatever the length of the scene and whichever frames were rendered before. `hand` is 1 for the
right side of the street and -1 for the left one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from warprefine.core.tensors import VOID
from warprefine.datasets.street.camera import lowest_slope
from warprefine.datasets.street.classes import STREET_CLASSES
from warprefine.datasets.street.movers import car, cyclist_from_behind, cyclist_from_the_side, person
from warprefine.datasets.street.planes import ORIGIN, Anchor, Material, Motion, Plane, placed
from warprefine.datasets.street.render import DRAWN_WITHIN
from warprefine.datasets.street.roadside import fence, house, lamp, sign, traffic_light, tree, unlabelled
from warprefine.datasets.street.shapes import Pair, floor, front, side

Rng = np.random.Generator

LANE = 1.6
"""Metres from the middle of the street to the middle of a lane."""

_BLOCK = 24.0  # metres of street
_ROAD = 5.2  # metres from the middle of the street to the kerb
_KERB = 0.12  # metres from the road up to the pavement
_PARKED = 4.15  # metres from the middle of the street to that of a parked car
_FACES = 8.6  # metres from the middle of the street to houses and fences
_WIDE = 80.0  # metres to either side that the ground extends
_CROSSINGS_EVERY = 4  # blocks
_FASTEST_CYCLIST = 0.6  # of the camera's speed
_SKY = 2000.0  # metres; as good as infinitely far


@dataclass(frozen=True, kw_only=True)
class Style:
    """Speeds and crossings of one scene.

    Args:
        speed: Speed of the camera, in metres per frame.
        traffic: Speed of the cars in the left lane, in metres per frame; negative if towards the camera.
        first_crossing: Number of the first block that is a crossing.
    """

    speed: float
    traffic: float
    first_crossing: int

    def start(self, z: float, velocity: float) -> float:
        """Return the z at frame 0 of an object that the camera meets at z."""
        return z - velocity * z / self.speed


def draw_style(rng: Rng) -> Style:
    """Draw the style of a scene; at 15 frames per second the camera moves at 17 to 26 km/h."""
    speed = rng.uniform(0.32, 0.48)
    overtaking, oncoming = speed * rng.uniform(1.4, 1.8), -rng.uniform(0.25, 0.45)
    traffic = overtaking if rng.random() < 0.4 else oncoming
    return Style(speed=speed, traffic=traffic, first_crossing=int(rng.integers(1, _CROSSINGS_EVERY)))


def lay_out(seed: int, style: Style, *, length: int, aspect: float) -> list[Plane]:
    """Build all planes that may be visible in the first `length` frames; `aspect` is h / w of the picture."""
    planes = [*_far_away(), _bonnet(aspect), *_cars_ahead(np.random.default_rng([seed, 1]), style)]
    travelled = style.speed * length
    for along in _blocks(travelled + DRAWN_WITHIN):
        rng = np.random.default_rng([seed, 2, round(along[1])])
        if (round(along[0] / _BLOCK) - style.first_crossing) % _CROSSINGS_EVERY == 0:
            planes += _crossing(rng, style, along)
        else:
            planes += _ordinary_block(rng, style, along)
    # Objects that move with the camera are visible long before it meets them.
    for along in _blocks(travelled + DRAWN_WITHIN / (1 - _FASTEST_CYCLIST)):
        planes += _along_the_street(np.random.default_rng([seed, 3, round(along[1])]), style, along)
    return planes


def _blocks(end: float) -> list[Pair]:
    """Return start and end of every block, from the one behind the camera at frame 0 on."""
    return [(k * _BLOCK, (k + 1) * _BLOCK) for k in range(-1, math.ceil(end / _BLOCK))]


def _far_away() -> list[Plane]:
    """Build sky, skyline and treeline, whose textures have the horizon in the middle."""
    planes = []
    for texture, name, height, share in (
        ("sky", "sky", 1.6, 1.0),
        ("skyline", "building", 0.18, 0.95),
        ("treeline", "tree", 0.18, 0.9),
    ):
        material = Material(texture=texture, label=STREET_CLASSES.position(name))
        size = (3.2 * _SKY, height * _SKY)
        planes.append(front(0.0, height / 2 * _SKY, size=size, z=share * _SKY, material=material))
    return [replace(plane, anchor=Anchor.EYE) for plane in planes]


def _bonnet(aspect: float) -> Plane:
    """Build the front of the ego car along the lower edge of the picture; it belongs to no class."""
    depth = 0.8
    lower_edge = depth * lowest_slope(aspect)
    material = Material(texture="bonnet", label=VOID)
    plane = front(0.0, 0.05 * aspect - lower_edge, size=(1.1, 0.25), z=depth, material=material)
    return replace(plane, anchor=Anchor.CAMERA)


def _cars_ahead(rng: Rng, style: Style) -> list[Plane]:
    """Build up to two cars that drive ahead of the camera at varying distance."""
    planes = []
    distance = rng.uniform(9, 16)
    for _ in range(int(rng.integers(0, 3))):
        sway = (0.1, 0.0, rng.uniform(1.0, 2.5))
        drift = Motion(sway=sway, rate=rng.uniform(0.08, 0.16), phase=rng.uniform(0, 2 * math.pi))
        ahead = [replace(plane, motion=drift) for plane in car(rng)]
        planes += placed(ahead, at=(LANE, 0.0, distance), velocity=(0.0, 0.0, style.speed))
        distance += rng.uniform(11, 18)
    return planes


def _along_the_street(rng: Rng, style: Style, along: Pair) -> list[Plane]:
    """Build what the camera meets in a block: cars in the left lane, a cyclist, people on the pavement."""
    planes = []
    turn = 0.0 if style.traffic > 0 else math.pi
    for half in (along[0], along[0] + _BLOCK / 2):
        other, z = car(rng), style.start(half + rng.uniform(3, 9), style.traffic)
        if rng.random() < 0.5:
            planes += placed(other, at=(-LANE, 0.0, z), turn=turn, velocity=(0.0, 0.0, style.traffic))
    if rng.random() < 0.6:
        pace = style.speed * rng.uniform(0.4, _FASTEST_CYCLIST)
        place = (2.95, 0.0, style.start(rng.uniform(*along), pace))
        planes += placed(cyclist_from_behind(rng), at=place, velocity=(0.0, 0.0, pace))
    for _ in range(int(rng.integers(2, 8))):
        pace = float(rng.choice([-0.09, 0.0, 0.08]))
        x, z = rng.choice([-1, 1]) * rng.uniform(5.9, 8.0), style.start(rng.uniform(*along), pace)
        pedestrian = person(rng, swing=0.16 if pace else 0.0, away=pace > 0)
        planes += placed(pedestrian, at=(x, -_KERB, z), velocity=(0.0, 0.0, pace))
    return planes


def _ordinary_block(rng: Rng, style: Style, along: Pair) -> list[Plane]:
    planes = _roadway(along)
    for hand in (1, -1):
        planes += _pavement(along, hand)
        planes += _frontage(rng, along, hand)
        planes += _furniture(rng, along, hand)
        planes += _parked(rng, along, hand)
    if rng.random() < 0.6:
        z, velocity = rng.uniform(*along), 0.10 * rng.choice([-1, 1])
        planes += _across(rng, person(rng, swing=0.5), style, z=z, velocity=velocity)
    return planes


def _crossing(rng: Rng, style: Style, along: Pair) -> list[Plane]:
    """Build a crossing: a wide road from left to right with lights, a zebra crossing and traffic."""
    near, far = along
    start, end = near + 6, far - 6
    road = STREET_CLASSES.position("road")
    across = Material(texture="asphalt", label=road, repeats=(2 * _WIDE / 12, (end - start) / 12))
    zebra = Material(texture="zebra", label=road)
    planes = [
        floor(0.0, 0.0, along=(start, end), width=2 * _WIDE, material=across),
        floor(0.0, 0.004, along=(near + 2, near + 5), width=2 * _ROAD, material=zebra),
        *_roadway((near, start)),
        *_roadway((end, far)),
    ]
    for hand in (1, -1):
        planes += _pavement((near, start), hand) + _pavement((end, far), hand)
        planes += placed(traffic_light(rng), at=(hand * 5.7, -_KERB, near + 5.5))
        # For hand 1 cars come from the left, in the nearer lane.
        turned = placed(car(rng), at=ORIGIN, turn=hand * math.pi / 2)
        z, velocity = (start + end) / 2 - 2.5 * hand, hand * rng.uniform(0.40, 0.60)
        planes += _across(rng, turned, style, z=z, velocity=velocity)
    direction = int(rng.choice([-1, 1]))
    rider = cyclist_from_the_side(rng, direction=direction)
    planes += _across(rng, rider, style, z=start + 0.8, velocity=direction * rng.uniform(0.2, 0.3))
    walker, velocity = person(rng, swing=0.5), 0.09 * rng.choice([-1, 1])
    return planes + _across(rng, walker, style, z=near + 3.5, velocity=velocity)


def _across(rng: Rng, planes: list[Plane], style: Style, *, z: float, velocity: float) -> list[Plane]:
    """Move planes across the street at z, on the road when the camera is 14 to 30 metres before it."""
    frame = (z - rng.uniform(14, 30)) / style.speed
    x = rng.uniform(-1.5, 2.5) - velocity * frame
    return placed(planes, at=(x, 0.0, z), velocity=(velocity, 0.0, 0.0))


def _roadway(along: Pair) -> list[Plane]:
    length, road = along[1] - along[0], STREET_CLASSES.position("road")
    asphalt = Material(texture="asphalt", label=road, repeats=(2 * _ROAD / 12, length / 12))
    dashes = Material(texture="dashes", label=road, repeats=(1.0, length / 6))
    return [
        floor(0.0, 0.0, along=along, width=2 * _ROAD, material=asphalt),
        floor(0.0, 0.004, along=along, width=0.15, material=dashes),
    ]


def _pavement(along: Pair, hand: int) -> list[Plane]:
    """Build the pavement and its kerb."""
    length, pavement = along[1] - along[0], STREET_CLASSES.position("pavement")
    paving = Material(texture="paving", label=pavement, repeats=(_WIDE / 6, length / 6))
    kerb = Material(texture="concrete", label=pavement, repeats=(length / 4, _KERB / 4))
    return [
        floor(hand * (_ROAD + _WIDE / 2), _KERB, along=along, width=_WIDE, material=paving),
        side(hand * _ROAD, _KERB, along=along, height=_KERB, faces=-hand, material=kerb),
    ]


def _frontage(rng: Rng, along: Pair, hand: int) -> list[Plane]:
    """Build one side of a block: houses, and fences in front of trees and more houses."""
    planes = []
    z, far = along
    while z < far:
        length = min(float(rng.choice([8, 12, 16])), far - z)
        if rng.random() < 0.6:
            x = _FACES + float(rng.choice([0.0, 0.0, 0.6, 1.5]))
        else:
            x = _FACES + rng.uniform(7, 12)
            planes += placed(fence(rng, length=length, faces=-hand), at=(hand * _FACES, -_KERB, z))
            place = (hand * (_FACES + rng.uniform(1.5, 5)), -_KERB, z + rng.uniform(1, length - 1))
            planes += placed(tree(rng), at=place)
        planes += placed(house(rng, length=length, faces=-hand), at=(hand * x, 0.0, z))
        z += length
    return planes


def _furniture(rng: Rng, along: Pair, hand: int) -> list[Plane]:
    """Build trees, lamps, signs and unlabelled objects on the pavement."""
    planes = []
    for slot in range(3):
        z = along[0] + 8 * slot + rng.uniform(0, 6)
        if rng.random() < 0.4:
            planes += placed(tree(rng), at=(hand * rng.uniform(6.2, 7.0), -_KERB, z))
        if rng.random() < 0.35:
            planes += placed(unlabelled(rng), at=(hand * rng.uniform(6.0, 8.0), -_KERB, z + 1.5))
        if rng.random() < 0.4:
            planes += placed(sign(rng), at=(hand * 5.6, -_KERB, z + rng.uniform(0.5, 2)))
        if rng.random() < 0.35:
            planes += placed(lamp(rng, towards=-hand), at=(hand * 5.7, -_KERB, z - rng.uniform(0, 1)))
    return planes


def _parked(rng: Rng, along: Pair, hand: int) -> list[Plane]:
    planes = []
    for slot in range(4):
        if rng.random() < 0.2:
            place = (hand * _PARKED, 0.0, along[0] + 6 * slot + rng.uniform(2.6, 3.4))
            turn = rng.normal(0, 0.03) + (0.0 if hand > 0 else math.pi)
            planes += placed(car(rng), at=place, turn=turn)
    return planes
