"""What the confidence of a run was calibrated on, and the result: the file calibration.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from warprefine.io.atomic import write_text
from warprefine.io.claims import own_json
from warprefine.io.run import RunFolder
from warprefine.metrics.confusion import Confusion
from warprefine.ops.calibration import LEVELS, CalibrationTable, Hits, fit_calibration
from warprefine.propagation.rehearsal import Rehearsal

_DIGITS = 5
_REMEDY = "delete it and run `warprefine autolabel` with the same options again, it is computed again"


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """The calibration of one method.

    Attributes:
        depends: A hash of all that it depends on.
        rehearsals: The key frames that were labelled as if they were none: video, frame, kind and distance.
        hits: Their pixels by label, level of raw confidence, and wrong or right.
        confusion: Their pixels by truth and label.
        table: The calibrated confidence by label and level of the raw one.
    """

    depends: str
    rehearsals: tuple[tuple[str, int, str, int], ...]
    hits: Hits
    confusion: Confusion
    table: CalibrationTable

    @classmethod
    def empty(cls, class_count: int, *, depends: str) -> Calibration:
        """Return the calibration without any key frame, which changes nothing."""
        n = class_count + 1
        hits = np.zeros((n, LEVELS, 2), np.int64)
        matrix = np.zeros((n, n), np.int64)
        table = fit_calibration(hits)
        return cls(depends=depends, rehearsals=(), hits=hits, confusion=matrix, table=table)

    def with_rehearsal(self, one: Rehearsal, hits: Hits, matrix: Confusion) -> Calibration:
        """Return the calibration with the pixels of one more key frame; `fitted` fits it."""
        name = (one.video.name, one.key_frame, one.kind, one.distance)
        return replace(
            self,
            rehearsals=(*self.rehearsals, name),
            hits=self.hits + hits,
            confusion=self.confusion + matrix,
        )

    def fitted(self) -> Calibration:
        """Return the calibration fitted to its pixels, rounded as it is written."""
        return replace(self, table=fit_calibration(self.hits).round(_DIGITS))

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written; of the hits, those levels that occur: label, level, wrong, right."""
        occurring = np.argwhere(self.hits.any(axis=2))
        hits = [[*place, *self.hits[tuple(place)].tolist()] for place in occurring.tolist()]
        return {
            "depends": self.depends,
            "rehearsals": [list(one) for one in self.rehearsals],
            "hits": hits,
            "confusion": self.confusion.tolist(),
            "table": self.table.tolist(),
        }

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Calibration:
        """Return what `to_json` returned."""
        table = np.array(content["table"], np.float64)
        hits = np.zeros((len(table), LEVELS, 2), np.int64)
        for label, level, wrong, right in content["hits"]:
            hits[label, level] = wrong, right
        return cls(
            depends=str(content["depends"]),
            rehearsals=tuple((str(v), int(f), str(k), int(d)) for v, f, k, d in content["rehearsals"]),
            hits=hits,
            confusion=np.array(content["confusion"], np.int64),
            table=table,
        )


def read_calibrations(run: RunFolder) -> dict[str, Calibration]:
    """Return the calibrations of a run's stage by method; none if there is no file.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = run.calibration_path
    if not path.exists():
        return {}
    with own_json(path, remedy=_REMEDY):
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(method): Calibration.of_json(one) for method, one in content["methods"].items()}


def write_calibrations(run: RunFolder, calibrations: Mapping[str, Calibration]) -> None:
    """Write the calibrations of a run's stage."""
    content = {"methods": {method: one.to_json() for method, one in sorted(calibrations.items())}}
    write_text(run.calibration_path, json.dumps(content) + "\n")
