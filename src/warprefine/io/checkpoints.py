"""Store weights as safetensors with a card: what network, which classes, which recipe."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, cut
from warprefine.io.atomic import write_bytes

log = logging.getLogger(__name__)
_CARD = "warprefine"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a checkpoint is: enough to build the network again and to refuse a wrong one.

    `settings` are the network's constructor arguments, `recipe` how it was trained, `facts` what
    was measured on the way (the chosen tau, the validation score).
    """

    part: str
    network: str
    class_names: tuple[str, ...]
    settings: dict[str, Any]
    recipe: dict[str, Any]
    facts: dict[str, Any]


def save_checkpoint(path: Path, network: nn.Module, card: Card) -> None:
    """Write the weights and card of a network, whole or not at all."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_bytes(path, save(tensors, metadata={_CARD: json.dumps(card.__dict__, sort_keys=True)}))


def read_card(path: Path) -> Card:
    """Return the card of a checkpoint.

    Raises:
        CheckpointError: The file is missing, damaged or was not written by `save_checkpoint`.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; train it first, or name another checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})[_CARD])
        return Card(**{**content, "class_names": tuple(content["class_names"])})
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of warprefine, or it is damaged; "
            "expected a .safetensors file written by `warprefine train`; train it again"
        ) from error


def load_weights(path: Path, network: nn.Module) -> None:
    """Fill `network` from a checkpoint; every tensor must fit.

    Raises:
        CheckpointError: The file is missing or damaged, or keys or shapes differ.
    """
    tensors = _tensors(path)
    _check_shapes(path, network.state_dict(), tensors, remedy="use the recipe it was trained with")
    network.load_state_dict(tensors)


def begin_from(path: Path, network: nn.Module) -> None:
    """Give a network, or its trunk, the weights of an imported checkpoint to begin its training from.

    Scores of classes are left as they are where the checkpoint knows another number of classes.

    Raises:
        CheckpointError: The file is missing or damaged, it holds a trunk and the network has none, or keys
            or shapes differ.
    """
    card, tensors = read_card(path), _tensors(path)
    target = getattr(network, "trunk", None) if card.part == "trunk" else network
    if not isinstance(target, nn.Module):
        raise CheckpointError(
            f"{path} holds a trunk ({card.network}), but the network of the recipe has none; "
            'choose a network that is built on it, or set weights = "" under [segmenter]'
        )
    weights = target.state_dict()
    counts = (len(card.class_names), getattr(network, "class_count", 0))
    anew = sorted(key for key, value in tensors.items() if _scores(value, weights.get(key), counts))
    used = {key: weights[key] if key in anew else value for key, value in tensors.items()}
    _check_shapes(path, weights, used, remedy=f"it holds the {card.part} {card.network}; name that network")
    if anew:
        log.info("%s knows %d classes; anew: %s", path, len(card.class_names), cut(anew))
    target.load_state_dict(used)


def _scores(stored: Tensor, wanted: Tensor | None, class_counts: tuple[int, int]) -> bool:
    """Say whether two tensors differ in nothing but the number of classes that they score."""
    if wanted is None or stored.shape == wanted.shape or stored.shape[1:] != wanted.shape[1:]:
        return False
    return (stored.shape[0], wanted.shape[0]) == class_counts


def own_memory(network: nn.Module) -> None:
    """Move every weight and buffer into memory that torch has laid out for it.

    Another library may hand out weights that lie where its file lies in memory, at any address. Kernels are
    chosen by address too, and differ in the last bits: what a network computes must not depend on that.
    """
    for values in (*network.parameters(), *network.buffers()):
        values.data = values.detach().clone(memory_format=torch.preserve_format)


def check_classes(path: Path, card: Card, classes: ClassSet) -> None:
    """Refuse a checkpoint of another class set.

    Raises:
        CheckpointError: Names or order of the classes differ.
    """
    if card.class_names != classes.names:
        raise CheckpointError(
            f"{path} was trained for the classes {cut(card.class_names)} ({len(card.class_names)}), but the "
            f"data set has {cut(classes.names)} ({len(classes)}); train anew, or name another checkpoint"
        )


def _check_shapes(
    path: Path, weights: Mapping[str, Tensor], stored: Mapping[str, Tensor], *, remedy: str
) -> None:
    wanted = {key: tuple(value.shape) for key, value in weights.items()}
    found = {key: tuple(value.shape) for key, value in stored.items()}
    differing = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
    if differing:
        raise CheckpointError(
            f"{path} does not fit the network: {cut(differing)} missing, left over or of another shape; "
            f"{remedy}"
        )


def fingerprint(path: Path) -> str:
    """Return a short hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is missing or damaged ({error}); train it again or restore the file"
        ) from error
