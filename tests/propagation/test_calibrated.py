"""Tests of propagation/calibrated.py: labels with calibrated confidence, written beside the raw one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from warprefine.io.images import read_gray
from warprefine.io.run import RunFolder
from warprefine.ops.calibration import LEVELS
from warprefine.propagation.calibrated import CalibratedLabeller
from warprefine.propagation.labeller import Labeller
from warprefine.propagation.run import Job, propagate

HALF = np.tile(np.linspace(0, 0.5, LEVELS), (5, 1))


def test_confidence_is_calibrated_and_labels_stay(drive: Any) -> None:
    """Half of the raw confidence, which is kept; other methods have theirs."""
    plain = drive.stepwise("motion-only", "semantic-only")
    labeller = CalibratedLabeller(labeller=plain, tables={"motion-only": HALF})
    assert isinstance(labeller, Labeller)
    video = drive.video([0])
    (unit,) = labeller.units(video, 2)

    before = list(plain.label(drive.evidence(video), unit, plain.methods))
    after = list(labeller.label(drive.evidence(video), unit, plain.methods))

    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.labels, other.labels)
        calibrated = one.provenance.method == "motion-only"
        expected = one.confidence * 0.5 if calibrated else one.confidence
        assert torch.allclose(other.confidence, expected, atol=1 / 500)
        assert (other.raw_confidence is not None) == calibrated


def test_labels_are_made_again_when_the_calibration_changes(drive: Any) -> None:
    """The fingerprint depends on the table of the method alone."""
    plain = drive.stepwise("motion-only", "semantic-only")
    video = drive.video([0])
    (unit,) = plain.units(video, 2)

    def fingerprints(tables: dict[str, np.ndarray]) -> list[str]:
        labeller = CalibratedLabeller(labeller=plain, tables=tables)
        return [labeller.fingerprint(video, unit, method) for method in plain.methods]

    without, half = fingerprints({}), fingerprints({"motion-only": HALF})
    assert half[0] != without[0]
    assert half[1] == without[1] == plain.fingerprint(video, unit, "semantic-only")
    assert fingerprints({"motion-only": HALF * 0.5})[0] not in (half[0], without[0])


def test_both_confidences_and_their_sums_are_in_the_run_folder(drive: Any) -> None:
    """The written confidence is the calibrated one; expected errors are those of the written file."""
    video = drive.video([0])
    labeller = CalibratedLabeller(labeller=drive.stepwise("motion-only"), tables={"motion-only": HALF})
    run = RunFolder(drive.folder / "run")

    propagate(Job(dataset=drive.dataset(video), horizon=2, labellers=(labeller,)), run)

    stem = video.stems[1]
    sure = read_gray(run.confidence_path("motion-only", video.name, stem))
    raw = read_gray(run.raw_confidence_path("motion-only", video.name, stem))
    assert torch.allclose(sure, raw * 0.5, atol=1 / 250)
    errors = run.expectations.errors(video.name, "motion-only")
    assert [*errors] == [1, 2]
    assert errors[1] == pytest.approx(1 - float(sure.mean()), abs=1e-6)
    assert run.expectations.sums(video.name, "motion-only")[1].sum(axis=0)[0] == sure.numel()


def test_what_is_not_calibrated_has_no_second_file(drive: Any) -> None:
    """A run without calibration is as it was."""
    video, run = drive.video([0]), RunFolder(drive.folder / "run")

    propagate(Job(dataset=drive.dataset(video), horizon=1, labellers=(drive.stepwise("motion-only"),)), run)

    assert not (run.root / "raw_confidence").exists()
    assert [*run.expectations.errors(video.name, "motion-only")] == [1]
