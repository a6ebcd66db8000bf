"""Keep what samples for the refiner of sides are made of: each part is made once, and kept as bytes.

A side is the same whether it was just made or comes from disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.protocols import MotionEstimator, Segmentation
from warprefine.core.tensors import VOID, Frames, LabelMaps
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.checkpoints import fingerprint
from warprefine.io.frames import open_frames
from warprefine.io.images import read_labels
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.sides import Ways
from warprefine.refinement.sides import Side, SidesInput
from warprefine.training.samples import Kept, LabelledFrame
from warprefine.training.side_recipe import SideRefinerRecipe
from warprefine.training.side_samples import SideSample

_LEVELS = 255
_Packed = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Making:
    """What all samples of a run are made with; `ways_name` stands for `ways` in the names of files."""

    cache: ArrayCache
    motion: MotionEstimator
    ways: Ways
    ways_name: str
    recipe: SideRefinerRecipe


class SideStore:
    """Sides by name."""

    def __init__(self, making: Making) -> None:
        self._cache, self._folder = making.cache, f"side/{making.motion.name}_{making.ways_name}"
        self._kept: Kept[_Packed] = Kept()
        self._numbers: dict[str, int] = {}

    def get(self, name: str, make: Callable[[], Side]) -> Side:
        """Return the side of this name, made if it is neither in memory nor on disk."""
        number = self._numbers.setdefault(name, len(self._numbers))
        return _unpack(self._kept.get(number, lambda: self._read(name, make), _bytes))

    def _read(self, name: str, make: Callable[[], Side]) -> _Packed:
        key = f"{self._folder}/{name}"
        packed = self._cache.get(key)
        if packed is None:
            packed = _pack(make())
            self._cache.put(key, packed)
        return packed


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A frame labelled by hand, and what the segmenter says of it."""

    frame: Frames
    segmentation: Segmentation
    labels: LabelMaps

    @classmethod
    def read(cls, labelled: LabelledFrame, models: Models, cache: ArrayCache) -> Target:
        """Read one from disk; what the segmenter says may be in the cache."""
        with open_frames(labelled.video) as frames:
            evidence = Evidence(labelled.video, frames, models, cache)
            picture = evidence.frame(labelled.frame)
            size = (picture.shape[-2], picture.shape[-1])
            return cls(
                frame=picture,
                segmentation=evidence.segmentation(labelled.frame),
                labels=read_labels(labelled.label_path, labelled.classes, size=size),
            )

    def seen_from(self, sides: Sequence[Side]) -> SideSample:
        """Return the sample that one or two sides make of it; the nearer side comes first."""
        missing = Side.missing(self.frame)
        nearer, farther = [*sorted(sides, key=lambda side: float(side.distance)), missing, missing][:2]
        seen = SidesInput(frame=self.frame, sides=(nearer, farther), segmentation=self.segmentation)
        return SideSample(seen=seen, target=self.labels)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        said = self.segmentation
        return sum(t.nbytes for t in (self.frame, said.logits, said.features, self.labels))


def count_pixels(paths: Sequence[Path], classes: ClassSet) -> Int64[Tensor, " 256"]:
    """Count the pixels of each label in label maps."""
    pixels = torch.zeros(VOID + 1, dtype=torch.int64)
    for path in paths:
        pixels += torch.bincount(read_labels(path, classes).flatten().long(), minlength=VOID + 1)
    return pixels


def hand_of(video: Video, key_frame: int) -> str:
    """Name the hand-made labels of a key frame; somebody may correct them."""
    return f"{key_frame:06d}-{fingerprint(video.labels[key_frame])}"


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
