"""Read published weights safely, and load them into a network that names its weights differently."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from warprefine.core.errors import CheckpointError, shorten

_CONTAINERS = ("state_dict", "model_state_dict", "model", "weights")
"""Names under which training programs store the weights, beside their optimiser and options."""
_PREFIX = "module."
"""Prefix of weights that were saved from a network wrapped for training on several GPUs."""
_NO_CHECKPOINT = "is damaged, or no checkpoint of PyTorch or safetensors; fetch it again"
_HARMLESS = [
    # Other content of published files: scores, as numpy values, and command-line arguments.
    np.dtype,
    np.ndarray,
    np.float32,
    np.float64,
    type(np.dtype(np.float32)),
    type(np.dtype(np.float64)),
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    argparse.Namespace,
]


def read_published(path: Path) -> dict[str, Tensor]:
    """Return the weights in a published file, without the prefix that training on several GPUs adds.

    It may be a safetensors file, or one that PyTorch saved. No code in it is ever run: a pickle that
    refers to more than tensors, numbers and strings is rejected.

    Raises:
        CheckpointError: The file is missing, damaged, holds code or holds no weights.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; expected a published checkpoint")
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals(_HARMLESS):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(
                f"{path} would run {refused[1]}; expected tensors, numbers and texts alone, since a file "
                "from elsewhere must not run code; ask its authors for a safetensors file"
            ) from error
        raise CheckpointError(f"{path} {_NO_CHECKPOINT}") from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} {_NO_CHECKPOINT}") from error
    weights = _weights_in(content)
    if not weights:
        held = shorten(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(f"{path} holds {held}, expected tensors by name; is it the right file?")
    return {name.removeprefix(_PREFIX): values for name, values in weights.items()}


def _weights_in(content: object) -> dict[str, Tensor]:
    """Return the tensors by name in a file's content or in the usual containers in it; {} if none."""
    if not isinstance(content, Mapping):
        return {}
    for name in _CONTAINERS:
        if isinstance(content.get(name), Mapping):
            return _weights_in(content[name])
    if not all(isinstance(value, Tensor) for value in content.values()):
        return {}
    return {str(name): value for name, value in content.items()}


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
