"""Refine labels; look a refinement network up by its name."""

from __future__ import annotations

from functools import partial

from warprefine.core.kinds import Kind
from warprefine.refinement.compact import CompactRefiner
from warprefine.refinement.pix2pix import Pix2PixRefiner
from warprefine.refinement.two_sided import TwoSidedRefiner

REFINERS: dict[str, Kind] = {
    "compact": Kind(make=CompactRefiner, settings=("widths",)),
    "pix2pix": Kind(make=Pix2PixRefiner, settings=("width", "blocks", "votes")),
    "pix2pix-spade": Kind(make=partial(Pix2PixRefiner, spade=True), settings=("width", "blocks", "votes")),
}
"""Each is made with the class count and the number of feature channels; it is a `Refiner`."""

SIDE_REFINERS: dict[str, Kind] = {"two-sided": Kind(make=TwoSidedRefiner, settings=("widths",))}
"""Each is made with the class count and the number of feature channels; it is a `SideRefiner`."""
