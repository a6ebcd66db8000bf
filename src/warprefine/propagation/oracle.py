"""The oracle: labels with the truth where there is any, the upper bound of all methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from warprefine.core.errors import LabelError
from warprefine.core.pseudolabel import Provenance, PseudoLabel
from warprefine.core.video import Video
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_file
from warprefine.io.images import read_labels
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.methods import ORACLE
from warprefine.propagation.units import Unit, stepwise_units


@dataclass(frozen=True, kw_only=True)
class OracleLabeller:
    """Labels those frames that have truth.

    Args:
        models: Not used; motion is part of any evidence.
    """

    models: Models
    methods: tuple[str, ...] = (ORACLE,)

    def units(self, video: Video, horizon: int) -> list[Unit]:
        """Return the walks from the key frames, with those frames alone that have truth."""
        with_truth = [
            replace(unit, frames=tuple(frame for frame in unit.frames if frame in video.truth))
            for unit in stepwise_units(video, horizon)
        ]
        return [unit for unit in with_truth if unit.frames]

    def fingerprint(self, video: Video, unit: Unit, method: str) -> str:
        """Return a hash of the truth, and of the key frames that distances are counted from."""
        truth = [fingerprint_of_file(video.truth[frame], LabelError) for frame in unit.frames]
        return fingerprint_of(unit.frames, unit.key_frames, truth)

    def label(self, evidence: Evidence, unit: Unit, methods: Sequence[str]) -> Iterator[PseudoLabel]:
        """Yield the truth of each frame, with confidence 1."""
        for frame in unit.frames:
            labels = read_labels(evidence.video.truth[frame], evidence.classes)
            yield PseudoLabel(
                frame=frame,
                labels=labels,
                confidence=torch.ones(labels.shape),
                provenance=Provenance(
                    method=ORACLE, key_frames=unit.key_frames, distance=unit.distance(frame)
                ),
            )
