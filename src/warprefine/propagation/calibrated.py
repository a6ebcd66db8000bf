"""A labeller whose confidence is calibrated; its labels are those of the labeller that it wraps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.video import Video
from warprefine.io.fingerprints import fingerprint_of
from warprefine.ops.calibration import CalibrationTable, calibrate
from warprefine.propagation.evidence import Evidence, Models
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.units import Unit


@dataclass(frozen=True, kw_only=True)
class CalibratedLabeller:
    """A labeller with calibrated confidence.

    Attributes:
        labeller: It labels.
        tables: The calibration of each method that has one; the confidence of others stays as it is.
    """

    labeller: Labeller
    tables: Mapping[str, CalibrationTable]

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of its methods."""
        return self.labeller.methods

    @property
    def models(self) -> Models:
        """The networks that its evidence is computed with."""
        return self.labeller.models

    def units(self, video: Video, horizon: int) -> list[Unit]:
        """Return the units of the labeller."""
        return self.labeller.units(video, horizon)

    def fingerprint(self, video: Video, unit: Unit, method: str) -> str:
        """Return a hash of all that labels depend on, and of the calibration."""
        of_labels = self.labeller.fingerprint(video, unit, method)
        table = self._table(unit, method)
        return of_labels if table is None else fingerprint_of(of_labels, table.tolist())

    def label(self, evidence: Evidence, unit: Unit, methods: Sequence[str]) -> Iterator[PseudoLabel]:
        """Yield the pseudo-labels of the labeller, with calibrated confidence beside the raw one."""
        for pseudo in self.labeller.label(evidence, unit, methods):
            table = self._table(unit, pseudo.provenance.method)
            if table is None:
                yield pseudo
            else:
                sure = calibrate(pseudo.labels, pseudo.confidence, table)
                yield replace(pseudo, confidence=sure, raw_confidence=pseudo.confidence)

    def tables_of(self, unit: Unit) -> Mapping[str, CalibrationTable]:
        """Return the calibration of a unit's labels by each method that has one."""
        return self.tables if unit.key_frames else {}

    def _table(self, unit: Unit, method: str) -> CalibrationTable | None:
        """Return the calibration of a unit's labels; it is of labels that come from key frames."""
        return self.tables_of(unit).get(method)
