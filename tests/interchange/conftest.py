"""Skip formats whose packages are not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.interchange.cases import NEEDED, Case


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of a format that needs a package which is missing."""
    callspec = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        name = value.format if isinstance(value, Case) else value
        needed = NEEDED.get(name) if isinstance(name, str) else None
        if needed and find_spec(needed) is None:
            pytest.skip(f"format {name} needs the package {needed}, which is not installed")
