"""Smooth soft labels over time: what the frames before and after say of a pixel counts too.

Labels made frame by frame flicker. Carried along the flow, the labels of neighbouring frames outvote
those of a single frame. Flow is least exact on what is thin, though, and neighbours that miss a pole
by a pixel would wipe it out, so thin structures are left as the frame itself has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from warprefine.core.tensors import Confidence, Flow, LabelMaps, Masks
from warprefine.ops.soft_labels import SoftLabels, mix_soft, warp_soft


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbour:
    """What another frame has to say of frame b.

    Args:
        soft: Soft labels, on the neighbour.
        flow: Lives on b and points into the neighbour.
        trust: How far the neighbour is believed at each pixel of b, from 0 to 1; 0 where occluded.
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
    """Average the soft labels of b with those of its neighbours, carried to b.

    At each pixel b itself counts 1 and each neighbour weight · trust; the mean is over all of them,
    so where a trusted neighbour knows nothing, all shares fall. Pixels of thin structures of b's
    hardened labels keep b's own shares.

    Args:
        weight: What a fully trusted neighbour counts; no unit.
        most: Slots per pixel of the result, see `SoftLabels`.
        thin: Structures narrower than this, in pixels, are thin, see `thin_structures`; 1 has none.
    """
    labels, confidence = soft_b.harden()
    kept = thin_structures(labels, size=thin) & (confidence > 0)
    parts, total = [soft_b], torch.ones_like(confidence)
    for neighbour in neighbours:
        say = (weight * neighbour.trust).masked_fill(kept, 0)
        parts.append(warp_soft(neighbour.soft, neighbour.flow, most=most).scaled(say))
        total += say
    return mix_soft(parts, most=most).scaled(1 / total)


def thin_structures(labels: LabelMaps, *, size: int = 3) -> Masks:
    """Mark pixels that lie in no square of size × size pixels of one label, VOID being a label too.

    They are what the morphological opening of each label's region by that square removes. Beyond the
    border the picture counts as going on, so a region that the border cuts is not thin for that.
    """
    covered = [_in_squares(values, size) for values in np.ascontiguousarray(labels.numpy())]
    return torch.from_numpy(np.stack(covered) == 0)


def _in_squares(values: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    square = np.ones((size, size), np.uint8)
    alike = cv2.erode(values, square) == cv2.dilate(values, square)
    # A square of even size has no centre: the side that was the longer one is now the shorter one.
    covered: NDArray[np.uint8] = cv2.dilate(alike.astype(np.uint8), square, anchor=((size - 1) // 2,) * 2)
    return covered
