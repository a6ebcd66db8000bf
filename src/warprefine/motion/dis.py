"""Estimate motion by DIS optical flow (Kroeger et al., ECCV 2016): no weights, milliseconds on a CPU."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Frames

Preset = Literal["ultrafast", "fast", "medium"]
_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
SMALLEST_SIDE = 32
"""DIS ends its search on a picture of a quarter of the size, in patches of 8 pixels; OpenCV crashes
where that picture is smaller than a patch."""


class DISFlow:
    """OpenCV's DIS flow behind the `MotionEstimator` protocol."""

    def __init__(self, preset: Preset = "medium") -> None:
        self.name = f"dis-{preset}"
        self._flow = cv2.DISOpticalFlow.create(_PRESETS[preset])

    def __call__(self, frame_b: Frames, frame_a: Frames) -> Flow:
        """Return `flow_ba`, (b, 2, h, w) in pixels.

        Raises:
            FrameError: A side is below 32 pixels.
        """
        h, w = frame_b.shape[-2:]
        if min(h, w) < SMALLEST_SIDE:
            raise FrameError(
                f"frames are {h} x {w} pixels (h x w); optical flow needs at least {SMALLEST_SIDE} each way; "
                "use larger frames"
            )
        flows = [
            self._flow.calc(_grey(b), _grey(a), None)
            for b, a in zip(frame_b.cpu().numpy(), frame_a.cpu().numpy(), strict=True)
        ]
        stacked = np.stack(flows).astype(np.float32, copy=False).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(stacked)).to(frame_b.device)


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(frame.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    return grey
