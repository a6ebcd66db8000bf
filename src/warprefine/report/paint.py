"""Render frames, label maps, errors and confidence as RGB pictures."""

from __future__ import annotations

from typing import TypeAlias

import matplotlib
import numpy as np
from jaxtyping import UInt8

from warprefine.core.classes import VOID_COLOR, ClassSet, Color
from warprefine.core.tensors import VOID, Confidence, Frames, LabelMaps

Picture: TypeAlias = UInt8[np.ndarray, "h w 3"]
"""RGB pixels."""

WRONG: Color = (204, 31, 54)
RIGHT: Color = (244, 245, 247)
UNKNOWN: Color = (158, 161, 166)
"""The colours of an error map: wrong, right, and no truth."""

_LABEL_OPACITY = 0.72
_FRAME_IN_ERRORS = 0.12  # just enough of the frame for orientation


def paint_frame(frame: Frames) -> Picture:
    """Return one frame as RGB pixels."""
    (pixels,) = frame
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def paint_labels(labels: LabelMaps, classes: ClassSet, *, frame: Frames | None = None) -> Picture:
    """Paint one label map in the colours of its classes, over the frame in grey if one is given.

    Example:
        >>> import torch
        >>> classes = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
        >>> paint_labels(torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8), classes).tolist()
        [[[128, 64, 128], [0, 0, 142], [0, 0, 0]]]
    """
    (positions,) = labels
    colors = np.full((256, 3), VOID_COLOR, np.uint8)
    colors[: len(classes)] = classes.colors
    painted = colors[positions.cpu().numpy()]
    return painted if frame is None else _blend(painted, _grey(frame), _LABEL_OPACITY)


def paint_errors(prediction: LabelMaps, truth: LabelMaps, *, frame: Frames | None = None) -> Picture:
    """Paint the errors of one prediction: red where wrong, pale where right, grey where the truth is VOID."""
    painted = np.array([RIGHT, WRONG, UNKNOWN], np.uint8)[error_map(prediction, truth)]
    return painted if frame is None else _blend(painted, _grey(frame), 1 - _FRAME_IN_ERRORS)


def error_map(prediction: LabelMaps, truth: LabelMaps) -> UInt8[np.ndarray, "h w"]:
    """Return 0 where one prediction is right, 1 where it is wrong, 2 where the truth is VOID.

    Example:
        >>> import torch
        >>> prediction, truth = torch.tensor([[[0, 0, 0]], [[0, 1, VOID]]], dtype=torch.uint8).split(1)
        >>> error_map(prediction, truth).tolist()
        [[0, 1, 2]]
    """
    (predicted,), (true,) = prediction.cpu().numpy(), truth.cpu().numpy()
    return np.where(true == VOID, 2, predicted != true).astype(np.uint8)


def paint_confidence(confidence: Confidence) -> Picture:
    """Paint one confidence map, 0..1, from dark to bright on the perceptually uniform viridis scale."""
    (values,) = confidence
    picture: Picture = confidence_colors()[(255 * values).round().cpu().numpy().astype(np.uint8)]
    return picture


def confidence_colors() -> UInt8[np.ndarray, "256 3"]:
    """Return the colours of confidence 0/255, 1/255, ..., 1."""
    colors = matplotlib.colormaps["viridis"](np.arange(256), bytes=True)
    return np.asarray(colors[:, :3], dtype=np.uint8)


def _grey(frame: Frames) -> Picture:
    luma = paint_frame(frame) @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    return np.repeat(luma.round().astype(np.uint8)[..., None], 3, axis=2)


def _blend(over: Picture, under: Picture, opacity: float) -> Picture:
    mixed = opacity * over.astype(np.float32) + (1 - opacity) * under.astype(np.float32)
    return mixed.round().astype(np.uint8)
