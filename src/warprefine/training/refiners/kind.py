"""Build, train and load refiners; the paper's and the two-sided one differ in their samples alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError
from warprefine.core.layout import kernels_for_training
from warprefine.core.names import look_up
from warprefine.core.network_spec import NetworkSpec
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import Refiner, device_of, module_of
from warprefine.core.tensors import VOID
from warprefine.io.checkpoints import Card, load_network
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import InputT, ScoresCandidates, TwoSidedRefiner
from warprefine.training.engine.checkpoint import train_to_checkpoint
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.losses import COUNTS, LOSSES, balanced_weights
from warprefine.training.losses.candidates import candidate_cross_entropy
from warprefine.training.losses.counted import counted
from warprefine.training.refiners.samples import BatchMaker, Placed, Sample

RefinerT = TypeVar("RefinerT", Refiner, TwoSidedRefiner)
PoolsT = TypeVar("PoolsT")
RecipeT = TypeVar("RecipeT", RefinerRecipe, TwoSidedRefinerRecipe)


@dataclass(frozen=True, kw_only=True)
class RefinerKind(Generic[RefinerT, InputT, PoolsT, RecipeT]):
    """A kind of refiner: the paper's, or the two-sided one.

    Attributes:
        part: The part that its checkpoints' cards name.
        specs: Its networks, by name.
        ensembles: Several networks of a name, whose output is averaged, by the name and "-ensemble".
        draws: Returns, for pools, a recipe, a seed and the ranks that share the work, the function that draws
            a sample of one frame and its crop.
        class_weights: Returns, for pools, a recipe and the number of classes C, the loss weights of the C + 1
            channels, VOID last.
        mirrored: Averages a refiner's output over an input and its mirror image.
        change: Changes a cropped sample as a recipe asks for, with draws from a generator.
    """

    part: str
    specs: Mapping[str, NetworkSpec[RefinerT]]
    ensembles: Mapping[str, NetworkSpec[RefinerT]]
    draws: Callable[[PoolsT, RecipeT, int, World], Callable[[int, np.random.Generator], Placed[InputT]]]
    class_weights: Callable[[PoolsT, RecipeT, int], Tensor]
    mirrored: Callable[[RefinerT], RefinerT]
    change: Callable[[RecipeT, Sample[InputT], np.random.Generator], Sample[InputT]]

    def build(self, recipe: RecipeT, *, class_count: int, feature_channels: int, seed: int) -> RefinerT:
        """Build an untrained network of the recipe.

        Raises:
            RecipeError: No network has the recipe's name.
        """
        torch.manual_seed(seed)
        spec = look_up(self.specs, recipe.network, what=self.part.replace("-refiner", " refiner"))
        return kernels_for_training(spec.from_recipe(recipe, class_count, feature_channels))

    def batches(
        self, pools: PoolsT, recipe: RecipeT, *, seed: int, world: World = ALONE
    ) -> BatchMaker[InputT]:
        """Return the function that draws the batch of a step, or this rank's slots of it."""
        return BatchMaker[InputT](
            self.draws(pools, recipe, seed, world),
            recipe,
            seed=seed,
            change=partial(self.change, recipe),
            world=world,
        )

    def train(
        self,
        path: Path,
        *,
        refiner: RefinerT,
        pools: PoolsT,
        recipe: RecipeT,
        class_names: tuple[str, ...],
        feature_channels: int,
        facts: dict[str, Any],
        seed: int = 0,
        progress: Progress = silent,
        world: World = ALONE,
    ) -> None:
        """Train `refiner` in place and write it to `path`; a killed training continues.

        With several processes each computes its part of every batch, and the first writes the file.

        Args:
            path: The checkpoint.
            refiner: A network, as `build` returns it, on its device.
            pools: What samples are drawn from.
            recipe: The loss and the training.
            class_names: The classes that it scores, without VOID.
            feature_channels: Channels of the segmenter's features that it was built for.
            facts: Recorded in the card besides the recipe: what the samples were computed with.
            seed: Seed of the batches.
            progress: Called after every step.
            world: The ranks that share the work.

        Raises:
            RecipeError: No loss has the recipe's name.
        """
        device, loss = device_of(refiner), look_up(LOSSES, recipe.loss, what="loss")
        weights = self.class_weights(pools, recipe, len(class_names)).to(device)

        def together(batches: Sequence[Sample[InputT]]) -> list[Sample[InputT]]:
            step = counted([COUNTS[recipe.loss](target_of(batch), weights) for batch in batches], world)
            return [replace(batch, step=step) for batch in batches]

        def loss_of(batch: Sample[InputT]) -> Tensor:
            inputs: Any = batch.inputs.to(device)  # which of the two follows from the kind of refiner
            if isinstance(refiner, ScoresCandidates) and recipe.loss == "cross-entropy":
                return candidate_cross_entropy(refiner.scored(inputs), target_of(batch), weights, batch.step)
            return loss(refiner(inputs), target_of(batch), weights, batch.step)

        def target_of(batch: Sample[InputT]) -> Tensor:
            target = batch.target.to(device, non_blocking=True)
            # VOID is the last class: it is learned like any other.
            return target.masked_fill(target == VOID, len(class_names))

        def card(history: dict[str, Any]) -> Card:
            settings = self.specs[recipe.network].describe(refiner, recipe)
            return Card(
                part=self.part,
                network=recipe.network,
                class_names=class_names,
                settings={**settings, "feature_channels": feature_channels},
                recipe=recipe.to_dict(),
                facts={**facts, "seed": seed, "history": history},
            )

        train_to_checkpoint(
            path,
            module_of(refiner),
            recipe.optimisation,
            batch_at=self.batches(pools, recipe, seed=seed, world=world),
            together=together,
            loss_of=loss_of,
            card=card,
            seed=seed,
            progress=progress,
            task=f"training the {self.part}",
            world=world,
        )

    def load(
        self, path: Path, classes: ClassSet, device: torch.device, *, mirrored: bool
    ) -> tuple[RefinerT, str]:
        """Load a checkpoint; return the refiner with a fingerprint of what it computes.

        Args:
            path: The checkpoint.
            classes: The classes that it has to score.
            device: Where it runs.
            mirrored: Average the output over a frame and its mirror image.

        Raises:
            CheckpointError: The file is missing, damaged, of another class set or of another part.
        """
        specs = {**self.specs, **self.ensembles}
        refiner = load_network(path, specs, part=self.part, classes=classes, device=device)
        fingerprint = fingerprint_of_file(path, CheckpointError)
        return (self.mirrored(refiner), f"{fingerprint}-mirrored") if mirrored else (refiner, fingerprint)


def channel_weights(pixels: Int64[Tensor, " 256"], class_count: int, balance: float) -> Tensor:
    """Return loss weights of the C + 1 channels, VOID last, from the number of pixels of each label."""
    return balanced_weights([*pixels[:class_count].tolist(), int(pixels[VOID])], balance)
