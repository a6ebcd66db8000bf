"""Tests of jobs/suggestions.py and FinishedRun: which frame to label next."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from warprefine import FinishedRun
from warprefine.core.errors import RecipeError, RunFolderError
from warprefine.jobs.decided_labels import labels_to_decide_on
from warprefine.jobs.decisions import Decision, Decisions
from warprefine.propagation.methods import PLUS


@pytest.fixture
def finished(calibrated_run: Path) -> FinishedRun:
    """A run in which frames 2, 6 and 10 are out of reach."""
    return FinishedRun.open(calibrated_run)


def test_suggestions_have_a_reason_each(finished: FinishedRun) -> None:
    """Frames out of reach of all key frames have no labels: they, or frames beside them, come first."""
    found = finished.suggest(4)

    for gap in (2, 6, 10):
        assert any(abs(one.frame - gap) <= 1 for one in found[:3])
    assert found[0].gain >= found[1].gain >= found[2].gain
    assert [one.unlabelled for one in found[:3]] == [1, 1, 1]
    assert "1 frame without labels would get some" in found[0].reason
    assert f"to correct as many pixels as {found[0].gain:.2f} frames have, in frame" in found[0].reason
    assert found.is_calibrated
    assert found.notes == ()
    assert found[0].to_json()["stem"] == finished.dataset.videos[0].stems[found[0].frame]
    assert found[0].to_json()["reason"] == found[0].reason


def test_accepted_frames_are_left_out_as_long_as_they_are_as_accepted(
    calibrated_run: Path, tmp_path: Path
) -> None:
    """Nobody is asked to label what is good; a frame whose labels changed since may be named again."""
    root = shutil.copytree(calibrated_run, tmp_path / "run")
    finished = FinishedRun.open(root)
    (video,), decisions = finished.dataset.videos, Decisions(root)
    best = finished.suggest(1)[0].frame

    def decide(frame: int, decision: Decision) -> None:
        version, run, classes = decisions.of_frame(video.name, frame).version, finished.run, finished.dataset
        labels = labels_to_decide_on(run, classes.classes, video, frame, method=PLUS)
        decisions.decide(video.name, frame, decision, version=version, labels=labels)

    decide(best, "accepted")
    decide(4, "accepted")  # a key frame is never named, and does not count
    found = finished.suggest(20)
    assert best not in [one.frame for one in found]
    assert found.skipped == 1
    assert found.notes == ("left out: 1 frame that was accepted in the review",)

    decide(best, "rejected")
    assert finished.suggest(1)[0].frame == best
    decide(best, "accepted")
    path = root / "labels" / PLUS / video.name / f"{video.stems[best]}.png"
    other = next(k for k in (1, 3, 5, 7) if k != best)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path.with_name(f"{video.stems[other]}.png"), path)
    with closing(sqlite3.connect(root / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE pseudo_label SET fingerprint = 'other' WHERE frame = ?", (best,))
    assert finished.suggest(1).skipped == 0


def test_confidence_that_is_not_calibrated_is_said(calibrated_run: Path, tmp_path: Path) -> None:
    """The order is usable, the numbers are not; lines and JSON say so."""
    root = shutil.copytree(calibrated_run, tmp_path / "run")
    finished = FinishedRun.open(root)
    shutil.rmtree(root / "raw_confidence" / PLUS)

    found = finished.suggest(1)

    assert not found.is_calibrated
    assert "the order of frames is usable, the numbers are not" in found.notes[0]
    assert [one["calibrated"] for one in found.to_json()] == [False]
    assert finished.suggest(1, "motion-only").is_calibrated


def test_a_method_can_be_named(finished: FinishedRun) -> None:
    """Its labels are those to be improved; there are only those of the run."""
    assert len(finished.suggest(1, "motion-only")) == 1
    with pytest.raises(RecipeError, match="method of this run"):
        finished.suggest(1, "oracle")


def test_no_fewer_than_one_frame_is_suggested(finished: FinishedRun) -> None:
    """None would be no answer."""
    with pytest.raises(RecipeError, match="0 frames are to be suggested; expected 1 or more"):
        finished.suggest(0)


def test_a_run_without_labels_has_no_suggestions(finished: FinishedRun) -> None:
    """Nothing is expected of them."""
    without = FinishedRun(
        run=finished.run, dataset=finished.dataset, horizon=1, recipe=finished.recipe, methods=()
    )

    with pytest.raises(RunFolderError, match="holds no labels yet"):
        without.suggest()


def test_expected_errors_are_those_of_written_confidence(finished: FinishedRun) -> None:
    """Key frames have none; frames out of reach have no label."""
    (video,) = finished.dataset.videos

    errors = finished.expected_errors(video.name)

    assert errors[list(video.key_frames)].tolist() == [0, 0, 0, 0]
    assert np.isnan(errors[[2, 6, 10]]).all()
    labels = {one.frame: one for one in finished.labels(video.name)}
    assert errors[3] == pytest.approx(1 - float(labels[3].confidence.mean()), abs=1e-5)
