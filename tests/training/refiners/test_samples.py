"""Tests of training/refiners/samples.py: batches of samples whose frames differ in size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from warprefine.core.protocols import RefinerInput, Segmentation
from warprefine.core.tensors import VOID
from warprefine.ops.soft_labels import SoftLabels
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import Side, TwoSidedInput
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.samples import BatchMaker, Placed, Sample
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

LABELS = torch.arange(250, dtype=torch.uint8)
QUICK = Optimisation(steps=2, batch=3, warmup=0)


def sample_of(size: tuple[int, int], *, two_sided: bool) -> Sample[Any]:
    """Return a sample that shows the same numbers in its frame, its labels and its target, odd sizes too."""
    h, w = size
    labels = LABELS[(torch.arange(h)[:, None] // 4 * 20 + torch.arange(w) // 4) % 3][None].contiguous()
    labels[:, :4, :4] = VOID
    frame = labels[:, None].repeat(1, 3, 1, 1)
    segmentation = Segmentation(
        logits=torch.zeros(1, 3, -(-h // 2), -(-w // 2)), features=torch.zeros(1, 4, -(-h // 4), -(-w // 4))
    )
    if not two_sided:
        inputs = RefinerInput(frame=frame, warped_frame=frame, labels=labels, segmentation=segmentation)
        return Sample(inputs=inputs, target=labels)
    side = Side(
        soft=SoftLabels.of_labels(labels),
        trust=torch.ones(1, h, w),
        warped_frame=frame,
        distance=torch.tensor([1.0]),
    )
    sides = (side, Side.missing(frame))
    return Sample(inputs=TwoSidedInput(frame=frame, sides=sides, segmentation=segmentation), target=labels)


def batch_of(
    sizes: Sequence[tuple[int, int]], *, two_sided: bool, crop: tuple[int, int] = (64, 96)
) -> Sample[Any]:
    """Return a batch with one sample of each size, in order."""
    samples: Any = iter([sample_of(size, two_sided=two_sided) for size in sizes])
    optimisation = Optimisation(batch=len(sizes))
    recipe: RefinerRecipe | TwoSidedRefinerRecipe = (
        TwoSidedRefinerRecipe(crop=crop, jitter=0, optimisation=optimisation)
        if two_sided
        else RefinerRecipe(crop=crop, jitter=0, optimisation=optimisation)
    )
    return BatchMaker(lambda position, rng: Placed(sample=next(samples)), recipe, seed=0)(0)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([(120, 160), (70, 200)], (64, 96)),
        ([(120, 160), (32, 200)], (64, 96)),
        ([(40, 160), (120, 33)], (64, 96)),
        ([(50, 60), (35, 90), (33, 40)], (48, 80)),
        ([(10, 200), (64, 7), (5, 5)], (64, 96)),
        ([(10, 12), (7, 5)], (10, 12)),
    ],
)
def test_frames_of_any_sizes_make_a_batch(
    sizes: list[tuple[int, int]], shape: tuple[int, int], *, two_sided: bool
) -> None:
    """The batch is as large as the largest crop in it; images and labels stay together."""
    batch = batch_of(sizes, two_sided=two_sided)

    assert batch.target.shape == (len(sizes), *shape)
    for image in batch.inputs.images[:2]:
        assert torch.equal(image[:, 0], batch.target)
    assert batch.inputs.segmentation.logits.shape[-2:] == tuple(-(-side // 2) for side in shape)
    assert batch.inputs.segmentation.features.shape[-2:] == tuple(-(-side // 4) for side in shape)


@pytest.mark.parametrize("two_sided", [False, True])
def test_no_void_is_made_up_beyond_a_small_frame(*, two_sided: bool) -> None:
    """Refiners learn VOID like a class, so a border of it around small frames would be learned, too."""
    small = batch_of([(32, 32)], two_sided=two_sided)
    mixed = batch_of([(32, 32), (64, 96)], two_sided=two_sided)

    share = (small.target == VOID).float().mean()
    assert 0 < share < 0.02
    assert (mixed.target[0] == VOID).float().mean() == pytest.approx(float(share), rel=0.5)


@pytest.mark.parametrize("two_sided", [False, True])
def test_frames_of_one_size_are_cropped_as_ever(*, two_sided: bool) -> None:
    """A sample of a batch is that of a batch of its own where all frames have the same size."""
    batch = batch_of([(40, 60)] * 3, two_sided=two_sided)

    assert batch.target.shape == (3, 32, 48)
    assert torch.equal(batch.target[:1], batch_of([(40, 60)], two_sided=two_sided).target)


@pytest.mark.parametrize("two_sided", [False, True])
def test_refiners_learn_from_frames_of_several_sizes(*, two_sided: bool) -> None:
    """The networks take such a batch, scores for every pixel of it."""
    batch = batch_of([(120, 160), (20, 50), (9, 40)], two_sided=two_sided)
    kind: Any = TWO_SIDED_REFINER if two_sided else REFINER
    recipe = (TwoSidedRefinerRecipe if two_sided else RefinerRecipe)(widths=(4, 4, 4, 4))

    refiner = kind.build(recipe, class_count=3, feature_channels=4, seed=0)

    assert refiner(batch.inputs).shape == (3, 4, 64, 96)


def test_draws_do_not_depend_on_the_other_samples() -> None:
    """A large frame shows the same crop whether the frames beside it are large or small."""
    alike = batch_of([(120, 160), (120, 160)], two_sided=False)
    mixed = batch_of([(120, 160), (30, 30)], two_sided=False)

    assert torch.equal(mixed.target[0], alike.target[0])
    assert not np.array_equal(mixed.target[1], alike.target[1])
