"""Tests of io/bounded_building.py: what a file describes is built no larger than its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from warprefine.core.errors import CheckpointError
from warprefine.io.bounded_building import bounded_building, first_line


def test_a_network_of_the_size_of_its_weights_is_built() -> None:
    """What fits is built as ever, and later networks are not counted."""
    with bounded_building(Path("a"), 4_000_000):
        built = nn.Linear(1000, 1000)

    assert built.weight.shape == (1000, 1000)
    with torch.device("meta"):
        nn.Linear(100_000, 100_000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(100_000, 100_000),
        lambda: nn.ModuleList(nn.Linear(3000, 3000) for _ in range(100)),
        lambda: nn.Sequential(*(nn.ReLU() for _ in range(300))),
        lambda: nn.BatchNorm1d(10**9),
    ],
    ids=["one layer", "many layers", "many parts", "buffers"],
)
def test_a_network_far_larger_than_its_weights_is_refused(
    make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is counted as layers are made, so the first too many ends it."""
    assert callable(make)
    monkeypatch.setattr("warprefine.io.bounded_building._MOST_MODULES", 200)
    with (
        torch.device("meta"),
        pytest.raises(CheckpointError, match="the settings in a describe a network that is far larger"),
        bounded_building(Path("a"), 1000),
    ):
        make()


def test_settings_that_fit_no_network_are_told_in_a_line() -> None:
    """The error of whatever failed is told by its first line."""
    with (
        pytest.raises(CheckpointError, match=r"in a describe no network that can be built \(two\); fetch"),
        bounded_building(Path("a"), 1000),
    ):
        raise ZeroDivisionError("\n two\nlines")
    assert first_line(ValueError("a\x1b[2J")) == "a[2J"
