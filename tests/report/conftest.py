"""Give the tests of reports the run with known mistakes that scores are tested on."""

from __future__ import annotations

from tests.metrics.conftest import blind, dataset, run, world

__all__ = ["blind", "dataset", "run", "world"]
