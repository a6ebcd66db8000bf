"""Parts of two-sided training samples, each computed once and kept compressed, on disk and in memory.

A side has the same values whether it was just computed or comes from disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from warprefine.core.lru_cache import LRUCache
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import Frames, LabelMaps, size_of
from warprefine.io.array_cache import ArrayCache
from warprefine.io.fingerprints import fingerprint_of
from warprefine.io.images import read_labels
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.recipe.plus import CarrySettings
from warprefine.recipe.two_sided_refiner import TwoSidedTraining
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.training.data.samples import LabelledFrame
from warprefine.training.refiners.cycles import ModelsOf
from warprefine.training.refiners.samples import Sample

NamedSide: TypeAlias = tuple[str, Callable[[], Side]]
"""The name of a side, and what computes it."""

_LEVELS = 255
_Packed = dict[str, Tensor]
_MEMORY, _MEMORY_OF_TARGETS = 64 << 20, 12 << 20
"""Limits of the sides and of the targets that are held in memory, in bytes."""


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What all samples of a run are computed with.

    Attributes:
        cache: Where sides, flow and segmentations are kept.
        models: The motion that labels are carried with; no segmenter.
        carry: How labels are carried.
        training: Lengths of cycles and shares of kinds of samples.
        sides: Those that are held in memory; all are on disk.
    """

    cache: ArrayCache
    models: Models
    carry: CarrySettings
    training: TwoSidedTraining
    sides: LRUCache[_Packed] = field(default_factory=lambda: LRUCache(_MEMORY, _bytes))


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A hand-labelled frame with the segmenter's output."""

    frame: Frames
    segmentation: Segmentation
    labels: LabelMaps

    @classmethod
    def read(cls, labelled: LabelledFrame, models: Models, cache: ArrayCache) -> Target:
        """Read a target from disk; the segmentation may be in the cache."""
        with open_evidence(labelled.video, labelled.classes, models, cache) as evidence:
            frame = evidence.frame(labelled.frame)
            return cls(
                frame=frame,
                segmentation=evidence.segmentation(labelled.frame),
                labels=read_labels(labelled.label_path, labelled.classes, size=size_of(frame)),
            )

    def sample(self, sides: Sequence[Side]) -> Sample[TwoSidedInput]:
        """Return the sample with one or two sides; the nearer side comes first."""
        missing = Side.missing(self.frame)
        nearer, farther = [*sorted(sides, key=lambda side: float(side.distance)), missing, missing][:2]
        inputs = TwoSidedInput(frame=self.frame, sides=(nearer, farther), segmentation=self.segmentation)
        return Sample(inputs=inputs, target=self.labels)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(one.nbytes for one in (self.frame, self.segmentation, self.labels))


class SampleStore:
    """Sides by name, and targets.

    Args:
        settings: What they are computed with.
        models_of: Returns the networks whose segmenter is used for a target.
    """

    def __init__(self, settings: SampleSettings, models_of: ModelsOf) -> None:
        self._cache, self._models_of = settings.cache, models_of
        carried = fingerprint_of(settings.carry.to_dict())
        self._folder = f"side/{settings.models.motion.name}_{carried}"
        self._sides = settings.sides
        self._targets = LRUCache[Target](_MEMORY_OF_TARGETS, lambda target: target.nbytes)

    def side(self, name: str, compute: Callable[[], Side]) -> Side:
        """Return the side of this name, computed if it is neither in memory nor on disk."""
        key = f"{self._folder}/{name}"
        return _unpack(self._sides.get(key, lambda: self._stored(key, compute)))

    def prepare_side(self, name: str, compute: Callable[[], Side]) -> None:
        """Compute the side of this name if it is not on disk, and hold it there alone."""
        key = f"{self._folder}/{name}"
        if key not in self._cache:
            self._cache.put(key, _pack(compute()))

    def target(self, labelled: LabelledFrame) -> Target:
        """Return the target of a labelled frame."""

        def read() -> Target:
            return Target.read(labelled, self._models_of(labelled.video, labelled.frame), self._cache)

        return self._targets.get((labelled.video.name, labelled.frame), read)

    def _stored(self, key: str, compute: Callable[[], Side]) -> _Packed:
        packed = self._cache.get(key)
        if packed is None:
            packed = _pack(compute())
            self._cache.put(key, packed)
        return packed


def _pack(side: Side) -> _Packed:
    return {
        **side.soft.packed(),
        "trust": (side.trust * _LEVELS).round().to(torch.uint8),
        "warped_frame": side.warped_frame,
        "distance": side.distance,
    }


def _unpack(packed: _Packed) -> Side:
    return Side(
        soft=SoftLabels.unpacked(packed),
        trust=packed["trust"].float() / _LEVELS,
        warped_frame=packed["warped_frame"],
        distance=packed["distance"],
    )


def _bytes(packed: _Packed) -> int:
    return sum(tensor.nbytes for tensor in packed.values())
