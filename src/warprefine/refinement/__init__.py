"""Refinement networks: the paper's Omega, small ones for CPUs, and the two-sided refiner."""

from __future__ import annotations

from functools import partial

from warprefine.core.network_spec import NetworkSpec
from warprefine.core.protocols import Refiner
from warprefine.refinement.candidates import CandidateUNet
from warprefine.refinement.compact import CompactRefiner
from warprefine.refinement.ensemble import TwoSidedEnsemble
from warprefine.refinement.interface import TwoSidedRefiner
from warprefine.refinement.pix2pix import Pix2PixRefiner
from warprefine.refinement.two_sided import LightTwoSidedUNet, TwoSidedUNet

REFINERS: dict[str, NetworkSpec[Refiner]] = {
    "compact": NetworkSpec(make=CompactRefiner, settings=("widths",)),
    "pix2pix": NetworkSpec(make=Pix2PixRefiner, settings=("width", "blocks", "votes")),
    "pix2pix-spade": NetworkSpec(
        make=partial(Pix2PixRefiner, spade=True), settings=("width", "blocks", "votes")
    ),
}
"""Refiners of the paper's warp-refine by name; built from the numbers of classes and of feature channels."""

FEW_CLASSES = 24
"""Up to so many classes a network that scores all of them is better, and about as quick."""


def _by_class_count(
    class_count: int, feature_channels: int, *, widths: tuple[int, ...]
) -> LightTwoSidedUNet | CandidateUNet:
    """Build the network that suits the number of classes."""
    make = LightTwoSidedUNet if class_count <= FEW_CLASSES else CandidateUNet
    return make(class_count, feature_channels, widths=widths)


TWO_SIDED_REFINERS: dict[str, NetworkSpec[TwoSidedRefiner]] = {
    "auto": NetworkSpec(make=_by_class_count, settings=("widths",)),
    "candidates": NetworkSpec(make=CandidateUNet, settings=("widths",)),
    "two-sided": NetworkSpec(make=TwoSidedUNet, settings=("widths",)),
    "two-sided-light": NetworkSpec(make=LightTwoSidedUNet, settings=("widths",)),
}
"""Refiners of warp-refine-plus by name; built from the numbers of classes and of feature channels.

auto: two-sided-light for up to `FEW_CLASSES` classes, candidates for more; the default.
candidates: U-Net that scores a pixel's four candidates alone, at the same cost for any number of classes.
two-sided: U-Net over both sides and the frame, from stride 1 on.
two-sided-light: the same from stride 2 on, in two thirds of the time.
"""

ENSEMBLES: dict[str, NetworkSpec[TwoSidedRefiner]] = {
    f"{name}-ensemble": NetworkSpec(make=partial(TwoSidedEnsemble, spec.make), settings=("members", "widths"))
    for name, spec in TWO_SIDED_REFINERS.items()
}
"""Several networks of a name, whose output is averaged: what recipes with `members` train."""
