"""Tests of metrics/expected.py: scores that confidence lets expect."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.pseudolabel import Provenance
from warprefine.core.video import Dataset, Video
from warprefine.io.images import write_gray
from warprefine.io.manifest import ArrivedFrame
from warprefine.io.run import RunFolder
from warprefine.metrics import confusion
from warprefine.metrics.expected import confidence_by_distance, expected_errors, expected_scores
from warprefine.ops.calibration import confidence_sums

CLASSES = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))


def long_video(frames: int) -> Video:
    """Return a video whose first frame is a key frame."""
    stems = [f"{k:06d}" for k in range(frames)]
    return Video(name="long", stems=stems, container=Path("long.mp4"), labels={0: Path("0.png")})


def labelled(run: RunFolder, frame: int, *, sums: np.ndarray | None, keys: tuple[int, ...] = (0,)) -> None:
    """Record labels of a frame, with or without the sums of their confidence."""
    origin = Provenance(method="motion-only", key_frames=keys, distance=frame)
    run.manifest.put(
        ArrivedFrame(video="long", frame=frame, provenance=origin, fingerprint="f", files=(), sums=sums)
    )


def test_expected_scores_are_true_where_confidence_is(rng: np.random.Generator) -> None:
    """Where each pixel is right with its confidence, and wrong as elsewhere, the IoU is as expected."""
    h, w = 200, 300
    labels = torch.from_numpy((rng.random((1, h, w)) < 0.3).astype(np.uint8))
    sure = torch.from_numpy(np.where(labels.numpy() == 1, 0.7, 0.95).astype(np.float32))
    wrong = torch.from_numpy(rng.random((1, h, w))) > sure
    truth = torch.where(wrong, 1 - labels, labels)
    sums = confidence_sums(labels, sure, class_count=2)[None]

    found = expected_scores(sums, np.zeros((3, 3), np.int64), CLASSES)

    matrix = confusion.count(labels, truth, class_count=2)
    assert found.miou_by_distance == [pytest.approx(100 * confusion.mean_iou(matrix), abs=0.5)]
    assert found.accuracy == pytest.approx(100 * confusion.pixel_accuracy(matrix), abs=0.5)
    assert found.accuracy_by_class["car"] == pytest.approx(70, abs=0.2)


def test_wrong_pixels_go_where_held_out_ones_went() -> None:
    """Of three classes, cars that are wrong are road in truth, as on key frames, and no bird."""
    classes = ClassSet(names=("road", "car", "bird"), colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)))
    sums = np.array([[[1000, 255_000], [1000, 127_500], [1000, 255_000], [0, 0]]])
    seen = np.zeros((4, 4), np.int64)
    seen[0, 1] = 1_000_000

    found = expected_scores(sums, seen, classes)

    assert found.iou_by_class["road"] == pytest.approx(100 * 1000 / 1500, abs=0.1)
    assert found.iou_by_class["bird"] == pytest.approx(100, abs=0.1)


def test_a_class_that_is_nowhere_is_not_expected() -> None:
    """It has no IoU, and is left out of the mean."""
    sums = np.array([[[100, 25_500], [0, 0], [0, 0]]])

    found = expected_scores(sums, np.zeros((3, 3), np.int64), CLASSES)

    assert (found.iou_by_class["car"], found.accuracy_by_class["car"], found.miou) == (None, None, 100)


def test_distances_without_frames_have_no_expectation() -> None:
    """The mean is that of the others."""
    sums = np.zeros((2, 3, 2), np.int64)
    sums[0, 0] = 10, 2550

    found = expected_scores(sums, np.zeros((3, 3), np.int64), CLASSES)

    assert (found.miou_by_distance, found.accuracy_by_distance) == ([100, None], [100, None])


def test_errors_of_each_frame_are_kept_with_its_labels(tmp_path: Path) -> None:
    """A key frame has none, a frame without labels is unknown."""
    run, video = RunFolder(tmp_path), long_video(4)
    labelled(run, 1, sums=np.array([[10, 2550], [10, 1275], [0, 0]]))
    labelled(run, 3, sums=np.array([[10, 0], [0, 0], [0, 0]]))
    run.manifest.mark_begun("long", [3], "motion-only")

    errors = expected_errors(run, video, "motion-only")

    assert errors.dtype == np.float32
    assert errors[:2].tolist() == [0, 0.25]
    assert np.isnan(errors[2:]).all()


def test_errors_of_runs_of_earlier_versions_are_read_from_files(tmp_path: Path) -> None:
    """Their manifest has no sums."""
    run, video = RunFolder(tmp_path), long_video(2)
    labelled(run, 1, sums=None)
    path = run.confidence_path("motion-only", "long", "000001")
    write_gray(path, torch.full((1, 2, 2), 0.8))

    assert expected_errors(run, video, "motion-only")[1] == pytest.approx(0.2, abs=0.002)


def test_errors_of_ten_thousand_frames_take_less_than_a_second(tmp_path: Path) -> None:
    """They are read from the manifest at once."""
    run, video = RunFolder(tmp_path), long_video(10_000)
    sums = np.tile(np.array([[1000, 200_000], [0, 0]], "<i8"), (6, 1))
    with run.expectations._file.connect() as connection:
        rows = [("long", "m", k, 0.1, sums.tobytes()) for k in range(1, 10_000)]
        connection.executemany("INSERT INTO expectation VALUES (?, ?, ?, ?, ?)", rows)
    origins = {k: Provenance(method="m", key_frames=(0,), distance=k) for k in range(1, 10_000)}
    run.manifest.mark_done("long", origins, "m", "f", files=dict.fromkeys(origins, ()))
    begun = time.process_time()

    errors = expected_errors(run, video, "m")

    assert time.process_time() - begun < 1
    assert np.allclose(errors[1:], 0.1)


def test_sums_are_added_up_by_distance(tmp_path: Path) -> None:
    """Frames beyond the horizon do not count, nor those that the segmenter alone has labelled."""
    run, video = RunFolder(tmp_path), long_video(6)
    for frame in (1, 2, 4):
        labelled(run, frame, sums=np.array([[frame, 255], [0, 0], [0, 0]]))
    labelled(run, 3, sums=np.array([[3, 255], [0, 0], [0, 0]]), keys=())
    dataset = Dataset(root=tmp_path, classes=CLASSES, videos=(video,))

    assert confidence_by_distance(run, dataset, "motion-only", horizon=3)[:, 0, 0].tolist() == [1, 2, 0]


def test_a_folder_without_the_table_has_no_expectations(tmp_path: Path) -> None:
    """A run of an earlier version is read as it is, also where nothing may be written."""
    RunFolder(tmp_path)
    with RunFolder(tmp_path).expectations._file.connect() as connection:
        connection.execute("DROP TABLE expectation")

    run = RunFolder(tmp_path, read_only=True)

    assert (run.expectations.errors("long", "m"), run.expectations.sums("long", "m")) == ({}, {})
