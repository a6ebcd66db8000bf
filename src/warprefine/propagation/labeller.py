"""The interface of all that labels frames: writing, resuming and evaluating are independent of the method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.video import Video
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.units import Unit


@runtime_checkable
class Labeller(Protocol):
    """Labels the units of a video by one or several methods that share the same evidence.

    Example:
        >>> for unit in labeller.units(video, horizon=10):  # doctest: +SKIP
        ...     with open_evidence(video, classes, labeller.models, cache) as evidence:
        ...         for pseudo_label in labeller.label(evidence, unit, labeller.methods):
        ...             print(pseudo_label.frame, pseudo_label.provenance.method)
    """

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of its methods."""
        ...

    @property
    def models(self) -> Models:
        """The networks that its evidence is computed with."""
        ...

    def units(self, video: Video, horizon: int) -> list[Unit]:
        """Return the units into which the frames within `horizon` of a key frame are divided."""
        ...

    def fingerprint(self, video: Video, unit: Unit, method: str) -> str:
        """Return a hash of the key-frame labels, networks and settings that the labels of a unit depend on.

        The frames and the class table need not be part of it: `propagate` adds them.
        """
        ...

    def label(self, evidence: Evidence, unit: Unit, methods: Sequence[str]) -> Iterator[PseudoLabel]:
        """Yield the pseudo-labels of a unit, of each of `methods`, in any order."""
        ...
