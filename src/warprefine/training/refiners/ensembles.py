"""Train the members of an ensemble of two-sided refiners, and join them in one checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from warprefine.core.protocols import module_of
from warprefine.io.checkpoints import load_weights, read_card, save_checkpoint
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement import ENSEMBLES
from warprefine.training.engine.checkpoint import is_trained
from warprefine.training.engine.distributed import World

APART = 1000
"""How far the seeds of members are apart: those of runs are near each other."""


def train_members(
    path: Path,
    recipe: TwoSidedRefinerRecipe,
    train: Callable[[Path, TwoSidedRefinerRecipe, int], None],
    *,
    seed: int,
    world: World,
) -> None:
    """Train the members of an ensemble one after the other, and write them to one checkpoint.

    Members lie beside it until all are there, so that a killed training goes on where it was.

    Args:
        path: The checkpoint.
        recipe: A recipe with several members.
        train: Trains a network of a recipe with one member, from a seed, and writes its checkpoint.
        seed: Seed of the first member.
        world: The ranks that share the work.
    """
    alone = recipe.model_copy(update={"members": 1})
    members = [path.with_name(f"{path.stem}-member{number}.safetensors") for number in range(recipe.members)]
    for number, member in enumerate(members):
        if not is_trained(member):
            train(member, alone, seed + APART * number)
    with world.parting():
        if world.is_first:
            _join(path, members, recipe)


def _join(path: Path, members: list[Path], recipe: TwoSidedRefinerRecipe) -> None:
    """Write an ensemble, and delete the checkpoints of its members."""
    card = read_card(members[0])
    name = f"{card.network}-ensemble"
    channels = card.settings["feature_channels"]
    ensemble = module_of(ENSEMBLES[name].from_recipe(recipe, len(card.class_names), channels))
    for member, network in zip(members, ensemble.members, strict=True):  # type: ignore[arg-type]
        load_weights(member, network)
    settings = ENSEMBLES[name].describe(ensemble, recipe)
    joined = replace(
        card,
        network=name,
        settings={**settings, "feature_channels": channels},
        recipe=recipe.to_dict(),
        facts={**card.facts, "members": [read_card(member).facts["seed"] for member in members]},
    )
    save_checkpoint(path, ensemble, joined)
    for member in members:
        member.unlink()
