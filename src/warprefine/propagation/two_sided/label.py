"""Label frames with warp-refine-plus: carried from both sides, refined together, smoothed over time."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from warprefine.core.errors import LabelError
from warprefine.core.precision import computing
from warprefine.core.protocols import device_of
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.tensors import VOID, member, size_of
from warprefine.core.video import Video
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.ops.smoothing import Neighbour, smooth
from warprefine.ops.soft_labels import SoftLabels, mix_soft
from warprefine.ops.tiles import Tile, in_tiles
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.methods import PLUS
from warprefine.propagation.two_sided.carry import LABELS_PER_PIXEL, LabelCarrier
from warprefine.propagation.two_sided.trajectories import StepTrust, Trajectories
from warprefine.propagation.two_sided.vote import vote
from warprefine.propagation.units import Unit, sides_of, two_sided_units
from warprefine.recipe.plus import PlusRecipe, SmoothSettings
from warprefine.refinement.interface import CandidateScores, ScoresCandidates, TwoSidedInput, TwoSidedRefiner


@dataclass(frozen=True, kw_only=True)
class TwoSidedLabeller:
    """Labels consecutive frames, each from the key frames on both sides of it.

    Attributes:
        models: The motion that labels are carried with, and the segmenter.
        recipe: How labels are carried, from which key frames, and how they are smoothed.
        refiner: Refines the labels of a frame; without one, sides and segmenter vote.
        refiner_fingerprint: Identifies the refiner's weights.
    """

    models: Models
    recipe: PlusRecipe
    refiner: TwoSidedRefiner | None = None
    refiner_fingerprint: str = ""
    methods: tuple[str, ...] = (PLUS,)

    def units(self, video: Video, horizon: int) -> list[Unit]:
        """Return the units: consecutive frames between key frames."""
        return two_sided_units(video, horizon, reach=max(self.recipe.choose.reach, horizon))

    def fingerprint(self, video: Video, unit: Unit, method: str) -> str:
        """Return a hash of the labels of all key frames in reach, the networks and the settings."""
        key_labels = [(key, fingerprint_of_file(video.labels[key], LabelError)) for key in unit.key_frames]
        networks = (self.models.motion.name, self.models.segmenter_fingerprint, self.refiner_fingerprint)
        return fingerprint_of(method, unit.frames, key_labels, networks, self.recipe.label_settings)

    def label(self, evidence: Evidence, unit: Unit, methods: Sequence[str]) -> Iterator[PseudoLabel]:
        """Yield the pseudo-labels of a unit, in order of time, but those of frames that are done.

        In memory are the soft labels of as many frames as are averaged, and the trajectories of few frames;
        those to key frames ahead lie in a temporary file in the folder of the cache.
        """
        span, carry = self.recipe.smooth.frames, self.recipe.carry
        evidence.expect_flows(self.expected_flows(unit))
        steps = StepTrust(evidence, carry)
        carrier = LabelCarrier(
            evidence,
            carry,
            evidence.key_labels,
            motion=self.models.motion,
            steps=steps,
            folder=evidence.folder,
        )
        smoother = _Smoother(Trajectories(evidence, carry, steps=steps), self.recipe.smooth)
        waiting = deque(frame for frame in unit.frames if frame not in unit.done)
        averaged = {k for frame in waiting for k in range(frame - span, frame + span + 1)}
        due = {*unit.frames}
        frames = [k for k in _with_neighbours(unit, span, len(evidence.video)) if k in averaged]
        evidence.expect_segmentations(frame for frame in frames if frame in due)
        for frame, soft in self._label_frames(evidence, carrier, unit, frames):
            smoother.add(frame, soft)
            while waiting and waiting[0] + span <= frame:
                yield self._pseudo_label(smoother, unit, waiting.popleft())
        for frame in waiting:
            yield self._pseudo_label(smoother, unit, frame)

    def _sides(self, frame: int, key_frames: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the key frames on each side of a frame, the nearer side first."""
        nearer, farther = sides_of(frame, key_frames, reach=self.recipe.choose.reach)
        return nearer, farther if self.recipe.choose.sides == 2 else ()

    def expected_flows(self, unit: Unit) -> Iterator[tuple[int, int]]:
        """Yield the flows that labels of a unit are carried along, in the order of their first use."""
        both = self.recipe.carry.trust in ("agreement", "both") or self.recipe.carry.long_range
        reached: dict[tuple[int, int], int] = {}
        known: set[tuple[int, int]] = set()
        for frame in (frame for frame in unit.frames if frame not in unit.done):
            for origin in itertools.chain(*self._sides(frame, unit.key_frames)):
                step = 1 if frame > origin else -1
                begin = reached.get((origin, step), origin)
                reached[origin, step] = frame if step == 1 else min(frame, begin)
                for k in range(begin + step, frame + step, step):
                    for pair in ((k, k - step), (k - step, k))[: 1 + both]:
                        if pair not in known:
                            known.add(pair)
                            yield pair

    def _label_frames(
        self, evidence: Evidence, carrier: LabelCarrier, unit: Unit, frames: Sequence[int]
    ) -> Iterator[tuple[int, SoftLabels]]:
        """Yield the soft labels of frames, some of them key frames, in order."""
        due, batch = {*unit.frames}, evidence.batch_with(unit.frames[0])
        for first in range(0, len(frames), batch):
            together = frames[first : first + batch]
            inputs = {}
            for frame in (frame for frame in together if frame in due):
                inputs[frame] = self._inputs(evidence, carrier, unit, frame)
                carrier.keep(range(frame, unit.frames[-1] + 1))  # the next trajectory extends this one
            labelled = dict(zip(inputs, self._refined([*inputs.values()], batch), strict=True))
            for frame in together:
                soft = labelled.get(frame)
                yield frame, SoftLabels.of_labels(evidence.key_labels(frame)) if soft is None else soft

    def _inputs(self, evidence: Evidence, carrier: LabelCarrier, unit: Unit, frame: int) -> TwoSidedInput:
        nearer, farther = self._sides(frame, unit.key_frames)
        return TwoSidedInput(
            frame=evidence.frame(frame),
            sides=(carrier.side(frame, nearer), carrier.side(frame, farther)),
            segmentation=evidence.segmentation(frame),
        )

    def _refined(self, inputs: Sequence[TwoSidedInput], batch: int) -> list[SoftLabels]:
        """Return the labels of up to `batch` frames."""
        if self.refiner is None or batch == 1:
            return [_vote(one) if self.refiner is None else refine_sides(one, self.refiner) for one in inputs]
        if not inputs:
            return []
        # A batch is filled up: kernels, and with them the last bits, depend on its size.
        filled = [*inputs, *[inputs[-1]] * (batch - len(inputs))]
        soft = refine_sides(TwoSidedInput.stacked(filled), self.refiner)
        return [soft.mapped(member(place)) for place in range(len(inputs))]

    def _pseudo_label(self, smoother: _Smoother, unit: Unit, frame: int) -> PseudoLabel:
        labels, confidence = smoother.smoothed(frame).harden()
        nearer, farther = self._sides(frame, unit.key_frames)
        return PseudoLabel(
            frame=frame,
            labels=labels,
            confidence=confidence.clamp(0, 1),
            provenance=Provenance(method=PLUS, key_frames=nearer + farther, distance=unit.distance(frame)),
        )


