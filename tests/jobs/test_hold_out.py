"""Tests of jobs/hold_out.py and results.py: quality without truth, and the report that shows it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from warprefine import FinishedRun, autolabel
from warprefine.core.errors import RunFolderError
from warprefine.core.tensors import size_of
from warprefine.io.images import read_frame, read_labels
from warprefine.jobs import networks
from warprefine.jobs.hold_out import evaluate_hold_out
from warprefine.jobs.hold_out_file import WrittenEstimates, labels_of, read_estimates
from warprefine.jobs.reopened import reopened
from warprefine.jobs.results import report_again
from warprefine.metrics import confusion
from warprefine.metrics.hold_out import format_estimates
from warprefine.ops.resize import to_size
from warprefine.propagation.methods import PLUS


@pytest.fixture
def finished(calibrated_run: Path, tmp_path: Path) -> FinishedRun:
    """A run of one's own."""
    return FinishedRun.open(shutil.copytree(calibrated_run, tmp_path / "run"))


def test_each_key_frame_is_held_out_and_truth_is_not_read(finished: FinishedRun) -> None:
    """The estimate of each method is written and shown in the report; deleting the truth changes nothing."""
    found = evaluate_hold_out(finished)
    report_again(finished)

    assert set(found) == {"motion-only", "semantic-only", PLUS}
    for one in found.values():
        assert one.key_frames == 4
        assert one.miou.low is not None
        assert one.miou.high is not None
        assert one.miou.low <= (one.miou.value or 0) <= one.miou.high
    content = json.loads((finished.run.root / "hold_out.json").read_text())
    assert "the labels of the key frame" in content["held_out"]
    assert content["methods"]["motion-only"]["miou"][0] == pytest.approx(
        found["motion-only"].miou.value, abs=1e-3
    )
    html = finished.run.report_path.read_text(encoding="utf-8")
    assert "Estimate from key frames that were held out" in html
    assert "Expected from confidence" in html
    blind = FinishedRun.open(finished.run.root)
    for video in blind.dataset.videos:
        object.__setattr__(video, "truth", {})
    assert evaluate_hold_out(blind)["motion-only"] == found["motion-only"]


def test_frames_of_the_segmenter_alone_have_an_estimate_of_their_own(
    calibrated_run: Path, tmp_path: Path
) -> None:
    """Key frames that a segmenter labels alone, which has not seen them, tell of frames out of reach."""
    out = shutil.copytree(calibrated_run, tmp_path / "run")
    job = FinishedRun.open(out)
    before = json.loads((out / "expected.json").read_text())[PLUS]
    autolabel(job.dataset, out, horizon=1, methods=job.methods, recipe=job.recipe, unreached="semantic")

    finished = FinishedRun.open(out)
    found = evaluate_hold_out(finished)
    report_again(finished)

    assert finished.coverage[0].by_segmenter == (2, 6, 10)
    assert not finished.run.raw_confidence_path(PLUS, "street-000", "000002").exists()  # it is not calibrated
    assert json.loads((out / "expected.json").read_text())[PLUS]["accuracy"] == before["accuracy"]
    assert found["motion-only"].unreached is None
    alone = found[PLUS].unreached
    assert alone is not None
    assert (alone.kind, alone.key_frames) == ("alone", 4)
    assert alone.measured_by_distance == {0: pytest.approx(measured_by_hand(finished))}
    assert f"by the segmenter alone: mIoU {alone.miou} %" in format_estimates(found)
    assert ">out of reach</th>" in finished.run.report_path.read_text(encoding="utf-8")


