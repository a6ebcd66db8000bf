"""How far the labels of a run can be believed: what its confidence, its truth and its key frames show."""

from __future__ import annotations

import json

import numpy as np

from warprefine.core.engine import HERE, Engine
from warprefine.io.atomic import write_text
from warprefine.io.run import RunFolder
from warprefine.jobs.calibration_file import Calibration, read_calibrations
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.hold_out_file import labels_of, read_estimates
from warprefine.metrics.expected import confidence_by_distance, expected_scores
from warprefine.metrics.reliability import measure_reliability
from warprefine.metrics.scores import rounded
from warprefine.propagation.methods import ORACLE, PLUS
from warprefine.report.trust import Believed


def believed_of(finished: FinishedRun, *, engine: Engine = HERE) -> Believed:
    """Return how far the labels of a run can be believed, as far as that is known.

    Args:
        finished: The run.
        engine: Where confidence is compared with truth.
    """
    run, dataset, horizon = finished.run, finished.dataset, finished.horizon
    methods = [method for method in finished.methods if method != ORACLE]
    calibrations = {method: _calibration(finished, method) for method in methods}
    empty = np.zeros((len(dataset.classes) + 1,) * 2, np.int64)
    expected = {}
    for method in methods:
        sums = confidence_by_distance(run, dataset, method, horizon=horizon)
        if sums.any():
            known = calibrations[method]
            matrix = empty if known is None else known.confusion
            expected[method] = expected_scores(sums, matrix, dataset.classes)
    written = read_estimates(run, labels_of(run, dataset, finished.methods))
    return Believed(
        reliability=measure_reliability(run, dataset, methods=methods, horizon=horizon, engine=engine),
        expected=expected,
        estimates=written.methods,
        estimates_are_stale=written.are_stale,
    )


def _calibration(finished: FinishedRun, method: str) -> Calibration | None:
    """Return the calibration of a method's labels; warp-refine-plus has one for each stage."""
    stages = finished.stages if method == PLUS else {}
    run = finished.run.for_stage([*stages][-1]) if stages else finished.run
    return read_calibrations(run).get(method)


def write_expected(run: RunFolder, believed: Believed) -> None:
    """Write the scores that confidence lets expect, and how far that can be believed, as expected.json."""
    content = {
        method: {
            **{name: rounded(value) for name, value in vars(one).items()},
            "reliability": believed.reliability[method].to_json() if method in believed.reliability else None,
        }
        for method, one in believed.expected.items()
    }
    write_text(run.root / "expected.json", json.dumps(content, indent=1) + "\n")
