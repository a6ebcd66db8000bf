"""Sizes in bytes as people write them: 500MB, 1.5GB."""

from __future__ import annotations

import re

_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
"""As disks are sold: 1 GB is 10^9 bytes."""
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([KMGT]?B)", re.ASCII | re.IGNORECASE)
EXPECTED = "a number with its unit, such as 500MB or 20GB"


def bytes_named(text: str) -> int | None:
    """Return the bytes that a text names: a number with B, KB, MB, GB or TB; None for all else, and for 0.

    Example:
        >>> bytes_named("1.5GB"), bytes_named("20")
        (1500000000, None)
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    return round(float(match[1]) * _BYTES[match[2].upper()]) or None