def measured_by_hand(finished: FinishedRun) -> float:
    """Return the mIoU, in percent, of the key frames as the segmenters label them that have not seen them."""
    dataset = finished.dataset
    made = networks.Networks(reopened(finished, finished.run, device="cpu"))
    total = np.zeros((len(dataset.classes) + 1,) * 2, np.int64)
    for video in dataset.videos:
        for frame in video.key_frames:
            segmenter, _ = made.held_out(made.teachers.fold_of(video, frame))
            picture = read_frame(video.frame_paths[frame])
            labels = to_size(segmenter(picture).logits, size_of(picture)).argmax(dim=1).to(torch.uint8)
            truth = read_labels(video.labels[frame], dataset.classes)
            total += confusion.count(labels, truth, class_count=len(dataset.classes))
    return 100 * float(confusion.mean_iou(total))


def test_networks_compute_in_the_precision_of_the_run(
    finished: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was made in 16 bits is estimated in 16 bits, on a machine without them too."""
    path, made = finished.run.root / "computed_with.json", []
    path.write_text(json.dumps({**json.loads(path.read_text()), "precision": "bfloat16"}))
    load = networks.with_precision
    monkeypatch.setattr(networks, "with_precision", lambda part, p: made.append(p) or load(part, p))

    evaluate_hold_out(finished)

    assert set(made) == {torch.bfloat16}


def test_estimates_of_other_labels_are_marked(finished: FinishedRun) -> None:
    """They are of the labels that were there, which the report says."""
    run, dataset = finished.run, finished.dataset
    labels = labels_of(run, dataset, finished.methods)
    (run.root / "hold_out.json").write_text(json.dumps({"labels": labels, "methods": {"a": {}}}))

    assert read_estimates(run, labels) == WrittenEstimates(methods={"a": {}}, are_stale=False)
    assert read_estimates(run, "others") == WrittenEstimates(methods={"a": {}}, are_stale=True)
    (run.root / "hold_out.json").unlink()
    assert read_estimates(run, labels) == WrittenEstimates(methods={}, are_stale=False)


def test_the_report_of_a_run_whose_labels_changed_says_that_the_estimate_is_old(
    finished: FinishedRun,
) -> None:
    """After a correction and new labels the estimate is still there, and the command that renews it."""
    evaluate_hold_out(finished)
    report_again(finished)
    assert "This estimate is out of date" not in finished.run.report_path.read_text(encoding="utf-8")
    with closing(sqlite3.connect(finished.run.root / "manifest.sqlite")) as connection, connection:
        connection.execute("UPDATE pseudo_label SET fingerprint = 'other' WHERE frame = 3")

    report_again(finished)

    html = finished.run.report_path.read_text(encoding="utf-8")
    assert "This estimate is out of date" in html
    assert "it is rough: only 4 key frames were held out; it is likely too low" in html


def test_a_damaged_estimate_is_refused(finished: FinishedRun) -> None:
    """The message has the remedy."""
    (finished.run.root / "hold_out.json").write_text("[]")

    with pytest.raises(
        RunFolderError, match=r"hold_out.json is damaged .* run `warprefine evaluate --hold-out`"
    ):
        read_estimates(finished.run, "any")


def test_parts_of_the_user_cannot_be_held_out(finished: FinishedRun) -> None:
    """Nobody knows what they have learned from."""
    path = finished.run.root / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "parts": {"segmenter": "mine 1"}}))

    with pytest.raises(RunFolderError, match=r"parts that were supplied as objects \(segmenter\)"):
        evaluate_hold_out(finished)


def test_a_run_without_held_out_segmenters_has_no_estimate(finished: FinishedRun) -> None:
    """Semantic-only alone has a segmenter that has seen every key frame."""
    for path in (finished.run.root / "checkpoints").glob("*fold*"):
        path.unlink()
    object.__setattr__(finished, "methods", ("semantic-only",))

    with pytest.raises(RunFolderError, match="no segmenter that is held out from a key frame"):
        evaluate_hold_out(finished)


def test_a_report_of_an_earlier_version_is_not_repeated(finished: FinishedRun) -> None:
    """Its facts are not there."""
    (finished.run.root / "facts.json").unlink()

    with pytest.raises(RunFolderError, match=r"holds no facts.json"):
        report_again(finished)
