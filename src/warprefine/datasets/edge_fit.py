"""Find label maps that fit the frame before or after their own better, such as those numbered from 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from warprefine.core.classes import ClassSet
from warprefine.core.errors import WarpRefineError, shorten
from warprefine.core.tensors import Frames, LabelMaps
from warprefine.core.video import Video
from warprefine.datasets.label_notes import spread
from warprefine.io.frames import FrameSource, open_frames
from warprefine.io.images import read_labels

_OFFSETS = (-2, -1, 0, 1, 2)
_MOST_MAPS = 12
"""Label maps of a video that are compared; they lie evenly over it."""

# A sound label map fits its own frame 3 to 40 % better than its neighbours (CamVid at 15 Hz, DAVIS, the
# procedural street). Maps drawn 2 pixels too large or too small fit both neighbours better: no shift.
_CLEARLY = 1.02
_MOSTLY = 2 / 3
_TINY = 1e-3


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A video whose label maps fit the frame at `offset` (-1 or 1) from their own better, by `gain`."""

    video: str
    offset: int
    gain: float


def find_misfit(video: Video, classes: ClassSet) -> Misfit | None:
    """Compare the edges of label maps with the frames before, at and after them.

    Args:
        video: Its label maps are those of key frames and of truth.
        classes: The classes of the label maps.

    Returns:
        The neighbour that fits clearly better; None if there is none, or if files cannot be read.
    """
    maps = sorted({**video.truth, **video.labels}.items())
    if not maps or len(video) < 2:
        return None
    try:
        with open_frames(video) as frames:
            fits = np.array([_fits(frames, n, path, classes) for n, path in spread(maps, most=_MOST_MAPS)])
    except WarpRefineError:
        return None
    return _judge(video.name, fits)


def misfit_notes(misfits: Sequence[Misfit]) -> Iterable[str]:
    """Return a note on all videos whose label maps fit the frame before better, and one on those after."""
    for offset, where in ((-1, "before"), (1, "after")):
        found = [misfit for misfit in misfits if misfit.offset == offset]
        if found:
            listed = shorten(f"{misfit.video} (edges {100 * misfit.gain:.0f} % stronger)" for misfit in found)
            yield (
                f"label maps fit the frame {where} their own better: {listed}; check their numbers: frames "
                "of a video file count from 0 here, but from 1 with `ffmpeg -i VIDEO %06d.png`; `warprefine "
                "frames` extracts frames under the right numbers"
            )


def _fits(frames: FrameSource, number: int, path: Path, classes: ClassSet) -> list[float]:
    """Return how much stronger edges are at those of a label map than elsewhere, by offset; NaN: no frame."""
    edges = _edges(read_labels(path, classes))
    if not edges.any():
        return [np.nan] * len(_OFFSETS)
    places = [number + offset for offset in _OFFSETS]
    return [_strength(frames[k], edges) if 0 <= k < len(frames) else np.nan for k in places]


def _edges(labels: LabelMaps) -> NDArray[np.bool_]:
    """Mark the pixels on both sides of a border between labels, (h, w)."""
    (values,) = labels.numpy()
    edges = np.zeros(values.shape, bool)
    for axis in (0, 1):
        ahead, behind = np.moveaxis(edges, axis, 0)[1:], np.moveaxis(edges, axis, 0)[:-1]
        differs = np.diff(np.moveaxis(values, axis, 0).astype(np.int16), axis=0) != 0
        ahead |= differs
        behind |= differs
    return edges


def _strength(frame: Frames, edges: NDArray[np.bool_]) -> float:
    pixels = frame[0].permute(1, 2, 0).numpy().astype(np.float32)
    if pixels.shape[:2] != edges.shape:
        return float("nan")
    along_x, along_y = cv2.Sobel(pixels, cv2.CV_32F, 1, 0), cv2.Sobel(pixels, cv2.CV_32F, 0, 1)
    gradient = np.sqrt(along_x**2 + along_y**2).max(axis=2)
    return float((gradient[edges].mean() + _TINY) / (gradient.mean() + _TINY))


def _judge(name: str, fits: NDArray[np.float64]) -> Misfit | None:
    """Return the neighbour at which the edges of most label maps have their peak.

    Args:
        name: The video's name.
        fits: Of each label map at each of `_OFFSETS`.
    """
    by_offset: Mapping[int, NDArray[np.float64]] = dict(zip(_OFFSETS, fits.T, strict=True))
    for offset in (-1, 1):
        near, own = by_offset[offset], by_offset[0]
        known = ~np.isnan(near + own)
        if not known.any():
            continue
        rivals = np.stack([by_offset[k] for k in (-1, 0, 1)])[:, known]
        votes = (near[known] == np.nanmax(rivals, axis=0)).mean()
        gain = _mean(near / own)
        is_peak = _mean(by_offset[2 * offset] / near) < 1 and _mean(by_offset[-offset] / own) < 1
        if gain > _CLEARLY and is_peak and votes >= _MOSTLY:
            return Misfit(video=name, offset=offset, gain=gain - 1)
    return None


def _mean(ratios: NDArray[np.float64]) -> float:
    """Return the mean of what is known; 0 if nothing is."""
    known = ratios[~np.isnan(ratios)]
    return float(known.mean()) if known.size else 0.0
