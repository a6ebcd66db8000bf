"""Read published weights safely, and load them into a network that names its weights differently."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, shorten
from warprefine.io.file_kinds import other_kind
from warprefine.io.inert_pickle import PickledCodeError, StandIn, entries_of
from warprefine.io.safetensors_files import SAFETENSORS_ERRORS, check_finite, check_name, read_safetensors
from warprefine.io.torch_files import READING_ERRORS, is_tensor, open_torch_file

log = logging.getLogger(__name__)
_CONTAINERS = (
    *("state_dict", "model_state_dict", "model", "weights", "net", "network", "params", "module"),
    # Averages over the training, where there are no others.
    *("ema_state_dict", "state_dict_ema", "model_ema", "params_ema", "ema"),
)
"""Names under which training programs store the weights, first come first."""
_NO_WEIGHTS = ("optim", "sched", "lr_", "scaler", "amp", "rng", "random", "callback", "loop", "hyper")
"""Beginnings of names under which they store other tensors."""
_DEEPEST = 4
_WRAPPERS = ("module", "model", "net", "network", "student")
"""What programs call a network that they hold or wrap, in front of the names of its weights."""
_TRUNKS = ("backbone", "encoder", "trunk")
"""What they call a part of it; it has no such beginning where all of the network is there."""
_WRAPPED_PARTS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Left anywhere in names by what wraps parts of a network."""
_BESIDE = ("criterion", "ema", "loss", "metric", "n_averaged", "teacher", "test_", "train_", "val_")
"""Beginnings of names of other tensors beside a network that is wrapped."""
_REFUSALS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE)
"""What the system says of files that may be sound."""
_NO_CHECKPOINT = "is damaged, or no checkpoint of PyTorch or safetensors"


def read_published(path: Path) -> dict[str, Tensor]:
    """Return the weights in a published file, by their names in the network that was published.

    It may be a safetensors file, or one that PyTorch saved; its first bytes tell which. No code in it is
    ever run, and no class or function that it names is looked up. Weights are found under the usual names
    (`state_dict`, `model`, `ema`, ...), and beginnings that training programs put in front of all names
    (`module.`, `model.`, `_orig_mod.`, ...) are dropped.

    Raises:
        CheckpointError: The file is missing, damaged or something else, names code, holds no weights, or
            weights that are not finite.
    """
    try:
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; expected a published checkpoint")
        if kind := other_kind(path):
            raise CheckpointError(f"{path} is {kind}; expected a checkpoint of PyTorch or safetensors")
        weights = _from_safetensors(path) if _is_safetensors(path) else _from_pytorch(path)
    except PickledCodeError as error:
        raise CheckpointError(
            f"{path} would run {_printable(str(error))}; expected tensors, numbers and texts alone, since a "
            "file from elsewhere must not run code; ask its authors for a safetensors file"
        ) from error
    except (*SAFETENSORS_ERRORS, *READING_ERRORS) as error:
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            raise CheckpointError(
                f"{path} cannot be read ({error.strerror}); change its permissions, or name another file"
            ) from error
        empty = "" if path.stat().st_size else " (it is empty)"
        raise CheckpointError(f"{path} {_NO_CHECKPOINT}{empty}; fetch it again") from error
    check_finite(path, weights)
    return weights


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins with the length of a header, and a header in JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def _from_safetensors(path: Path) -> dict[str, Tensor]:
    tensors = read_safetensors(path)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; is it the right file?")
    return {short: tensors[name] for name, short in _short_names(tensors).items()}


def _from_pytorch(path: Path) -> dict[str, Tensor]:
    with open_torch_file(path) as file:
        found = _weights_in(path, file.content, set())
        if not found:
            raise CheckpointError(f"{path} holds {_shown(file.content)}; is it the right file?")
        return {short: file.tensor(found[name]) for name, short in _short_names(found).items()}


def _weights_in(path: Path, content: object, seen: set[int], depth: int = 0) -> Mapping[str, StandIn]:
    """Return the tensors by name in a file's content or in the usual containers in it; {} if none."""
    entries = entries_of(content)
    if not entries or id(content) in seen or depth > _DEEPEST:
        return {}
    seen.add(id(content))
    for name in _CONTAINERS:
        if inner := _weights_in(path, entries.get(name), seen, depth + 1):
            return inner
    texts = {name: value for name, value in entries.items() if isinstance(name, str)}
    own = {name: value for name, value in texts.items() if is_tensor(value)}
    others = {
        name: found
        for name, value in texts.items()
        if not name.startswith(_NO_WEIGHTS) and (found := _weights_in(path, value, seen, depth + 1))
    }
    if len(others) > 1 and not own:
        raise CheckpointError(
            f"{path} holds tensors under {_listed(others)}; expected one network: save the one you mean "
            "in a file of its own"
        )
    for name, found in others.items():
        if len(found) > len(own):
            log.info("%s: the weights are taken from %s", path, _printable(name))
            return found
    return own


