"""Synthetic clips from single labelled images: camera and things move, with exact labels and flow.

A refiner learns from frames and their neighbours, which single labelled images do not have. The content
of such a clip is synthetic, but its labels, flow and occlusions are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Frames, LabelMaps, Masks
from warprefine.recipe.synthetic import SyntheticMotion
from warprefine.training.synthetic.layers import Array, Layers, compose, split_layers
from warprefine.training.synthetic.things import Picture

_VERTICAL = 0.25
"""Cameras and things move along the ground: largest vertical motion as a share of the horizontal."""
_CENTRE = 0.1
"""The fixed point of a zoom lies within this share of the image size from the centre."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticClip:
    """A clip that begins with a real image; one tensor per frame, b = 1.

    Beyond the border of the real image, frames and labels are mirrored.

    Args:
        frames: The first is the image itself, unchanged.
        labels: The first are the labels of the image; VOID moves like any class.
        flows: flows[i] lives on frame 0 and points into frame i.
        visible: visible[i] marks the pixels of frame 0 that frame i shows, too: neither occluded nor outside.
    """

    frames: tuple[Frames, ...]
    labels: tuple[LabelMaps, ...]
    flows: tuple[Flow, ...]
    visible: tuple[Masks, ...]


def synthetic_clip(
    frame: Frames, labels: LabelMaps, *, length: int, motion: SyntheticMotion, rng: np.random.Generator
) -> SyntheticClip:
    """Render a clip of one labelled image, as a scene of flat things in front of a flat background.

    Args:
        frame: One frame, b = 1.
        labels: Its label map.
        length: Number of frames, with the image itself.

    Raises:
        FrameError: `length` is below 1.

    Example:
        >>> frame = torch.zeros(1, 3, 32, 48, dtype=torch.uint8)
        >>> labels = torch.zeros(1, 32, 48, dtype=torch.uint8)
        >>> labels[:, 12:20, 20:28] = 1  # a thing of 8 x 8 pixels
        >>> rng = np.random.default_rng(0)
        >>> clip = synthetic_clip(frame, labels, length=3, motion=SyntheticMotion(), rng=rng)
        >>> len(clip.frames), clip.flows[2].shape
        (3, torch.Size([1, 2, 32, 48]))
    """
    if length < 1:
        raise FrameError(f"a clip of {length} frames; expected at least one")
    image = np.ascontiguousarray(frame[0].permute(1, 2, 0).numpy())
    label_map = np.ascontiguousarray(labels[0].numpy())
    layers = split_layers(image, label_map, stuff=motion.stuff, most=motion.things)
    placements = _draw_placements(layers, length - 1, motion, rng)
    gains = 1 + _draw_displacements(np.array([motion.gain]), length - 1, motion, rng)[:, 0]
    frames, label_maps = [frame], [labels]
    flows = [torch.zeros((1, 2, *labels.shape[1:]))]
    visible = [torch.ones(labels.shape, dtype=torch.bool)]
    for placement, gain in zip(placements, gains, strict=True):
        picture, moved_labels, owner = compose(layers, placement)
        exposed = _expose(picture, float(gain), motion, rng)
        flow, in_view = _flow_and_visibility(layers.owner, owner, placement)
        frames.append(torch.from_numpy(exposed).permute(2, 0, 1)[None].contiguous())
        label_maps.append(torch.from_numpy(moved_labels)[None])
        flows.append(torch.from_numpy(flow)[None])
        visible.append(torch.from_numpy(in_view)[None])
    return SyntheticClip(
        frames=tuple(frames), labels=tuple(label_maps), flows=tuple(flows), visible=tuple(visible)
    )


def _draw_placements(layers: Layers, count: int, motion: SyntheticMotion, rng: np.random.Generator) -> Array:
    """Draw the affine maps of n layers at frames 1 to `count`, (count, n, 3, 3), of points (x, y, 1).

    All layers rotate by the same angle, with the camera; zoom and shift grow with nearness.
    """
    h, w = layers.labels.shape
    nearness = np.array([0, *(cutout.nearness for cutout in layers.cutouts)])
    parallax = 1 + (motion.parallax - 1) * nearness
    centre_x, centre_y = (np.array([w, h]) - 1) / 2 + _CENTRE * np.array([w, h]) * rng.uniform(-1, 1, 2)
    extent = np.array([w, _VERTICAL * w])
    largest = np.array([motion.zoom, np.deg2rad(motion.rotation), *motion.shift * extent])
    zoom, angle, shift_x, shift_y = _draw_displacements(largest, count, motion, rng).T[:, :, None]
    own = _draw_displacements(np.tile(motion.own_shift * extent, len(nearness)), count, motion, rng)
    moving = _draw_moving(len(nearness), motion, rng)
    own_x, own_y = own.reshape(count, len(nearness), 2).transpose(2, 0, 1) * moving
    scale = np.exp(zoom * parallax)
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    placements = np.zeros((count, len(nearness), 3, 3))
    placements[..., 0, 0], placements[..., 0, 1] = a, -b
    placements[..., 1, 0], placements[..., 1, 1] = b, a
    placements[..., 0, 2] = centre_x - a * centre_x + b * centre_y + shift_x * parallax + own_x
    placements[..., 1, 2] = centre_y - b * centre_x - a * centre_y + shift_y * parallax + own_y
    placements[..., 2, 2] = 1
    return placements


def _draw_displacements(
    largest: Array, count: int, motion: SyntheticMotion, rng: np.random.Generator
) -> Array:
    """Draw displacements of n quantities at frames 1 to `count`, (count, n), with speeds up to `largest`."""
    speed = largest * rng.uniform(-1, 1, len(largest))
    time = np.arange(1, count + 1)[:, None] + motion.jitter * rng.uniform(-1, 1, (count, len(largest)))
    return np.asarray(time * speed)


def _draw_moving(count: int, motion: SyntheticMotion, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which layers move on their own; the first, the background, never does."""
    moving = rng.random(count) < motion.moving
    moving[0] = False
    return moving


def _expose(
    picture: NDArray[np.float32], gain: float, motion: SyntheticMotion, rng: np.random.Generator
) -> Picture:
    """Simulate a camera: exposure, focus and noise, which differ from frame to frame."""
    if rng.random() < motion.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.9)))
    noise = np.float32(motion.noise) * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.rint(picture * np.float32(gain) + noise).clip(0, 255).astype(np.uint8)


def _flow_and_visibility(
    owner: Picture, new_owner: Picture, placement: Array
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the flow from the image to its layers' new places, (2, h, w), and the mask of visible pixels."""
    h, w = owner.shape
    x, y = np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)[:, None]
    (xx, xy, x0), (yx, yy, y0) = placement.astype(np.float32)[:, :2].transpose(1, 2, 0)[..., owner]
    new_x, new_y = xx * x + xy * y + x0, yx * x + yy * y + y0
    inside = (new_x >= 0) & (new_x <= w - 1) & (new_y >= 0) & (new_y <= h - 1)
    row, column = (np.rint(places).astype(np.intp) for places in (new_y.clip(0, h - 1), new_x.clip(0, w - 1)))
    return np.stack([new_x - x, new_y - y]), inside & (new_owner[row, column] == owner)
