"""Leave things out of the carried labels of a training sample, as things that no key frame shows.

In a cycle the key frame shows all that the target shows, so a refiner learns that carried labels are more
often right than the segmenter. Of a thing that has entered the picture since the key frame, carried labels
are wrong throughout, and the segmenter alone has it. Here such samples are made of others: a thing of the
target is covered in its sides, labels and picture, by what is around it; the frame, the segmenter's output
and the target stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from warprefine.core.tensors import VOID, Frames
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.training.refiners.samples import Sample

_MOST_THINGS = 3
_SMALLEST = 0.0004
"""Least area of a thing as a share of the crop: 33 pixels of 256 x 320, a distant sign."""
_RARE = 0.06
"""Largest share of the crop of a class that has things; road, buildings and trees have more of most crops."""
_MARGIN, _REACH = 3, 9
"""Pixels around a thing that are covered with it, and up to which its carried labels may have drifted."""
_TRUST = 0.3, 1.0
"""Factor of the trust inside, drawn evenly: flow around what is new is often consistent all the same."""
_SOFTENED = 5
"""Side, in pixels, of the box over which the picture inside is blurred against streaks."""
_Mask: TypeAlias = NDArray[np.bool_]


def leave_out(sample: Sample[TwoSidedInput], rng: np.random.Generator) -> Sample[TwoSidedInput]:
    """Return a sample with one to three things of its target left out of one side or of both.

    A thing is a connected part of a class that has little of the picture; each such class is drawn as often
    as the others. Inside, soft labels and warped frame of a side become those of the nearest pixel outside
    that has the label of a more common class, and the trust is lowered. A sample without a thing, or without
    sides, is returned as it is.

    Args:
        sample: A sample of one frame (b = 1).
        rng: All draws come from it.

    Example:
        >>> from warprefine.core.protocols import Segmentation
        >>> from warprefine.ops.soft_labels import SoftLabels
        >>> target = torch.zeros(1, 40, 40, dtype=torch.uint8)
        >>> target[:, 10:20, 10:15] = 1  # a car on a road
        >>> frame = target[:, None].repeat(1, 3, 1, 1)
        >>> side = Side(
        ...     soft=SoftLabels.of_labels(target),
        ...     trust=torch.ones(1, 40, 40),
        ...     warped_frame=frame,
        ...     distance=torch.ones(1),
        ... )
        >>> segmentation = Segmentation(logits=torch.zeros(1, 2, 40, 40), features=torch.zeros(1, 1, 40, 40))
        >>> sides = side, Side.missing(frame)
        >>> inputs = TwoSidedInput(frame=frame, sides=sides, segmentation=segmentation)
        >>> found = leave_out(Sample(inputs=inputs, target=target), np.random.default_rng(0))
        >>> int(found.inputs.sides[0].soft.labels.sum()), int(found.target.sum())
        (0, 50)
    """
    labels = sample.target[0].numpy()
    shares = np.bincount(labels.ravel(), minlength=VOID + 1)[:VOID] / labels.size
    things = _draw_things(labels, np.flatnonzero((shares > 0) & (shares <= _RARE)), rng)
    present = [i for i, side in enumerate(sample.inputs.sides) if not bool(side.is_missing)]
    left_out: dict[int, list[_Thing]] = {i: [] for i in present}
    for thing in things:
        for i in _draw_sides(present, rng):
            left_out[i].append(thing)
    sides = list(sample.inputs.sides)
    common = np.append(shares > _RARE, False)
    for i, from_side in left_out.items():
        if from_side:
            sides[i] = _without(sides[i], from_side, common, rng)
    near, far = sides
    return replace(sample, inputs=replace(sample.inputs, sides=(near, far)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Thing:
    """A connected part of a class in a label map."""

    label: int
    region: _Mask


def _draw_things(
    labels: NDArray[np.uint8], classes: NDArray[np.int64], rng: np.random.Generator
) -> list[_Thing]:
    """Return up to three things, each of another class of those given."""
    wanted, found = int(rng.integers(1, _MOST_THINGS + 1)), list[_Thing]()
    for label in rng.permutation(classes).tolist():
        parts = _parts(labels == label)
        if parts:
            found.append(_Thing(label=label, region=parts[int(rng.integers(len(parts)))]))
        if len(found) == wanted:
            break
    return found


def _parts(of_class: _Mask) -> list[_Mask]:
    """Return the connected parts of a class, without those too small to be a thing."""
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(of_class.astype(np.uint8))
    large = boxes[:, cv2.CC_STAT_AREA] >= _SMALLEST * of_class.size
    return [numbers == number for number in range(1, count) if large[number]]  # 0 is what is not of the class


def _draw_sides(present: Sequence[int], rng: np.random.Generator) -> Sequence[int]:
    """Return all sides that are there, or with a probability of one half only one of two."""
    if len(present) < 2 or rng.random() < 0.5:
        return present
    return [present[int(rng.integers(len(present)))]]


def _without(side: Side, things: Sequence[_Thing], common: _Mask, rng: np.random.Generator) -> Side:
    """Return a side with things covered by what is around them.

    Args:
        common: For each of 256 labels, whether pixels of that label may cover others.
    """
    carried = side.soft.labels[0, 0].numpy()
    trust, covered = side.trust.clone(), np.zeros(carried.shape, np.bool_)
    for thing in things:
        drifted = (carried == thing.label) & _grown(thing.region, _REACH)
        region = _grown(thing.region | drifted, _MARGIN)
        trust[0, torch.from_numpy(region)] *= float(rng.uniform(*_TRUST))
        covered |= region
    outside = ~covered
    sources = outside & common[carried]
    if not sources.any():
        sources = outside
    if not sources.any():
        return side
    places = torch.from_numpy(np.flatnonzero(covered))
    nearest = torch.from_numpy(_nearest(sources).ravel())[places]

    def changed(values: Tensor) -> Tensor:
        flat = values.flatten(-2).clone()
        flat[..., places] = flat[..., nearest]
        return flat.view(values.shape)

    frame = changed(side.warped_frame)
    softened = _softened(frame).flatten(-2)[..., places]
    frame.flatten(-2)[..., places] = softened
    return replace(side, soft=side.soft.mapped(changed), warped_frame=frame, trust=trust)


def _grown(region: _Mask, margin: int) -> _Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate(region.astype(np.uint8), disc), np.bool_)


def _nearest(sources: _Mask) -> NDArray[np.int64]:
    """Return for each pixel the flat place of the nearest of the sources, of which there is at least one."""
    _, numbers = cv2.distanceTransformWithLabels(
        (~sources).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_source = np.flatnonzero(sources)
    places = np.zeros(int(numbers.max()) + 1, np.int64)
    places[numbers.ravel()[of_source]] = of_source
    return np.asarray(places[numbers])


def _softened(frame: Frames) -> Frames:
    picture = frame[0].permute(1, 2, 0).contiguous().numpy()
    return torch.from_numpy(cv2.blur(picture, (_SOFTENED, _SOFTENED))).permute(2, 0, 1)[None].contiguous()
