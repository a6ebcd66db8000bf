"""Save and load weights as safetensors with a card: the network, its classes and its recipe."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, nn

from warprefine.core.classes import ClassSet
from warprefine.core.errors import CheckpointError, shorten
from warprefine.core.names import look_up
from warprefine.core.network_spec import NetworkSpec
from warprefine.core.protocols import module_of, ready
from warprefine.core.tensors import VOID
from warprefine.io.atomic import write_bytes
from warprefine.io.bounded_building import bounded_building, first_line
from warprefine.io.class_rows import ClassRows
from warprefine.io.fingerprints import fingerprint_of
from warprefine.io.safetensors_files import SAFETENSORS_ERRORS, check_finite, read_metadata, read_safetensors

log = logging.getLogger(__name__)
_CARD = "warprefine"
NetworkT = TypeVar("NetworkT")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Card:
    """Metadata of a checkpoint: enough to build the network again and to reject a wrong one.

    Attributes:
        part: The role of the network, such as "segmenter", "refiner" or "trunk".
        network: The name of its architecture.
        class_names: Names of its classes, in order.
        settings: Its constructor arguments.
        recipe: How it was trained.
        facts: Measurements from its training (the chosen tau, the validation score).
    """

    part: str
    network: str
    class_names: tuple[str, ...]
    settings: dict[str, Any]
    recipe: dict[str, Any]
    facts: dict[str, Any]


def save_checkpoint(path: Path, network: nn.Module, card: Card) -> None:
    """Write the weights and card of a network atomically."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_bytes(path, save(tensors, metadata={_CARD: json.dumps(card.__dict__, sort_keys=True)}))


def read_card(path: Path) -> Card:
    """Return the card of a checkpoint.

    Raises:
        CheckpointError: The file is missing, damaged or was not written by `save_checkpoint`.
    """
    try:
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; train it first, or name another checkpoint")
        if path.is_dir():
            raise CheckpointError(
                f"{path} is a folder; expected a .safetensors file, such as "
                f"{path / 'checkpoints/segmenter.safetensors'} of a run"
            )
        return _card(json.loads(read_metadata(path)[_CARD]))
    except PermissionError as error:
        raise CheckpointError(f"{path} may not be read; change its permissions") from error
    except SAFETENSORS_ERRORS as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of warprefine, or it is damaged; "
            "expected a .safetensors file written by `warprefine train`; train it again"
        ) from error


def _card(content: Any) -> Card:
    """Return the card that was stored as this; whoever wrote the file, its entries have the right types."""
    names, others = content["class_names"], {key: content[key] for key in content if key != "class_names"}
    texts, tables = ("part", "network"), ("settings", "recipe", "facts")
    if {*others} != {*texts, *tables}:
        raise ValueError("entries of the card are missing or unknown")
    if not all(isinstance(text, str) for text in (*names, *map(others.get, texts))):
        raise TypeError("a name in the card is no text")
    if not all(isinstance(others[table], dict) for table in tables) or len(names) > VOID:
        raise TypeError("the card has no tables of settings, or too many classes")
    return Card(**others, class_names=tuple(names))


def fact_of(path: Path, card: Card, name: str, kind: type[T]) -> T:
    """Return a measurement that a checkpoint's training recorded.

    Raises:
        CheckpointError: There is none, or it has another form.
    """
    value = card.facts.get(name)
    if not isinstance(value, kind):
        raise CheckpointError(f"{path} records no {kind.__name__} called {name}; train it again")
    return value


def build_from_card(path: Path, make: Callable[[], T]) -> T:
    """Return the network that `make` builds with settings of a checkpoint's card.

    Raises:
        CheckpointError: It cannot be built, or is far larger than the weights in the file.
    """
    with bounded_building(path, path.stat().st_size):
        return make()


def load_weights(path: Path, network: nn.Module) -> None:
    """Load the weights of a checkpoint into `network`; every tensor must fit.

    Raises:
        CheckpointError: The file is missing or damaged, or keys or shapes differ.
    """
    tensors = _tensors(path)
    _check_shapes(path, network.state_dict(), tensors, remedy="use the recipe it was trained with")
    network.load_state_dict(tensors)


def load_network(
    path: Path,
    specs: Mapping[str, NetworkSpec[NetworkT]],
    *,
    part: str,
    classes: ClassSet | None = None,
    device: torch.device,
) -> NetworkT:
    """Build the network that a checkpoint holds, with its weights, in evaluation mode.

    Args:
        path: The checkpoint.
        specs: Networks of its kind, by name.
        part: What the checkpoint has to hold, such as "segmenter".
        classes: The classes that it has to score; None accepts any.
        device: Where the network runs.

    Raises:
        CheckpointError: The file is missing or damaged, holds another part, or scores other classes.
    """
    card = read_card(path)
    check_part(path, card, part)
    if classes is not None:
        check_classes(path, card, classes)
    spec = look_up(specs, card.network, what=part)
    network = build_from_card(path, lambda: spec.from_card(card.settings, len(card.class_names)))
    load_weights(path, module_of(network))
    return ready(network, device)


