"""Tests of metrics/reliability.py: the confidence of a run against truth."""

from __future__ import annotations

import pytest
import torch

from warprefine.io.images import write_gray
from warprefine.metrics.reliability import measure_reliability, raw_confidence_counts


def test_confidence_is_scored_raw_and_calibrated(run, dataset, world):
    """Labels that are all right are underestimated by the raw confidence, and not by the calibrated one."""
    for video in dataset.videos:
        for frame in range(len(video)):
            written = run.confidence_path("warp-refine", video.name, video.stems[frame])
            if written.exists():
                before = run.raw_confidence_path("warp-refine", video.name, video.stems[frame])
                before.parent.mkdir(parents=True, exist_ok=True)
                written.rename(before)
                write_gray(written, torch.ones(1, world.h, world.w))

    found = measure_reliability(run, dataset, methods=world.methods, horizon=world.horizon)

    assert list(found) == ["warp-refine"]
    assert found["warp-refine"].calibrated is not None
    assert found["warp-refine"].calibrated.ece == pytest.approx(0)
    assert found["warp-refine"].raw.ece == pytest.approx(
        100 - (found["warp-refine"].raw.confidence or 0), abs=1e-6
    )
    assert found["warp-refine"].to_json()["calibrated"] is not None


def test_confidence_that_is_not_calibrated_is_scored_as_it_is(run, dataset, world):
    """There is one file alone."""
    found = measure_reliability(run, dataset, methods=["warp-refine"], horizon=world.horizon)

    assert found["warp-refine"].calibrated is None
    assert found["warp-refine"].to_json()["calibrated"] is None


def test_nothing_is_measured_without_truth(run, blind, world):
    """Confidence alone tells nothing about itself."""
    assert measure_reliability(run, blind, methods=world.methods, horizon=world.horizon) == {}


def test_pixels_are_counted_by_distance_and_raw_confidence(run, blind, world):
    """Every pixel of every labelled frame is counted once, at the level of its confidence."""
    counts = raw_confidence_counts(run, blind, "warp-refine", horizon=world.horizon)

    assert counts.shape == (4, 4, 256)
    frames = counts.sum(axis=(1, 2)) // (world.h * world.w)
    assert frames.tolist() == [4, 4, 2, 2]
    assert counts[0].sum(axis=0).nonzero()[0].tolist() == [round(0.9 * 255)]
