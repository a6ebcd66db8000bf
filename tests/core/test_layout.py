"""Tests of the layout in memory in which networks convolve."""

import pytest
import torch
from torch import nn

from warprefine.core import layout
from warprefine.core.layout import in_fast_layout, kernels_for_training

VALUES = torch.zeros(2, 3, 4, 5)


def is_channels_last(values: torch.Tensor) -> bool:
    """Return whether values (b, c, h, w) are channels last."""
    return values.is_contiguous(memory_format=torch.channels_last)


@pytest.fixture(params=["AVX512", "AVX2"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pretend that the processor is an x86 of this kind."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(layout.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    return str(request.param)


@pytest.mark.usefixtures("processor")
def test_without_gradients_values_are_channels_last() -> None:
    """Forward passes are fastest so on every processor."""
    with torch.inference_mode():
        assert is_channels_last(in_fast_layout(VALUES))


def test_with_gradients_the_processor_decides(processor: str) -> None:
    """Backward passes of processors without AVX512 are slow in channels last; one such kernel is enough."""
    network = kernels_for_training(nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last))

    expected = processor == "AVX512"
    assert is_channels_last(in_fast_layout(VALUES)) == expected
    assert is_channels_last(network.weight) == expected
    assert is_channels_last(network(in_fast_layout(VALUES))) == expected


def test_a_limit_of_onednn_counts_as_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernels compute the convolutions."""
    monkeypatch.setattr(layout.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")

    assert not is_channels_last(in_fast_layout(VALUES))


def test_other_processors_keep_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of AVX2 says nothing of Arm."""
    monkeypatch.setattr(layout.platform, "machine", lambda: "arm64")

    assert is_channels_last(in_fast_layout(VALUES))
