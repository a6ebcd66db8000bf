"""Train a refiner of sides: two key frames' labels go in, the hand-made labels between should come out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError
from warprefine.core.names import look_up
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import channels_last
from warprefine.core.tensors import VOID, Frames
from warprefine.io.checkpoints import Card, check_classes, load_weights, read_card, save_checkpoint
from warprefine.ops.soft_labels import SoftLabels
from warprefine.refinement import SIDE_REFINERS
from warprefine.refinement.sides import Side, SideRefiner, SidesInput, stack
from warprefine.refinement.two_sided import MirroredTwoSided
from warprefine.training.crops import Window, jitter
from warprefine.training.loop import train
from warprefine.training.losses import LOSSES, balanced_weights
from warprefine.training.side_recipe import SideRefinerRecipe
from warprefine.training.side_samples import SidePool, SideSample

PART = "side-refiner"
"""What a checkpoint's card calls it."""

Shares = Sequence[tuple[SidePool, float]]
"""Pools and how often each is drawn from; only the ratios of the shares count."""

_WHOLE = 1 << 40
"""Pixels that frequencies are counted in, so many that rounding does not show."""


class SideBatchMaker:
    """Make the batch of a step as a pure function of the seed and the step's number."""

    def __init__(self, pools: Shares, recipe: SideRefinerRecipe, *, seed: int) -> None:
        self._pools = [pool for pool, _ in pools]
        self._shares = _normalised(pools)
        self._recipe, self._seed = recipe, seed

    def __call__(self, step: int) -> SideSample:
        """Return the batch of a step."""
        samples = []
        for slot in range(self._recipe.optimisation.batch):
            rng = np.random.default_rng((self._seed, step, slot))
            pool = self._pools[int(rng.choice(len(self._pools), p=self._shares))]
            samples.append(vary(pool.draw(rng), self._recipe, rng))
        return SideSample(
            seen=stack([sample.seen for sample in samples]),
            target=torch.cat([sample.target for sample in samples]),
        )


def vary(sample: SideSample, recipe: SideRefinerRecipe, rng: np.random.Generator) -> SideSample:
    """Crop a sample (b = 1), mirror half of them, and change the colours of all its pictures alike."""
    seen = sample.seen
    window = Window.drawn((seen.frame.shape[-2], seen.frame.shape[-1]), recipe.crop, rng)
    near, far = seen.sides
    images = [window.cut(image) for image in (seen.frame, near.warped_frame, far.warped_frame)]
    frame, near_frame, far_frame = jitter(images, recipe.jitter, rng)
    return SideSample(
        seen=SidesInput(
            frame=frame,
            sides=(_cut(near, window, near_frame), _cut(far, window, far_frame)),
            segmentation=window.cut_segmentation(seen.segmentation),
        ),
        target=window.cut(sample.target),
    )


def _cut(side: Side, window: Window, warped_frame: Frames) -> Side:
    return Side(
        soft=SoftLabels(labels=window.cut(side.soft.labels), shares=window.cut(side.soft.shares)),
        trust=window.cut(side.trust),
        warped_frame=warped_frame,
        distance=side.distance,
    )


def build_side_refiner(
    recipe: SideRefinerRecipe, *, class_count: int, feature_channels: int, seed: int
) -> nn.Module:
    """Make an untrained network of the recipe.

    Raises:
        RecipeError: No network has the recipe's name.
    """
    torch.manual_seed(seed)
    kind = look_up(SIDE_REFINERS, recipe.network, what="refiner of sides")
    return channels_last(kind.from_recipe(recipe, class_count, feature_channels))


def train_side_refiner(
    path: Path,
    *,
    network: nn.Module,
    pools: Shares,
    recipe: SideRefinerRecipe,
    class_names: tuple[str, ...],
    feature_channels: int,
    facts: dict[str, Any],
    seed: int = 0,
    progress: Progress = silent,
) -> None:
    """Train `network` in place and write it to `path`; a training that was killed goes on.

    Args:
        pools: What samples are drawn from, and how often.
        facts: What belongs to the weights besides the recipe: what the samples were made with.

    Raises:
        RecipeError: No loss has the recipe's name.
    """
    device = next(network.parameters()).device
    refiner = cast(SideRefiner, network)
    loss = look_up(LOSSES, recipe.loss, what="loss")
    weights = _class_weights(pools, len(class_names), recipe.optimisation.class_balance).to(device)
    weights[-1] *= recipe.void_weight

    def loss_of(batch: SideSample) -> Tensor:
        target = batch.target.to(device)
        # VOID is the refiner's last class: it is learned like any other.
        return loss(
            refiner(batch.seen.to(device)), target.masked_fill(target == VOID, len(class_names)), weights
        )

    state_path = path.with_suffix(".state")
    history = train(
        network,
        recipe.optimisation,
        batch_at=SideBatchMaker(pools, recipe, seed=seed),
        loss_of=loss_of,
        state_path=state_path,
        seed=seed,
        progress=progress,
        task="training the refiner of sides",
    )
    card = Card(
        part=PART,
        network=recipe.network,
        class_names=class_names,
        settings={
            **SIDE_REFINERS[recipe.network].describe(network, recipe),
            "feature_channels": feature_channels,
        },
        recipe=recipe.model_dump(mode="json"),
        facts={**facts, "seed": seed, "history": history},
    )
    save_checkpoint(path, network, card)
    state_path.unlink(missing_ok=True)


def load_side_refiner(path: Path, classes: ClassSet, device: torch.device, *, mirrored: bool) -> SideRefiner:
    """Load the checkpoint of a refiner of sides.

    Args:
        mirrored: Average what it says of a frame and of its mirror image.

    Raises:
        CheckpointError: The file is missing, damaged, of another class set or of another part.
    """
    card = read_card(path)
    if card.part != PART:
        raise CheckpointError(f"{path} holds a {card.part}, expected a {PART}; name another checkpoint")
    check_classes(path, card, classes)
    settings = dict(card.settings)
    kind = look_up(SIDE_REFINERS, card.network, what="refiner of sides")
    network = kind.from_card(settings, len(classes), settings.pop("feature_channels"))
    load_weights(path, network)
    refiner = cast(SideRefiner, channels_last(network).to(device).eval())
    return cast(SideRefiner, MirroredTwoSided(refiner)) if mirrored else refiner


def _normalised(pools: Shares) -> list[float]:
    shares = [share for _, share in pools]
    assert min(shares) >= 0 < max(shares), "shares are at least 0, and not all 0"
    return [share / sum(shares) for share in shares]


def _class_weights(pools: Shares, class_count: int, balance: float) -> Tensor:
    """Return loss weights of the C + 1 channels, VOID last, by how often samples show each."""
    frequency = torch.zeros(VOID + 1, dtype=torch.float64)
    for (pool, _), share in zip(pools, _normalised(pools), strict=True):
        pixels = pool.class_pixels()
        frequency += share * pixels / pixels.sum()
    counted = (frequency * _WHOLE).round().long()
    return balanced_weights([*counted[:class_count].tolist(), int(counted[VOID])], balance)
