"""Read ground-truth motion: KITTI flow, and disparity of KITTI and Middlebury."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.errors import FrameError
from warprefine.core.tensors import Flow, Masks
from warprefine.io.foreign import DECODER_ERRORS, reason
from warprefine.io.pictures import with_picture

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
_KITTI_ZERO = 1 << 15
_KITTI_STEPS_PER_PX = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredFlow:
    """Ground-truth flow, and the mask of pixels where it is known; elsewhere the flow is 0."""

    flow: Flow
    known: Masks


def read_kitti_flow(path: Path) -> MeasuredFlow:
    """Read flow from a 16-bit PNG of KITTI (Menze and Geiger, CVPR 2015), in steps of 1/64 pixel.

    Red holds x and green y, both with 2^15 for zero; blue is not 0 where the motion is known.

    Raises:
        FrameError: The file is missing, damaged or not a PNG of three channels of 16 bits.
    """
    pixels = _png(path)
    if pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise FrameError(
            f"{path} holds {_describe(pixels)}; expected KITTI flow, 3 channels of 16 bits; "
            f"name the flow file instead of a frame or a disparity"
        )
    blue, green, red = np.moveaxis(pixels, 2, 0).astype(np.float32)
    flow = (np.stack((red, green)) - np.float32(_KITTI_ZERO)) / np.float32(_KITTI_STEPS_PER_PX)
    return _measured(flow, known=blue > 0)


def read_disparity(path: Path, *, steps_per_px: int) -> MeasuredFlow:
    """Read the disparity of a left image as its flow into the right one, which is (-disparity, 0).

    Args:
        steps_per_px: How many steps of the file make one pixel: 256 for KITTI, 1 for Middlebury at
            full size. A disparity of 0 means unknown.

    Raises:
        FrameError: The file is missing, damaged or not a grey PNG.
    """
    pixels = _png(path)
    if pixels.ndim != 2:
        raise FrameError(
            f"{path} holds {_describe(pixels)}; expected a disparity, 1 channel; "
            f"name the disparity file instead of a frame or a flow"
        )
    leftwards = -pixels.astype(np.float32) / steps_per_px
    return _measured(np.stack((leftwards, np.zeros_like(leftwards))), known=leftwards < 0)


def _measured(flow: NDArray[np.float32], *, known: NDArray[np.bool_]) -> MeasuredFlow:
    return MeasuredFlow(
        flow=torch.from_numpy(np.where(known, flow, np.float32(0)))[None],
        known=torch.from_numpy(known)[None],
    )


def _png(path: Path) -> Pixels:
    """Return the values of a PNG, (h, w) or (h, w, c) in blue, green, red.

    OpenCV decodes them, because Pillow reduces 16-bit colours to 8 bits. Pillow checks for damage first,
    because OpenCV reports none.
    """
    with_picture(path, lambda picture: picture.verify(), error_class=FrameError, formats=("PNG",))
    try:
        pixels: Pixels | None = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, *DECODER_ERRORS) as error:
        raise FrameError(f"cannot read {path}: {reason(error)}; copy it again") from error
    if pixels is None:
        raise FrameError(f"cannot read {path}: its pixels cannot be decoded; copy it again")
    return pixels


def _describe(pixels: Pixels) -> str:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    return f"{channels} channel{'s' if channels > 1 else ''} of {8 * pixels.itemsize} bits"
