"""Render a procedural street: frames with exact labels, optical flow and occlusion."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Frames, LabelMaps, Masks
from warprefine.datasets.street.world import World

_SMALLEST = 32  # pixels


@dataclass(frozen=True, kw_only=True)
class StreetScene:
    """Synthetic drive down a street with exact ground truth; the same seed gives the same street.

    The camera moves forwards and sways; cars, cyclists and people move independently; objects enter,
    leave, are occluded and reappear. Bins, switch cabinets and the bonnet of the ego car are VOID.
    Frames can be rendered in any order. Colours are filtered, noisy and change with the light;
    labels, flow and occlusion are those of the point of the scene at the centre of each pixel.

    Raises:
        FrameError: A side is below 32 pixels, the length is below 1, or the seed is negative.

    Example:
        >>> scene = StreetScene(seed=0, h=192, w=320, length=21)  # doctest: +SKIP
        >>> scene.frame(10).shape, scene.labels(10).shape, scene.flow(11, 10).shape  # doctest: +SKIP
        (torch.Size([1, 3, 192, 320]), torch.Size([1, 192, 320]), torch.Size([1, 2, 192, 320]))
    """

    seed: int
    h: int = 192
    w: int = 320
    length: int = 21
    _world: World = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if min(self.h, self.w) < _SMALLEST:
            raise FrameError(
                f"a street of {self.h} x {self.w} pixels (h x w); expected at least {_SMALLEST} on each side"
            )
        if self.length < 1:
            raise FrameError(f"a street of {self.length} frames; expected at least one")
        if self.seed < 0:
            raise FrameError(f"a street of seed {self.seed}; expected a whole number from 0 up")
        object.__setattr__(self, "_world", World(self.seed, h=self.h, w=self.w, length=self.length))

    def frame(self, t: int) -> Frames:
        """Return frame t, (1, 3, h, w)."""
        pixels = self._world.render(self._checked(t))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()

    def labels(self, t: int) -> LabelMaps:
        """Return the label map of frame t, (1, h, w): positions in `STREET_CLASSES`, or VOID."""
        return torch.from_numpy(self._world.labels(self._checked(t)))[None]

    def flow(self, b: int, a: int) -> Flow:
        """Return flow_ba, (1, 2, h, w): it lives on frame b and points into frame a, (x, y) in pixels.

        The point at pixel p of b is at p + flow_ba[p] in a, visible or not; that of a point behind the
        camera of a lies far outside the picture.
        """
        x, y = self._world.correspondences(self._checked(b), self._checked(a))
        flow = np.stack([x - np.arange(self.w), y - np.arange(self.h)[:, None]])
        return torch.from_numpy(flow.astype(np.float32))[None]

    def occluded(self, b: int, a: int) -> Masks:
        """Mark the pixels of frame b, (1, h, w), whose point is outside frame a or hidden there."""
        return torch.from_numpy(self._world.occluded(self._checked(b), self._checked(a)))[None]

    def _checked(self, t: int) -> int:
        if not 0 <= t < self.length:
            raise FrameError(
                f"frame {t} of a street of {self.length} frames; expected 0 to {self.length - 1}"
            )
        return t
