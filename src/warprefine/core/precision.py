"""Choose the precision that networks compute in: 16 bits where a device has them, 32 bits elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor

from warprefine.core.protocols import PartT, device_of

_ATTRIBUTE = "computing_precision"
# What ONEDNN_MAX_CPU_ISA may limit oneDNN to that includes bfloat16; what it does not know, it ignores.
_LIMITS_WITHOUT_BFLOAT16 = {
    "SSE41",
    "AVX",
    "AVX2",
    "AVX2_VNNI",
    "AVX2_VNNI_2",
    "AVX512_CORE",
    "AVX512_CORE_VNNI",
}


def native_precision(device: torch.device) -> torch.dtype:
    """Return the shortest floating point type that a device computes in natively, not by emulation.

    Emulated, bfloat16 takes twice the time of float32 on processors with AVX512 alone, and ten times with
    AVX2. On Arm and on Apple's GPUs it is float32.

    Returns:
        bfloat16, float16 (on GPUs that lack bfloat16) or float32.

    Example:
        >>> native_precision(torch.device("meta"))
        torch.float32
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _has_bfloat16() else torch.float32


def precision_of(part: object) -> torch.dtype:
    """Return the precision of a network: the one that it was told to compute in, or its device's own."""
    told = getattr(part, _ATTRIBUTE, None)
    return told if isinstance(told, torch.dtype) else native_precision(device_of(part))


def with_precision(part: PartT, precision: torch.dtype | None) -> PartT:
    """Tell a network which precision to compute in; with None, that of its device."""
    setattr(part, _ATTRIBUTE, precision)
    return part


def computing(part: object) -> torch.autocast:
    """Return the context in which a network computes, for labelling as in training.

    Example:
        >>> network = with_precision(torch.nn.Conv2d(1, 1, 1), torch.bfloat16)
        >>> with torch.inference_mode(), computing(network):
        ...     network(torch.zeros(1, 1, 2, 2)).dtype
        torch.bfloat16
    """
    return in_precision(device_of(part), precision_of(part))


def in_precision(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Return the context in which a device computes in a precision."""
    halved = precision != torch.float32
    return torch.autocast(device.type, precision if halved else None, enabled=halved)


def in_computing_precision(values: Tensor) -> Tensor:
    """Return values in the precision that networks compute in at present, which they would be converted to.

    Many planes are joined in half the time if each is converted before.

    Example:
        >>> with in_precision(torch.device("cpu"), torch.bfloat16):
        ...     in_computing_precision(torch.ones(2)).dtype
        torch.bfloat16
        >>> in_computing_precision(torch.ones(2)).dtype
        torch.float32
    """
    kind = values.device.type
    return values.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else values


def name_of(precision: torch.dtype) -> str:
    """Return the name of a precision: "bfloat16", "float16" or "float32"."""
    return str(precision).removeprefix("torch.")


def precision_named(name: object) -> torch.dtype | None:
    """Return the precision of a name that `name_of` returned; None for any other."""
    kinds = (torch.bfloat16, torch.float16, torch.float32)
    return next((kind for kind in kinds if name_of(kind) == name), None)


def _has_bfloat16() -> bool:
    """Return whether the processor multiplies in bfloat16, and oneDNN may let it."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _LIMITS_WITHOUT_BFLOAT16:
        return False
    return any(_asks(name) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _asks(name: str) -> bool:
    # torch has no public name for them.
    supported: Callable[[], bool] | None = getattr(torch.cpu, name, None)
    return supported is not None and supported()
