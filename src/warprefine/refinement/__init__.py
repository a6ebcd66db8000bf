"""Refine labels; look a refinement network up by its name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from warprefine.refinement.compact import CompactRefiner

REFINERS: dict[str, Callable[..., nn.Module]] = {"compact": CompactRefiner}
"""Each is called with class count, feature channels and its `widths`; it returns a `Refiner`."""
