"""Whether compiled loops compute, or torch alone does, as on devices other than the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from warprefine.ops.compiled import without_loops


@pytest.fixture(scope="module", params=["loops", "torch"])
def with_and_without_loops(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test of a module with compiled loops, and again with torch alone."""
    if request.param == "loops":
        yield
        return
    with without_loops():
        yield
