"""Read the tensors and the metadata of safetensors files."""

from __future__ import annotations

import math
import stat
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from warprefine.core.errors import CheckpointError, shorten

SAFETENSORS_ERRORS = (SafetensorError, OSError, ValueError, TypeError, KeyError, OverflowError, RuntimeError)
"""What reading a damaged file raises: the header decides the arguments of what is called."""
_LONGEST_NAME = 400
_MOST_EMPTY = 65_536
"""Largest product of the other sides of a tensor without elements, which no numbers bound."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        SafetensorError, OSError, ValueError: The file is missing or damaged; see `SAFETENSORS_ERRORS`.
    """
    check_regular(path)
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for name, values in tensors.items():
        check_name(name)
        check_empty(values.shape)
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """Return the texts that are stored beside the tensors of a file.

    Raises:
        SafetensorError, OSError: The file is missing or damaged; see `SAFETENSORS_ERRORS`.
    """
    check_regular(path)
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def check_regular(path: Path) -> None:
    """Raise if a path is no regular file: opening a pipe or a device could wait for ever.

    Raises:
        OSError: It is missing, a folder or something else.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")


def check_name(name: str) -> None:
    """Raise if the name of a tensor cannot be shown.

    Raises:
        ValueError: It has characters that cannot be printed, or is longer than any name of a weight.
    """
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError("a tensor has a name that cannot be shown")


def check_empty(size: tuple[int, ...]) -> None:
    """Raise if a tensor without elements has sides that its file does not pay for.

    Raises:
        ValueError: The other sides are larger than those of any weights.
    """
    if 0 in size and math.prod(side for side in size if side) > _MOST_EMPTY:
        raise ValueError(f"a tensor without elements has the shape {tuple(size)}")


def check_finite(source: Path | str, weights: Mapping[str, Tensor]) -> None:
    """Raise if a weight is no number or infinite.

    Raises:
        CheckpointError: Some are; the message names their tensors.
    """
    if wrong := [name for name, values in weights.items() if not _is_finite(values)]:
        raise CheckpointError(
            f"{source} has values that are not finite in {shorten(wrong)}, so the training that wrote it "
            "broke down; take an earlier checkpoint of it, or other weights"
        )


def _is_finite(values: Tensor) -> bool:
    if not (values.is_floating_point() or values.is_complex()):
        return True
    # The test is not defined for floats of 8 bits.
    return bool((values.to(torch.float32) if values.dtype.itemsize == 1 else values).isfinite().all())
