"""Tests of jobs/suggestions.py and FinishedRun: which frame to label next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from warprefine import FinishedRun
from warprefine.core.errors import RecipeError, RunFolderError


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
    assert found[0].to_json()["stem"] == finished.dataset.videos[0].stems[found[0].frame]
    assert found[0].to_json()["reason"] == found[0].reason


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
