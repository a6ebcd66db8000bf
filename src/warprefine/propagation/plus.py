"""Label a stretch of frames with warp-refine-plus: ways from both sides, one refiner, smoothed over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import torch

from warprefine.core.classes import ClassSet
from warprefine.core.protocols import device_of
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.ops.smoothing import Neighbour, smooth
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.engine import read_key_labels
from warprefine.propagation.evidence import Evidence
from warprefine.propagation.methods import PLUS
from warprefine.propagation.schedule import Stretch, sides_of
from warprefine.propagation.sides import KEPT, SideMaker, Ways, vote
from warprefine.propagation.trajectories import Trajectories
from warprefine.refinement.sides import SideRefiner, SidesInput


@dataclass(frozen=True, kw_only=True)
class PlusSetting:
    """What warp-refine-plus needs besides frames and networks.

    Without a refiner the sides and the segmenter vote (`sides.vote`). Each frame's labels are then averaged
    with those of the `smoothed` frames before and after it, which count `smoothing` to the power of their
    distance.
    """

    ways: Ways = field(default_factory=Ways)
    refiner: SideRefiner | None = None
    smoothing: float = 0.7
    smoothed: int = 2


def label_stretch(
    evidence: Evidence, stretch: Stretch, classes: ClassSet, setting: PlusSetting
) -> Iterator[tuple[int, PseudoLabel]]:
    """Label the frames of a stretch, in order of time.

    Soft labels are held of as many frames as are averaged, and the ways to key frames ahead.

    Yields:
        The frame's number and its pseudo-label.
    """
    labels_of = cache(lambda frame: read_key_labels(evidence, frame, classes))
    maker = SideMaker(evidence, setting.ways, labels_of)
    smoother = _Smoother(evidence, setting)
    waiting = list(stretch.frames)
    for frame in _around(stretch, setting.smoothed, len(evidence.video)):
        if frame in stretch.frames:
            smoother.add(frame, _say(evidence, maker, stretch, frame, setting))
            maker.keep(range(frame, stretch.frames[-1] + 1))  # the way to the next frame leads through this
        else:
            smoother.add(frame, SoftLabels.of_labels(labels_of(frame)))
        while waiting and waiting[0] + setting.smoothed <= frame:
            yield waiting[0], _finished(smoother.smoothed(waiting[0]), stretch, waiting[0], setting)
            waiting.pop(0)
    for frame in waiting:
        yield frame, _finished(smoother.smoothed(frame), stretch, frame, setting)


def _around(stretch: Stretch, smoothed: int, length: int) -> list[int]:
    """List the frames of a stretch and the key frames beside it that it is averaged with."""
    first, last = stretch.frames[0], stretch.frames[-1]
    near = range(max(first - smoothed, 0), min(last + smoothed + 1, length))
    return [k for k in near if k in stretch.frames or k in stretch.key_frames]


def _say(
    evidence: Evidence, maker: SideMaker, stretch: Stretch, frame: int, setting: PlusSetting
) -> SoftLabels:
    seen = SidesInput(
        frame=evidence.frame(frame),
        sides=maker.around(frame, stretch.key_frames),
        segmentation=evidence.segmentation(frame),
    )
    if setting.refiner is None:
        return vote(seen)
    return refine_sides(seen, setting.refiner)


def refine_sides(seen: SidesInput, refiner: SideRefiner) -> SoftLabels:
    """Ask a refiner what to make of both sides."""
    device = device_of(refiner)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        logits = refiner(seen.to(device))
    return SoftLabels.of_probabilities(logits.float().softmax(dim=1).cpu(), most=KEPT, void_is_last=True)


def _finished(soft: SoftLabels, stretch: Stretch, frame: int, setting: PlusSetting) -> PseudoLabel:
    labels, confidence = soft.harden()
    nearer, farther = sides_of(frame, stretch.key_frames, reach=setting.ways.reach)
    asked = nearer + (farther if setting.ways.sides == 2 else ())
    return PseudoLabel(
        labels=labels,
        confidence=confidence.clamp(0, 1),
        provenance=Provenance(method=PLUS, key_frames=asked, distance=stretch.distance(frame)),
    )


class _Smoother:
    """Average each frame's soft labels with those of its neighbours in time."""

    def __init__(self, evidence: Evidence, setting: PlusSetting) -> None:
        self._setting = setting
        self._trajectories = Trajectories(evidence, setting.ways.trust)
        self._said: dict[int, SoftLabels] = {}

    def add(self, frame: int, soft: SoftLabels) -> None:
        """Take what was said of a frame; frames come in order of time."""
        self._said[frame] = soft
        for k in [k for k in self._said if k < frame - 2 * self._setting.smoothed]:
            del self._said[k]
        self._trajectories.keep(self._said)

    def smoothed(self, frame: int) -> SoftLabels:
        """Return the average for a frame, once all its neighbours are here."""
        neighbours = [k for k in self._said if 0 < abs(k - frame) <= self._setting.smoothed]
        if not neighbours or self._setting.smoothing == 0:
            return self._said[frame]
        others = [self._neighbour(frame, k) for k in neighbours]
        return smooth(self._said[frame], others, weight=1.0, most=KEPT)

    def _neighbour(self, frame: int, k: int) -> Neighbour:
        way = self._trajectories.between(frame, k)
        weight = self._setting.smoothing ** abs(frame - k)
        return Neighbour(soft=self._said[k], flow=way.flow, trust=weight * way.trust)
