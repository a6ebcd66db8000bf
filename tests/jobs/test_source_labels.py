"""Tests of jobs/source_labels.py: labels of one key frame alone, or of the segmenter alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from warprefine import FinishedRun
from warprefine.core.errors import RunFolderError
from warprefine.core.tensors import VOID
from warprefine.io.images import read_labels
from warprefine.jobs.relabel import Relabeller
from warprefine.jobs.source_labels import labels_of_source
from warprefine.propagation.run import Job


@pytest.fixture(scope="module")
def job(labelled: Path) -> Job:
    """The job of warp-refine-plus of a run with key frames 1, 9 and 17."""
    return Relabeller(labelled / "run").jobs()[0]


def test_each_side_has_the_labels_of_its_key_frame(labelled: Path, job: Job) -> None:
    """Beside a key frame the labels carried from it are nearly the truth; those of either side differ."""
    video, cache = job.dataset.videos[0], labelled / "run" / "cache"
    truth = read_labels(video.truth[8], job.dataset.classes)

    after, before = (labels_of_source(job, video, 8, of=side, cache=cache) for side in ("after", "before"))

    assert after.dtype == torch.uint8
    right_after, right_before = (
        float((labels == truth)[labels != VOID].float().mean()) for labels in (after, before)
    )
    assert right_after > 0.9  # what comes into view at the border is VOID
    assert right_after > right_before
    assert (after != before).any()


def test_the_segmenter_labels_every_pixel(labelled: Path, job: Job) -> None:
    """Its labels are classes, at the size of the frame."""
    video = job.dataset.videos[0]

    labels = labels_of_source(job, video, 8, of="segmenter", cache=labelled / "run" / "cache")

    assert labels.shape == (1, 48, 64)
    assert int(labels.max()) < len(job.dataset.classes)


def test_nothing_is_written(labelled: Path, job: Job) -> None:
    """Labels are computed with what is in the cache, and leave no file there."""
    cache = labelled / "run" / "cache"
    before = set(cache.rglob("*"))

    labels_of_source(job, job.dataset.videos[1], 12, of="before", cache=cache)

    assert set(cache.rglob("*")) == before


def test_a_side_without_a_key_frame_is_named(labelled: Path, job: Job) -> None:
    """Frame 0 has no key frame before it."""
    with pytest.raises(
        RunFolderError, match="frame 0 of street-000 has no key frame before it within 20 frames"
    ):
        labels_of_source(job, job.dataset.videos[0], 0, of="before", cache=labelled / "run" / "cache")


def test_a_run_with_calibrated_confidence_has_sources_too(calibrated_run: Path) -> None:
    """What is added to a labeller changes nothing of the labels of one source."""
    job = Relabeller(calibrated_run).jobs()[0]

    labels = labels_of_source(job, job.dataset.videos[0], 2, of="segmenter", cache=calibrated_run / "cache")

    assert labels.shape == (1, 48, 64)


def test_runs_of_other_methods_have_no_sources(labelled: Path) -> None:
    """Without warp-refine-plus there are no labels of one side."""
    finished = FinishedRun.open(labelled / "run")
    job = Relabeller(labelled / "run").jobs()[1]

    with pytest.raises(RunFolderError, match="come with warp-refine-plus, which this run does not have"):
        labels_of_source(job, finished.dataset.videos[0], 8, of="after", cache=labelled / "run" / "cache")
