"""Smooth soft labels over time: average each frame's with those of the frames before and after it.

Labels computed frame by frame flicker. Warped along the flow, the labels of neighbouring frames outvote
those of a single frame. Flow is least accurate on thin structures, though, and neighbours that miss a pole
by a pixel would erase it, so thin structures keep the frame's own labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import Confidence, Flow, LabelMaps, Masks
from warprefine.ops.compiled import has_loops
from warprefine.ops.soft_labels import SoftLabels, mix_soft, mix_warped


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbour:
    """Soft labels of a frame near frame b, with the flow that warps them to b.

    Args:
        soft: Soft labels, on the neighbour.
        flow: Lives on b and points into the neighbour.
        trust: Weight of the neighbour's labels at each pixel of b, from 0 to 1; 0 where occluded.
    """

    soft: SoftLabels
    flow: Flow
    trust: Confidence


def smooth(
    soft_b: SoftLabels,
    neighbours: Sequence[Neighbour],
    *,
    weight: float = 0.5,
    most: int = 4,
    thin: int = 3,
) -> SoftLabels:
    """Average the soft labels of b with those of its neighbours, warped to b.

    At each pixel b has weight 1 and each neighbour weight · trust; the mean is over all of them, so
    all shares fall where a trusted neighbour has only empty slots. Thin structures of b's hardened
    labels keep b's own shares, unless these are 0.

    Args:
        weight: Weight of a fully trusted neighbour; no unit.
        most: Slots per pixel of the result, see `SoftLabels`.
        thin: Structures narrower than this, in pixels, are thin, see `thin_structures`; 1 has none.

    Example:
        >>> road, flicker = torch.zeros(1, 4, 4, dtype=torch.uint8), torch.ones(1, 4, 4, dtype=torch.uint8)
        >>> soft, still = SoftLabels.of_labels(road), torch.zeros(1, 2, 4, 4)
        >>> before = after = Neighbour(soft=soft, flow=still, trust=torch.ones(1, 4, 4))
        >>> labels, confidence = smooth(SoftLabels.of_labels(flicker), [before, after], weight=1.0).harden()
        >>> int(labels.max()), float(confidence.min())
        (0, 0.6666666865348816)
    """
    labels, confidence = soft_b.harden()
    kept = thin_structures(labels, size=thin) & (confidence > 0)
    if not neighbours:
        return mix_soft([soft_b], most=most)
    weights, total = [], torch.ones_like(confidence)
    for neighbour in neighbours:
        weights.append((weight * neighbour.trust).masked_fill(kept, 0))
        total += weights[-1]
    flows = [neighbour.flow for neighbour in neighbours]
    others = [neighbour.soft for neighbour in neighbours]
    return mix_warped(soft_b, others, flows=flows, weights=weights, most=most).scaled(1 / total)


def thin_structures(labels: LabelMaps, *, size: int = 3) -> Masks:
    """Mark pixels that lie in no square of size × size pixels of one label, VOID being a label too.

    They are what the morphological opening of each label's region by that square removes. The image
    counts as continued beyond its border, so a region that the border cuts is not thin because of it.

    Example:
        >>> pole = torch.zeros(1, 5, 7, dtype=torch.uint8)
        >>> pole[..., 3] = 1
        >>> thin_structures(pole)[0, 0].int().tolist()
        [0, 0, 0, 1, 0, 0, 0]
    """
    if not has_loops(labels):
        return _outside_squares(labels, size)
    covered = [_in_squares(values, size) for values in np.ascontiguousarray(labels.numpy())]
    return torch.from_numpy(np.stack(covered) == 0)


def _in_squares(values: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    square = np.ones((size, size), np.uint8)
    uniform = cv2.erode(values, square) == cv2.dilate(values, square)
    # A square of even size has no centre pixel: this anchor mirrors that of `uniform`, which is size // 2.
    covered: NDArray[np.uint8] = cv2.dilate(uniform.astype(np.uint8), square, anchor=((size - 1) // 2,) * 2)
    return covered


def _outside_squares(labels: LabelMaps, size: int) -> Masks:
    """Compute `thin_structures` with torch alone."""
    values = labels.float()
    before, after = size // 2, size - 1 - size // 2
    uniform = _largest(values, before, after) == -_largest(-values, before, after)
    return _largest(uniform.float(), after, before) == 0


def _largest(values: Tensor, before: int, after: int) -> Tensor:
    """Return the largest value from so many pixels before each pixel to so many after it, on both axes."""
    padded = functional.pad(values, (before, after, before, after), value=-torch.inf)
    return functional.max_pool2d(padded, before + 1 + after, stride=1)
