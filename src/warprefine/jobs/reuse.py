"""Use checkpoints of another run, after checking that they fit together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warprefine.core.errors import CheckpointError, RecipeError, shorten
from warprefine.io.atomic import copy_file
from warprefine.io.checkpoints import check_classes, fact_of, read_card
from warprefine.io.fingerprints import fingerprint_of_file
from warprefine.jobs.context import RunContext
from warprefine.jobs.networks import Networks
from warprefine.propagation.methods import METHODS, Need, needs_of
from warprefine.recipe.plus import CarrySettings
from warprefine.training.teachers import BASE

PARTS: tuple[Need, ...] = ("segmenter", "refiner", "two-sided-refiner")
"""What can come from another run; the first is the segmenter that the others were trained with."""


def use_checkpoints(networks: Networks, given: Mapping[str, Path | None], methods: Sequence[str]) -> None:
    """Copy checkpoints into a run, after checking that `methods` have all that they need.

    Args:
        networks: The networks of the run that is to use them.
        given: A checkpoint for some of `PARTS`; the others have to be in the run already.
        methods: The methods that the run labels with.

    Raises:
        CheckpointError: One is missing, damaged, of another class set or another part, a refiner does not
            fit the segmenter or the settings under [plus.carry], or the run has other weights.
        RecipeError: tau is needed, and neither in the run nor given.
    """
    context, needs = networks.context, needs_of(methods)
    paths = {part: given.get(part) or context.run.checkpoint_path(part) for part in PARTS}
    needed = {part for part in PARTS if part in needs}
    if not context.recipe.plus.refiner.enabled:
        needed.discard("two-sided-refiner")
    for part, path in paths.items():
        if given.get(part) or part in needed:
            _check_kind(path, part)
            check_classes(path, read_card(path), context.dataset.classes)
            _check_free(path, context.run.checkpoint_path(part))
    for part in sorted(needed - {"segmenter"}):
        segmenter, _ = networks.load_segmenter(paths["segmenter"])
        _check_features(paths[part], segmenter.feature_channels)
    if given.get("two-sided-refiner"):
        _check_carried_alike(paths["two-sided-refiner"], context.recipe.plus.carry)
    if "tau" in needs and not (given.get("refiner") or networks.tau_is_known):
        users = sorted(method for method in methods if "tau" in METHODS[method].needs)
        raise RecipeError(
            f"{context.run.root} has no tau, which {shorten(users)} needs; name a --refiner, "
            "whose tau is then used, or set tau under [propagation] in the --recipe"
        )
    for part, path in paths.items():
        if given.get(part):
            copy_file(path, context.run.checkpoint_path(part))


def use_base(context: RunContext, given: Path) -> None:
    """Copy a base segmenter into a run, which adapts it to the key frames instead of training one.

    Args:
        context: The run.
        given: A checkpoint, or the folder of a run that has one.

    Raises:
        CheckpointError: It is missing, damaged, of another class set, network or part, or the run
            has another.
    """
    path = given / "checkpoints" / f"{BASE}.safetensors" if given.is_dir() else given
    if given.is_dir() and not path.exists():
        raise CheckpointError(
            f"{given} holds no base segmenter ({path.name}); expected a run with --also-train, or a "
            "checkpoint"
        )
    _check_kind(path, "segmenter")
    card, network = read_card(path), context.recipe.segmenter.network
    check_classes(path, card, context.dataset.classes)
    if card.network != network:
        raise CheckpointError(
            f"{path} holds the network {card.network}, but the recipe names {network}; "
            f"give the recipe.toml of its own run as --recipe, or another --base"
        )
    target = context.run.checkpoint_path(BASE)
    _check_free(path, target)
    copy_file(path, target)


def _check_kind(path: Path, part: str) -> None:
    found = read_card(path).part
    if found != part:
        raise CheckpointError(f"{path} holds a {found}, expected a {part}; name the other file as --{part}")


def _check_free(source: Path, target: Path) -> None:
    """Refuse to replace weights that a run has by others."""
    if target.exists() and fingerprint_of_file(target, CheckpointError) != fingerprint_of_file(
        source, CheckpointError
    ):
        raise CheckpointError(
            f"{target} is there already and differs from {source}; choose another --out to use that one"
        )


def _check_features(refiner: Path, feature_channels: int) -> None:
    """Refuse a refiner that was trained on the features of a segmenter of another shape."""
    wanted = read_card(refiner).settings.get("feature_channels")
    if wanted not in (0, feature_channels):
        raise CheckpointError(
            f"{refiner} expects a segmenter with {wanted} feature channels, but the one here has "
            f"{feature_channels}; name the --segmenter that it was trained with"
        )


def _check_carried_alike(refiner: Path, carry: CarrySettings) -> None:
    """Refuse a two-sided refiner that was trained on labels carried with other settings."""
    trained, now = fact_of(refiner, read_card(refiner), "carry", dict), carry.to_dict()
    if differing := [key for key in now if trained.get(key) != now[key]]:
        raise CheckpointError(
            f"{refiner} was trained with {_listed(trained, differing)}, but the recipe has "
            f"{_listed(now, differing)} under [plus.carry]; give the recipe.toml of its own run as --recipe"
        )


def _listed(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} = {json.dumps(settings.get(key))}" for key in keys)
