"""Hash what outputs depend on, to detect changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

_DIGITS = 16


def fingerprint_of(*parts: object) -> str:
    """Return a short hash of values by their `repr`: numbers, strings, tuples, lists and settings of them.

    Example:
        >>> fingerprint_of("dis-fine", 0.12) == fingerprint_of("dis-fine", 0.12)
        True
        >>> fingerprint_of("dis-fine", 0.12) == fingerprint_of("dis-fine", 0.13)
        False
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:_DIGITS]


def fingerprint_of_file(path: Path) -> str:
    """Return a short hash of a file's content.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