def begin_from(
    path: Path,
    network: nn.Module,
    *,
    class_names: Sequence[str] | None = None,
    head: Callable[[], Set[str]] = frozenset,
) -> None:
    """Initialise a network, or its trunk, with the weights of an imported checkpoint.

    Where the checkpoint has other classes, layers of class scores are left as they are, but for the rows of
    classes of the same name.

    Args:
        class_names: Classes of the network; None for those of the checkpoint if it has as many.
        head: Returns the names of the weights whose shape depends on the number of classes.

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
    used = dict(tensors)
    if card.part != "trunk" and class_names is not None and tuple(class_names) != card.class_names:
        rows = ClassRows(stored=card.class_names, names=class_names)
        used |= {key: rows.moved(weights[key], tensors[key]) for key in head() & tensors.keys()}
        log.info("%s: %s", path, rows.describe())
    counts = (len(card.class_names), getattr(network, "class_count", 0))
    skipped = sorted(
        key for key, value in used.items() if _differ_in_classes(value, weights.get(key), counts)
    )
    used |= {key: weights[key] for key in skipped}
    _check_shapes(path, weights, used, remedy=f"it holds the {card.part} {card.network}; name that network")
    if skipped:
        log.info("%s has %d classes; not loaded: %s", path, len(card.class_names), shorten(skipped))
    target.load_state_dict(used)


def differing_shapes(network: nn.Module, other: nn.Module) -> frozenset[str]:
    """Return the names of the weights that have another shape in another network, or are not in it."""
    shapes = {name: values.shape for name, values in other.state_dict().items()}
    return frozenset(
        name for name, values in network.state_dict().items() if values.shape != shapes.get(name)
    )


def _differ_in_classes(stored: Tensor, wanted: Tensor | None, class_counts: tuple[int, int]) -> bool:
    """Return whether the shapes of two tensors differ in the number of classes alone."""
    if wanted is None or stored.shape == wanted.shape or stored.shape[1:] != wanted.shape[1:]:
        return False
    return (stored.shape[0], wanted.shape[0]) == class_counts


def own_memory(network: nn.Module) -> None:
    """Copy every weight and buffer into memory that torch allocated.

    Another library may return weights that are views of a file mapped into memory, at any address. Kernels
    are chosen by address too, and differ in the last bits: a network's outputs must not depend on that.
    """
    for values in (*network.parameters(), *network.buffers()):
        values.data = values.detach().clone(memory_format=torch.preserve_format)


def weights_fingerprint(part: object) -> str:
    """Return a short hash of a network's weights; of its name, if it has none."""
    if not isinstance(part, nn.Module):
        return fingerprint_of(getattr(part, "name", type(part).__name__))
    tensors = {  # copies, because `save` refuses weights that share memory
        name: values.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, values in part.state_dict().items()
    }
    return fingerprint_of(type(part).__name__, hashlib.sha256(save(tensors)).hexdigest())


def check_part(path: Path, card: Card, part: str) -> None:
    """Raise if a checkpoint holds another part.

    Raises:
        CheckpointError: It holds something else.
    """
    if card.part != part:
        raise CheckpointError(f"{path} holds a {card.part}, expected a {part}; name another checkpoint")


def check_classes(path: Path, card: Card, classes: ClassSet) -> None:
    """Raise if a checkpoint was trained for another class set.

    Raises:
        CheckpointError: Names or order of the classes differ.
    """
    if card.class_names != classes.names:
        raise CheckpointError(
            f"{path} was trained for the classes {shorten(card.class_names)} ({len(card.class_names)}), "
            f"but the data set has {shorten(classes.names)} ({len(classes)}); train anew, "
            "or name another checkpoint"
        )


def _check_shapes(
    path: Path, weights: Mapping[str, Tensor], stored: Mapping[str, Tensor], *, remedy: str
) -> None:
    wanted = {key: tuple(value.shape) for key, value in weights.items()}
    found = {key: tuple(value.shape) for key, value in stored.items()}
    differing = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
    if differing:
        raise CheckpointError(
            f"{path} does not fit the network: {shorten(differing)} missing, left over or of another shape; "
            f"{remedy}"
        )


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors = read_safetensors(path)
    except SAFETENSORS_ERRORS as error:
        raise CheckpointError(
            f"{path} is missing or damaged ({first_line(error)}); train it again or restore the file"
        ) from error
    check_finite(path, tensors)
    return tensors
