"""Tests of core/sizes.py: sizes of caches and mirrors are written the same way."""

from __future__ import annotations

import pytest

from warprefine.core.sizes import bytes_named


@pytest.mark.parametrize(
    ("text", "size"),
    [("25B", 25), ("3kb", 3000), ("500MB", 500_000_000), ("1.5gb", 1_500_000_000), ("2TB", 2 * 10**12)],
)
def test_a_size_has_a_decimal_unit(text: str, size: int) -> None:
    """As disks are sold: 1 GB is 10^9 bytes."""
    assert bytes_named(text) == size


@pytest.mark.parametrize(
    "text", ["", "20", "20G", "GB", "0MB", "-1GB", "1e3GB", "20 GB", "2GiB", "nanGB", "٣GB"]
)
def test_anything_else_is_no_size(text: str) -> None:
    """A number without a unit, or with one of two meanings, is never guessed."""
    assert bytes_named(text) is None
