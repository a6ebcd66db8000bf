"""Build networks whose sizes a file decides, without more memory than the file's own weights take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from warprefine.core.errors import CheckpointError

_PER_STORED_BYTE = 8
"""Bytes that may be built for each in the file: weights may be stored in half the width, and built twice."""
_ALWAYS = 32_000_000
"""Bytes that may be built in any case: buffers that are not stored."""
_MOST_MODULES = 20_000
"""The largest networks in use have a few thousand."""
BUILDING_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the constructors of networks raise on settings that fit no network."""


@contextmanager
def bounded_building(path: Path, stored_bytes: int) -> Iterator[None]:
    """Limit the networks that are built within by the size of the weights that they are built for.

    Args:
        path: The file or folder whose settings decide the sizes, for the message.
        stored_bytes: Size of its weights.

    Raises:
        CheckpointError: The networks need far more memory than the weights, or cannot be built at all.
    """
    left, modules = _ALWAYS + _PER_STORED_BYTE * stored_bytes, _MOST_MODULES

    def count_values(module: nn.Module, name: str, values: Tensor | None) -> None:
        nonlocal left
        left -= 0 if values is None else values.numel() * values.element_size()
        check()

    def count_module(module: nn.Module, name: str, part: nn.Module | None) -> None:
        nonlocal modules
        modules -= 1
        check()

    def check() -> None:
        if left < 0 or modules < 0:
            raise CheckpointError(
                f"the settings in {path} describe a network that is far larger than its weights; they do not "
                "belong together: fetch it again, or write it again with what trained it"
            )

    handles = (
        register_module_parameter_registration_hook(count_values),
        register_module_buffer_registration_hook(count_values),
        register_module_module_registration_hook(count_module),
    )
    try:
        yield
    except BUILDING_ERRORS as error:
        raise CheckpointError(
            f"the settings in {path} describe no network that can be built ({first_line(error)}); fetch it "
            "again, or write it again with what trained it"
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error that is not blank, or its type.

    Example:
        >>> first_line(KeyError())
        'KeyError'
    """
    shown = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return "".join(letter for letter in shown[:300] if letter.isprintable())
