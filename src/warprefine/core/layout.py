"""Choose the layout in memory in which networks convolve fastest: channels last, but for some trainings."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import torch
from torch import Tensor

from warprefine.core.precision import in_computing_precision
from warprefine.core.protocols import PartT, channels_last, module_of

# What ONEDNN_MAX_CPU_ISA may limit oneDNN to that excludes AVX512; what it does not know, it ignores.
_LIMITS_WITHOUT_AVX512 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"}


def in_fast_layout(values: Tensor) -> Tensor:
    """Return values (b, c, h, w) in the layout in which networks convolve them fastest.

    That is channels last, but where gradients are computed on x86 processors without AVX512: oneDNN has no
    backward kernels of its own for that layout there, and 3 x 3 convolutions take twice the time.

    Example:
        >>> with torch.inference_mode():
        ...     in_fast_layout(torch.zeros(1, 3, 4, 4)).is_contiguous(memory_format=torch.channels_last)
        True
    """
    trained = torch.is_grad_enabled() and values.device.type == "cpu" and _lacks_backward_kernels()
    return values.contiguous(memory_format=torch.contiguous_format if trained else torch.channels_last)


def joined(planes: Sequence[Tensor]) -> Tensor:
    """Join planes (b, c, h, w), in the layout and the precision in which networks convolve them.

    Each is converted before: the whole at once, in steps, would take twice the time.

    Example:
        >>> joined([torch.zeros(1, 1, 2, 2), torch.ones(1, 2, 2, 2)]).shape
        torch.Size([1, 3, 2, 2])
    """
    return torch.cat([in_fast_layout(in_computing_precision(of_kind)) for of_kind in planes], dim=1)


def kernels_for_training(part: PartT) -> PartT:
    """Store a network's kernels as its training needs them: one channels-last kernel makes all values so."""
    if _lacks_backward_kernels():
        module_of(part).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return part
    return channels_last(part)


def _lacks_backward_kernels() -> bool:
    """Return whether the processor is an x86 without AVX512, or oneDNN may not use it."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _LIMITS_WITHOUT_AVX512
    return limited or torch.backends.cpu.get_cpu_capability() in ("AVX2", "DEFAULT")
