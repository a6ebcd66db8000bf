"""Training samples of refiners: inputs and their hand-made labels, augmented and in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.tensors import LabelMaps, size_of
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedTraining
from warprefine.refinement.interface import InputT, TwoSidedInput
from warprefine.training.data.crops import GRID, Window, extended, jitter, zoomed
from warprefine.training.data.sampling import Centroid
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.losses.counted import Counted


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample(Generic[InputT]):
    """The input of a refiner for frames b, their labels, and what all batches of a step hold together."""

    inputs: InputT
    target: LabelMaps
    step: Counted | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed(Generic[InputT]):
    """A sample of one frame (b = 1), and the crop that is cut out of it.

    Attributes:
        sample: The sample.
        zoom: Pixels of the crop per pixel of the frame.
        around: A point that the crop contains; None places it anywhere.
    """

    sample: Sample[InputT]
    zoom: float = 1.0
    around: Centroid | None = None


@runtime_checkable
class SamplePool(Protocol):
    """An unlimited supply of samples of the two-sided refiner, of one kind."""

    def draw(self, rng: np.random.Generator) -> Sample[TwoSidedInput]:
        """Return a sample of one frame (b = 1), a pure function of the state of `rng`; thread-safe."""
        ...

    def class_pixels(self) -> Int64[Tensor, " 256"]:
        """Return the number of pixels of each label in the targets, VOID's last, for weights of the loss."""
        ...


def unchanged(sample: Sample[InputT], _: np.random.Generator) -> Sample[InputT]:
    """Return a sample as it is."""
    return sample


class BatchMaker(Generic[InputT]):
    """Returns the batch of a step, a pure function of the seed and the step's number.

    Args:
        draw: Returns a sample of one frame (b = 1) and its crop, for a position in the training, counted
            from its first sample, with draws from a generator.
        recipe: Batch size, crops and jitter.
        seed: Seed of all draws.
        change: Changes each sample once it is cropped; all it draws comes from the generator.
        world: The ranks that share the batch; each returns its slots of it.
    """

    def __init__(
        self,
        draw: Callable[[int, np.random.Generator], Placed[InputT]],
        recipe: RefinerRecipe | TwoSidedTraining,
        *,
        seed: int,
        change: Callable[[Sample[InputT], np.random.Generator], Sample[InputT]] = unchanged,
        world: World = ALONE,
    ) -> None:
        self._draw: Callable[[int, np.random.Generator], Placed[InputT]] = draw
        self._change: Callable[[Sample[InputT], np.random.Generator], Sample[InputT]] = change
        self._recipe, self._seed = recipe, seed
        self._slots = world.slots(recipe.optimisation.batch)

    def __call__(self, step: int) -> Sample[InputT]:
        """Return the batch of a step."""
        samples: list[Sample[InputT]] = [self._sample(step, slot) for slot in self._slots]
        size = largest_of(samples)
        if size != self._recipe.crop:  # another rank may have larger ones, and all ranks need one size
            others = set(range(self._recipe.optimisation.batch)) - set(self._slots)
            of_others: list[Sample[InputT]] = [self._sample(step, slot) for slot in sorted(others)]
            size = largest_of([*samples, *of_others])
        return stacked(samples, size)

    def _sample(self, step: int, slot: int) -> Sample[InputT]:
        rng = np.random.default_rng((self._seed, step, slot))
        placed = self._draw(step * self._recipe.optimisation.batch + slot, rng)
        return self._change(augment(placed, self._recipe, rng), rng)


def largest_of(samples: Sequence[Sample[InputT]]) -> tuple[int, int]:
    """Return the largest height and the largest width of samples."""
    heights, widths = zip(*(size_of(sample.target) for sample in samples), strict=True)
    return max(heights), max(widths)


def stacked(samples: Sequence[Sample[InputT]], size: tuple[int, int]) -> Sample[InputT]:
    """Concatenate samples into a batch, in order, each extended to `size` (h, w).

    Frames smaller than the crop, as of videos of different sizes, give smaller samples. They are reflected,
    target and all: every pixel keeps a label that is right. VOID beyond their edges would be learned,
    because refiners predict VOID like a class.
    """
    parts = [_extended(sample, size) for sample in samples]
    inputs = parts[0].inputs.stacked([part.inputs for part in parts])
    return Sample(inputs=inputs, target=torch.cat([part.target for part in parts]))


def _extended(sample: Sample[InputT], wanted: tuple[int, int]) -> Sample[InputT]:
    extend = partial(extended, size=size_of(sample.target), wanted=wanted)
    return Sample(inputs=sample.inputs.mapped(extend), target=extend(sample.target))


def augment(
    placed: Placed[InputT], recipe: RefinerRecipe | TwoSidedTraining, rng: np.random.Generator
) -> Sample[InputT]:
    """Crop a sample (b = 1), mirror half of them, zoom, and jitter the colours of all its images alike.

    The segmenter's output is zoomed like the images: it is that of the whole frame at its own size.
    """
    sample, zoom = placed.sample, placed.zoom
    wanted = (_whole_cells(recipe.crop[0] / zoom), _whole_cells(recipe.crop[1] / zoom))
    window = Window.drawn(size_of(sample.inputs.frame), wanted, rng, around=placed.around)
    rows, columns = (
        _side_after(have, zoom, shown=shown, crop=side)
        for have, shown, side in zip(window.shape, wanted, recipe.crop, strict=True)
    )

    def cut(values: Tensor) -> Tensor:
        return zoomed(window.cut(values), window.shape, (rows, columns))

    inputs = sample.inputs.mapped(cut)
    return Sample(
        inputs=inputs.with_images(*jitter(inputs.images, recipe.jitter, rng)), target=cut(sample.target)
    )


def _whole_cells(length: float) -> int:
    """Return a length in pixels as a multiple of GRID, and one cell at least."""
    return GRID * max(round(length / GRID), 1)


def _side_after(have: int, zoom: float, *, shown: int, crop: int) -> int:
    """Return a side of a window after its zoom, in pixels.

    Args:
        have: The side of the window.
        zoom: The zoom.
        shown: The side of a window that a whole crop shows; frames may be smaller.
        crop: The side of a crop.
    """
    if have == shown:
        return crop
    return have if have < GRID else min(_whole_cells(have * zoom), crop)
