"""Train Omega on cycles: what came back from a journey goes in, the hand-made labels should come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Refiner, RefinerInput, Segmentation, channels_last
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.io.checkpoints import Card, save_checkpoint
from warprefine.refinement import REFINERS
from warprefine.training.crops import Window, jitter
from warprefine.training.cycles import Cycles, CycleSample
from warprefine.training.loop import train
from warprefine.training.losses import LOSSES
from warprefine.training.recipe import RefinerRecipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """What the refiner sees, and what it should say."""

    seen: RefinerInput
    target: LabelMaps


class BatchMaker:
    """Make the batch of a step as a pure function of the seed and the step's number.

    Args:
        pools: Sets of cycles that are drawn from equally often.
    """

    def __init__(self, pools: Sequence[Cycles], recipe: RefinerRecipe, *, seed: int) -> None:
        self._pools, self._recipe, self._seed = pools, recipe, seed

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        crops = []
        for slot in range(self._recipe.optimisation.batch):
            rng = np.random.default_rng((self._seed, step, slot))
            pool = self._pools[int(rng.integers(len(self._pools)))]
            crops.append(vary(pool[int(rng.integers(len(pool)))], self._recipe, rng))
        return _stack(crops)


def vary(sample: CycleSample, recipe: RefinerRecipe, rng: np.random.Generator) -> CycleSample:
    """Crop a sample, mirror half of them, and change the colours of both images alike."""
    window = Window.drawn((sample.frame.shape[-2], sample.frame.shape[-1]), recipe.crop, rng)
    images = [window.cut(image) for image in (sample.frame, sample.warped_frame)]
    frame, warped_frame = jitter(images, recipe.jitter, rng)
    return CycleSample(
        frame=frame,
        warped_frame=warped_frame,
        labels=window.cut(sample.labels),
        segmentation=window.cut_segmentation(sample.segmentation),
        target=window.cut(sample.target),
    )


def _stack(crops: list[CycleSample]) -> Batch:
    return Batch(
        seen=RefinerInput(
            frame=torch.cat([crop.frame for crop in crops]),
            warped_frame=torch.cat([crop.warped_frame for crop in crops]),
            labels=torch.cat([crop.labels for crop in crops]),
            segmentation=Segmentation(
                logits=torch.cat([crop.segmentation.logits for crop in crops]),
                features=torch.cat([crop.segmentation.features for crop in crops]),
            ),
        ),
        target=torch.cat([crop.target for crop in crops]),
    )


def build_refiner(recipe: RefinerRecipe, *, class_count: int, feature_channels: int, seed: int) -> nn.Module:
    """Make an untrained network of the recipe."""
    torch.manual_seed(seed)
    kind = look_up(REFINERS, recipe.network, what="refiner")
    return channels_last(kind.from_recipe(recipe, class_count, feature_channels))


def train_refiner(
    path: Path,
    *,
    network: nn.Module,
    pools: Sequence[Cycles],
    recipe: RefinerRecipe,
    class_names: tuple[str, ...],
    feature_channels: int,
    facts: dict[str, Any],
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Train `network` in place on cycles and write it to `path`.

    Args:
        pools: Sets of cycles, of the same key frames, that are drawn from equally often.
        facts: What belongs to the weights besides the recipe: the tau that the cycles were made with.
    """
    device = next(network.parameters()).device
    refiner = cast(Refiner, network)
    loss = look_up(LOSSES, recipe.loss, what="loss")

    def loss_of(batch: Batch) -> Tensor:
        target = batch.target.to(device)
        # VOID is the refiner's last class: it is learned like any other.
        return loss(
            refiner(batch.seen.to(device)), target.masked_fill(target == VOID, len(class_names)), weights
        )

    weights = pools[0].class_weights(recipe.optimisation.class_balance).to(device)
    state_path = path.with_suffix(".state")
    history = train(
        network,
        recipe.optimisation,
        batch_at=BatchMaker(pools, recipe, seed=seed),
        loss_of=loss_of,
        state_path=state_path,
        seed=seed,
        progress=progress,
        task="training the refiner",
    )
    card = Card(
        part="refiner",
        network=recipe.network,
        class_names=class_names,
        settings={
            **REFINERS[recipe.network].describe(network, recipe),
            "feature_channels": feature_channels,
        },
        recipe=recipe.model_dump(mode="json"),
        facts={**facts, "seed": seed, "history": history},
    )
    save_checkpoint(path, network, card)
    state_path.unlink(missing_ok=True)