def refine_sides(inputs: TwoSidedInput, refiner: TwoSidedRefiner) -> SoftLabels:
    """Return the labels that a two-sided refiner computes from both sides, on the device of the inputs.

    Large frames are refined tile by tile.
    """
    return _in_tiles(inputs, partial(_refine, refiner=refiner))


def _vote(inputs: TwoSidedInput) -> SoftLabels:
    return _in_tiles(inputs, vote)


def _in_tiles(inputs: TwoSidedInput, label: Callable[[TwoSidedInput], SoftLabels]) -> SoftLabels:
    def labelled(tile: Tile) -> tuple[Tensor, Tensor]:
        soft = label(inputs.mapped(tile.crop))
        return soft.labels, soft.shares

    labels, shares = in_tiles(size_of(inputs.frame), labelled, planes=inputs.segmentation.logits.shape[1] + 1)
    return SoftLabels(labels=labels, shares=shares)


def _refine(inputs: TwoSidedInput, *, refiner: TwoSidedRefiner) -> SoftLabels:
    device = device_of(refiner)
    with torch.inference_mode(), computing(refiner):
        if isinstance(refiner, ScoresCandidates):
            soft = _as_soft_labels(refiner.scored(inputs.to(device)), void=refiner.class_count)
            return soft.mapped(lambda values: values.to(inputs.frame.device))
        logits = refiner(inputs.to(device))
    probabilities = logits.float().softmax(dim=1).to(inputs.frame.device)
    return SoftLabels.of_probabilities(probabilities, most=LABELS_PER_PIXEL, void_is_last=True)


def _as_soft_labels(scores: CandidateScores, *, void: int) -> SoftLabels:
    shares = scores.log_probabilities().exp().masked_fill(scores.is_empty, 0)
    labels = scores.labels.masked_fill(scores.labels == void, VOID)
    return mix_soft([SoftLabels(labels=labels, shares=shares)], most=LABELS_PER_PIXEL)


def _with_neighbours(unit: Unit, span: int, length: int) -> list[int]:
    """Return the frames of a unit and the key frames beside it that they are averaged with."""
    first, last = unit.frames[0], unit.frames[-1]
    near = range(max(first - span, 0), min(last + span + 1, length))
    return sorted({*unit.frames, *unit.key_frames}.intersection(near))


class _Smoother:
    """Averages each frame's soft labels with those of its neighbours in time."""

    def __init__(self, trajectories: Trajectories, settings: SmoothSettings) -> None:
        self._trajectories, self._settings = trajectories, settings
        self._labels: dict[int, SoftLabels] = {}

    def add(self, frame: int, soft: SoftLabels) -> None:
        """Add the soft labels of a frame; frames come in order of time."""
        self._labels[frame] = soft
        for k in [k for k in self._labels if k < frame - 2 * self._settings.frames]:
            del self._labels[k]
        self._trajectories.keep(self._labels)

    def smoothed(self, frame: int) -> SoftLabels:
        """Return the average for a frame, once all its neighbours were added."""
        neighbours = [k for k in self._labels if 0 < abs(k - frame) <= self._settings.frames]
        if not neighbours or self._settings.decay == 0:
            return self._labels[frame]
        others = [self._neighbour(frame, k) for k in neighbours]
        return smooth(self._labels[frame], others, weight=1.0, most=LABELS_PER_PIXEL)

    def _neighbour(self, frame: int, k: int) -> Neighbour:
        trajectory = self._trajectories.between(frame, k)
        weight = self._settings.decay ** abs(frame - k)
        return Neighbour(soft=self._labels[k], flow=trajectory.flow, trust=weight * trajectory.trust)
