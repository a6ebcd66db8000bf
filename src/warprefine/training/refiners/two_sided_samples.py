"""Training samples of two-sided refiners: inputs and their hand-made labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.tensors import LabelMaps
from warprefine.refinement.interface import TwoSidedInput


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoSidedSample:
    """The input of a two-sided refiner for frames b, and their labels."""

    inputs: TwoSidedInput
    target: LabelMaps


@runtime_checkable
class SamplePool(Protocol):
    """An unlimited supply of samples of one kind."""

    def draw(self, rng: np.random.Generator) -> TwoSidedSample:
        """Return a sample of one frame (b = 1), a pure function of the state of `rng`; thread-safe."""
        ...

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Return the number of pixels of each label in the targets, VOID's last, for weights of the loss."""
        ...
