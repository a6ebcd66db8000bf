"""Say what a refiner of sides learns from: key frames seen from both sides, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.tensors import LabelMaps
from warprefine.refinement.sides import SidesInput


@dataclass(frozen=True, kw_only=True, eq=False)
class SideSample:
    """What a refiner of sides sees of frames b, and what it should say of them."""

    seen: SidesInput
    target: LabelMaps


@runtime_checkable
class SidePool(Protocol):
    """Samples of one kind, as many as are asked for."""

    def draw(self, rng: np.random.Generator) -> SideSample:
        """Return a sample of one frame (b = 1) that follows from `rng` alone; another thread may ask."""
        ...

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Count the pixels of each label in the targets, VOID's last, for weights of the loss."""
        ...
