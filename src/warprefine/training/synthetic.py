"""Make a labelled clip of one labelled picture: the camera moves, things move, and the truth is known.

A refiner learns from frames and their neighbours, which single labelled pictures do not have. What is
seen in such a clip is made up, but its labels, its motion and what comes into view are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Frames, LabelMaps, Masks
from warprefine.training.optimisation import Settings
from warprefine.training.synthetic_layers import Array, Layers, compose, take_apart
from warprefine.training.synthetic_things import Picture

_UPRIGHT = 0.25
"""Cameras and things move along the ground: upwards and downwards by this share of the way sideways."""
_CENTRE = 0.1
"""The point that a zoom leaves where it is lies within this share of the size from the middle."""


class SyntheticMotion(Settings):
    """How far things and the camera may move between frames; each clip draws its own speeds, either way."""

    zoom: float = Field(0.03, ge=0)
    """Largest zoom of the background per frame."""
    shift: float = Field(0.015, ge=0)
    """Largest shift of the background per frame, as a share of the picture's width."""
    rotation: float = Field(0.3, ge=0)
    """Largest rotation of the camera per frame, in degrees."""
    parallax: float = Field(2.5, ge=1)
    """How many times faster than the background the nearest things zoom and shift."""
    moving: float = Field(0.5, ge=0, le=1)
    """Share of things that have a motion of their own, too."""
    own_shift: float = Field(0.02, ge=0)
    """Largest shift of a thing of its own per frame, as a share of the picture's width."""
    jitter: float = Field(0.1, ge=0)
    """How far motion is ahead or behind at each frame, at most, in frames."""
    things: int = Field(12, ge=0, le=254)
    """How many things are cut out at most, the largest."""
    stuff: float = Field(0.04, gt=0, lt=1)
    """Pieces that reach the border and cover more than this share of the picture are background."""
    gain: float = Field(0.02, ge=0)
    """Largest change of brightness per frame, as a share."""
    noise: float = Field(1.5, ge=0)
    """Standard deviation of the noise, in grey levels of 0..255."""
    blur: float = Field(0.2, ge=0, le=1)
    """Share of frames that are a little out of focus."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticClip:
    """A clip that begins with a real picture; one tensor per frame, b = 1.

    Beyond the border of the real picture, frames and labels are mirrored.

    Args:
        frames: The first is the picture itself, untouched.
        labels: The first are those made by hand; VOID moves like any class.
        flows: flows[i] lives on frame 0 and points into frame i.
        visible: What of frame 0 is seen in frame i, too: neither hidden nor outside.
    """

    frames: tuple[Frames, ...]
    labels: tuple[LabelMaps, ...]
    flows: tuple[Flow, ...]
    visible: tuple[Masks, ...]


def synthetic_clip(
    frame: Frames, labels: LabelMaps, *, length: int, motion: SyntheticMotion, rng: np.random.Generator
) -> SyntheticClip:
    """Film one labelled picture as if it were a scene of flat things in front of a flat background.

    Args:
        frame: One frame, b = 1.
        labels: Its label map.

    Raises:
        FrameError: `length` is below 1.
    """
    if length < 1:
        raise FrameError(f"a clip of {length} frames; expected at least one")
    image = np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy())
    label_map = np.ascontiguousarray(labels[0].numpy())
    layers = take_apart(image, label_map, stuff=motion.stuff, most=motion.things)
    placements = _placements(layers, length - 1, motion, rng)
    gains = 1 + _paths(np.array([motion.gain]), length - 1, motion, rng)[:, 0]
    frames, label_maps = [frame], [labels]
    flows = [torch.zeros((1, 2, *labels.shape[1:]))]
    visible = [torch.ones(labels.shape, dtype=torch.bool)]
    for placement, gain in zip(placements, gains, strict=True):
        picture, moved_labels, owner = compose(layers, placement)
        filmed = _film(picture, float(gain), motion, rng)
        flow, seen = _truth(layers.owner, owner, placement)
        frames.append(torch.from_numpy(filmed).permute(2, 0, 1)[None].contiguous())
        label_maps.append(torch.from_numpy(moved_labels)[None])
        flows.append(torch.from_numpy(flow)[None])
        visible.append(torch.from_numpy(seen)[None])
    return SyntheticClip(
        frames=tuple(frames), labels=tuple(label_maps), flows=tuple(flows), visible=tuple(visible)
    )


def _placements(layers: Layers, count: int, motion: SyntheticMotion, rng: np.random.Generator) -> Array:
    """Return where n layers are at frames 1 to `count`, (count, n, 3, 3): maps of points (x, y, 1).

    All layers turn alike, as the camera does; zoom and shift grow with nearness.
    """
    h, w = layers.labels.shape
    nearness = np.array([0, *(cutout.nearness for cutout in layers.cutouts)])
    parallax = 1 + (motion.parallax - 1) * nearness
    centre_x, centre_y = (np.array([w, h]) - 1) / 2 + _CENTRE * np.array([w, h]) * rng.uniform(-1, 1, 2)
    sideways = np.array([w, _UPRIGHT * w])
    largest = np.array([motion.zoom, np.deg2rad(motion.rotation), *motion.shift * sideways])
    zoom, turn, shift_x, shift_y = _paths(largest, count, motion, rng).T[:, :, None]
    own = _paths(np.tile(motion.own_shift * sideways, len(nearness)), count, motion, rng)
    moving = _on_the_move(len(nearness), motion, rng)
    own_x, own_y = own.reshape(count, len(nearness), 2).transpose(2, 0, 1) * moving
    scale = np.exp(zoom * parallax)
    a, b = scale * np.cos(turn), scale * np.sin(turn)
    placements = np.zeros((count, len(nearness), 3, 3))
    placements[..., 0, 0], placements[..., 0, 1] = a, -b
    placements[..., 1, 0], placements[..., 1, 1] = b, a
    placements[..., 0, 2] = centre_x - a * centre_x + b * centre_y + shift_x * parallax + own_x
    placements[..., 1, 2] = centre_y - b * centre_x - a * centre_y + shift_y * parallax + own_y
    placements[..., 2, 2] = 1
    return placements


def _paths(largest: Array, count: int, motion: SyntheticMotion, rng: np.random.Generator) -> Array:
    """Return how far n quantities have gone at frames 1 to `count`, (count, n), at speeds up to `largest`."""
    speed = largest * rng.uniform(-1, 1, len(largest))
    time = np.arange(1, count + 1)[:, None] + motion.jitter * rng.uniform(-1, 1, (count, len(largest)))
    return np.asarray(time * speed)


def _on_the_move(count: int, motion: SyntheticMotion, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which layers have a motion of their own; the first, the background, never has."""
    moving = rng.random(count) < motion.moving
    moving[0] = False
    return moving


def _film(
    picture: NDArray[np.float32], gain: float, motion: SyntheticMotion, rng: np.random.Generator
) -> Picture:
    """Take a picture with a real camera: exposure, focus and noise are never the same twice."""
    if rng.random() < motion.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.9)))
    noise = np.float32(motion.noise) * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.rint(picture * np.float32(gain) + noise).clip(0, 255).astype(np.uint8)


def _truth(
    owner: Picture, owner_now: Picture, placement: Array
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the flow from the picture to where its layers are now, (2, h, w), and what of it is seen."""
    h, w = owner.shape
    x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
    (xx, xy, x0), (yx, yy, y0) = placement.astype(np.float32)[:, :2].transpose(1, 2, 0)[..., owner]
    x_now, y_now = xx * x + xy * y + x0, yx * x + yy * y + y0
    inside = (x_now >= 0) & (x_now <= w - 1) & (y_now >= 0) & (y_now <= h - 1)
    row, column = (np.rint(places).astype(np.intp) for places in (y_now.clip(0, h - 1), x_now.clip(0, w - 1)))
    return np.stack([x_now - x, y_now - y]), inside & (owner_now[row, column] == owner)
