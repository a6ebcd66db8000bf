"""Tests of core/precision.py: networks compute in what their device has natively."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from warprefine.core.precision import (
    computing,
    name_of,
    native_precision,
    precision_named,
    precision_of,
    with_precision,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(("capable", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_that_would_only_imitate_bfloat16_computes_in_float16(
    monkeypatch: pytest.MonkeyPatch, *, capable: bool, expected: torch.dtype
) -> None:
    """Emulated, it is slower than float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: capable)

    assert native_precision(torch.device("cuda")) == expected


@pytest.mark.parametrize(
    ("instructions", "limit", "expected"),
    [
        ({"_is_avx512_bf16_supported"}, "", torch.bfloat16),
        ({"_is_amx_tile_supported"}, "", torch.bfloat16),
        ({"_is_amx_tile_supported"}, "avx512_core_amx", torch.bfloat16),
        ({"_is_avx512_bf16_supported"}, "AVX2", torch.float32),
        ({"_is_avx512_bf16_supported"}, "AVX512_CORE", torch.float32),
        (set(), "", torch.float32),
    ],
    ids=str,
)
def test_a_processor_computes_in_bfloat16_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, instructions: set[str], limit: str, expected: torch.dtype
) -> None:
    """AVX512 and AVX2 alone imitate it, in two and ten times the time."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in instructions, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)

    assert native_precision(CPU) == expected


def test_a_torch_that_does_not_tell_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no public name for what a processor can do, and its private ones may go."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)

    assert native_precision(CPU) == torch.float32


@pytest.mark.parametrize("told", [torch.float32, torch.bfloat16])
def test_a_network_computes_in_what_it_is_told(told: torch.dtype) -> None:
    """The precision of a run goes before that of the machine."""
    network = with_precision(nn.Conv2d(1, 1, 1), told)

    with torch.inference_mode(), computing(network):
        assert network(torch.zeros(1, 1, 2, 2)).dtype == told
    assert precision_of(network) == told
    assert precision_named(name_of(told)) == told


def test_without_word_a_network_computes_in_what_is_native() -> None:
    """So do functions that have no weights."""
    assert precision_of(nn.Conv2d(1, 1, 1)) == native_precision(CPU)
    assert precision_of(len) == native_precision(CPU)
    assert precision_of(with_precision(nn.Conv2d(1, 1, 1), None)) == native_precision(CPU)
    assert precision_named("decimal") is None