def _short_names(names: Iterable[str]) -> dict[str, str]:
    """Map names of weights to what is left of them without the beginnings that programs add."""
    short = {}
    for name in names:
        check_name(name)
        short[name] = name
        for part in _WRAPPED_PARTS:
            short[name] = short[name].replace(part, "")
    while wrapper := _wrapper_of(short.values()):
        short = {
            name: left.removeprefix(f"{wrapper}.")
            for name, left in short.items()
            if left.startswith(f"{wrapper}.") or not left.startswith(_BESIDE)
        }
    return short


def _wrapper_of(names: Iterable[str]) -> str | None:
    """Return the beginning that names share, other than those of averages, losses and scores."""
    own = [name for name in names if not name.startswith(_BESIDE)]
    firsts = Counter(name.partition(".")[0] for name in own if "." in name)
    for first, count in firsts.items():
        if (first in _WRAPPERS and 2 * count > len(own)) or (first in _TRUNKS and count == len(own)):
            return first
    return None


def _shown(content: object) -> str:
    """Describe what a file holds in place of weights."""
    if isinstance(content, StandIn) and not content.entries:
        attributes = entries_of(content.state) or {}
        kind = "a whole network" if "_modules" in attributes else "an object"
        return f"{kind} ({_printable(content.name)}), expected its weights alone: its state_dict()"
    entries = entries_of(content)
    if entries is None:
        return f"{type(content).__name__}, expected tensors by name"
    if (place := _numpy_in(entries)) is not None:
        where = f" under {_listed([place])}" if place else ""
        return (
            f"arrays of numpy{where}, expected tensors: where you trust the file, load it, and write them "
            "with torch.save({name: torch.from_numpy(array) for name, array in ...}, OTHER)"
        )
    networks = [
        name
        for name, value in entries.items()
        if isinstance(value, StandIn) and "_modules" in (entries_of(value.state) or {})
    ]
    if networks:
        return f"a whole network as {_listed(networks)}, expected its weights alone: its state_dict()"
    return f"{_listed(entries) or 'nothing'}, expected tensors by name, or under {shorten(_CONTAINERS, 3)}"


def _numpy_in(entries: Mapping[Any, object]) -> str | None:
    """Return the name under which arrays of numpy lie, "" for the top; None if there are none."""
    for name, values in (("", entries), *entries.items()):
        inner = (entries_of(values) or {}).values()
        if any(isinstance(value, StandIn) and value.name.startswith("numpy.") for value in inner):
            return str(name)
    return None


def _listed(names: Iterable[object]) -> str:
    return shorten(_printable(name) if isinstance(name, str) else type(name).__name__ for name in names)


def _printable(text: str) -> str:
    """Return a text of a file as far as a terminal can show it in a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:100])


def load_renamed(
    network: nn.Module, published: Mapping[str, Tensor], published_name: Callable[[str], str], *, name: str
) -> None:
    """Load published weights into a network, all of them or none.

    Args:
        published: The weights; the batch counts of batch normalisation may be missing, as in old files.
        published_name: Translates the network's own name of a weight into the published one.
        name: The network's name in error messages.

    Raises:
        CheckpointError: A weight is missing, left over or of another shape.
    """
    weights = network.state_dict()
    wanted = {published_name(own): own for own in weights}
    remedy = f"these are not the weights of {name} as published"
    missing = [theirs for theirs in wanted if theirs not in published]
    if missing := [theirs for theirs in missing if not theirs.endswith("num_batches_tracked")]:
        raise CheckpointError(f"the weights of {name} lack {shorten(missing)}; {remedy}")
    if left_over := [theirs for theirs in published if theirs not in wanted]:
        raise CheckpointError(f"{name} has no place for the weights {shorten(left_over)}; {remedy}")
    for theirs, values in published.items():
        expected = tuple(weights[wanted[theirs]].shape)
        if tuple(values.shape) != expected:
            raise CheckpointError(
                f"{theirs} of {name} has shape {tuple(values.shape)}, expected {expected}; {remedy}"
            )
        weights[wanted[theirs]] = values
    network.load_state_dict(weights)
