"""The loss of a segmenter in training: that of all its outputs, at their place in the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from warprefine.core.names import look_up
from warprefine.core.protocols import Segmentation
from warprefine.core.recompute import recomputed
from warprefine.core.tensors import LabelMaps, Logits, size_of
from warprefine.ops.resize import to_size
from warprefine.recipe.network import NetworkRecipe
from warprefine.recipe.optimisation import Optimisation
from warprefine.training.data.batch import LabelledBatch
from warprefine.training.losses import BESIDE, LOSSES, RELAXED, Loss
from warprefine.training.losses.counted import Counted
from warprefine.training.losses.relaxed import relaxed


def segmentation_loss(
    output: Segmentation,
    labels: LabelMaps,
    recipe: NetworkRecipe,
    weights: Tensor | None,
    *,
    step: Counted | None = None,
    strict: Sequence[int] = (),
    late: bool = False,
) -> Tensor:
    """Return the loss of all outputs that a network has in training, each at the labels' size.

    Besides the final scores these are auxiliary scores (`first_guess`) and those of each scale, with the
    weights of Tao et al. (2020, arXiv 2005.10821); like theirs, they are only ever scored pixel by pixel.

    Args:
        output: What the network returns.
        labels: The labels.
        recipe: The loss, and the weights of its parts.
        weights: Weights of the classes; None weighs all alike.
        step: What the batches of a step hold together.
        strict: Of the loss relaxed: classes that are not relaxed.
        late: Of the loss relaxed: whether labels are plain by now, and borders count double.
    """

    def at_full_size(loss: Loss, scores: Logits) -> Tensor:
        exact = scores if scores.dtype == torch.float64 else scores.float()
        return loss(to_size(exact, size_of(labels)), labels, weights, step)

    loss, beside = look_up(LOSSES, recipe.loss, what="loss"), BESIDE[recipe.loss]
    if recipe.loss == RELAXED:
        loss = beside = partial(relaxed, strict=strict, late=late)
    total = recomputed(at_full_size, loss, output.logits)
    if output.first_guess is not None:
        total = total + recipe.first_guess_weight * recomputed(at_full_size, beside, output.first_guess)
    for scores in output.by_scale:
        total = total + recipe.scale_weight * recomputed(at_full_size, beside, scores)
    return recipe.relaxed_scale * total if recipe.loss == RELAXED else total


def numbers_of(names: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Return the numbers of classes.

    Raises:
        RecipeError: There is no class of a name; the message has the nearest one.

    Example:
        >>> numbers_of(["car"], ["road", "car"])
        [1]
    """
    numbers = {name: number for number, name in enumerate(class_names)}
    return [look_up(numbers, name, what="class") for name in names]


def with_progress(
    batch_at: Callable[[int], LabelledBatch], optimisation: Optimisation
) -> Callable[[int], LabelledBatch]:
    """Return the same batches, each with its place in the training."""
    total = optimisation.steps * optimisation.accumulate
    return lambda number: replace(batch_at(number), progress=number / total)
