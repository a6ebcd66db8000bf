"""Tests of metrics/benchmark.py: predictions against label maps and instance maps on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.metrics.benchmark import score_with_instances
from warprefine.metrics.instance_iou import Scores

ROAD, BUILDING, CAR, CARAVAN = 7, 11, 26, 29
Row = list[int]


def cityscapes_label(root: Path, name: str) -> Path:
    return root / "gtFine" / f"{name}_gtFine_labelIds.png"


def cityscapes_instances(root: Path, name: str) -> Path:
    return root / "gtFine" / f"{name}_gtFine_instanceIds.png"


def kitti_label(root: Path, name: str) -> Path:
    return root / "training" / "semantic" / f"{name}.png"


def kitti_instances(root: Path, name: str) -> Path:
    return root / "training" / "instance" / f"{name}.png"


def write_map(path: Path, row: Row, kind: type[np.generic] = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([row], kind)).save(path)


def dataset_of(root: Path, rows: dict[str, Row], place: Callable[[Path, str], Path]) -> Dataset:
    """Write a label map for each name; return videos of two frames of which the second is labelled."""
    videos = []
    for name, row in rows.items():
        write_map(place(root, name), row)
        frames = [root / f"{name}_{number}.png" for number in range(2)]
        videos.append(Video(name=name, stems="ab", frame_paths=frames, labels={1: place(root, name)}))
    return Dataset(root=root, classes=CITYSCAPES_CLASSES, videos=tuple(videos))


def predict(rows: dict[str, Row]) -> Callable[[Video, int], LabelMaps]:
    """Predict ids of classes, 255 for VOID, for frame 1 of each video."""

    def predicted(video: Video, frame: int) -> LabelMaps:
        assert frame == 1
        positions = [VOID if i == VOID else CITYSCAPES_CLASSES.ids.index(i) for i in rows[video.name]]
        return torch.tensor([[positions]], dtype=torch.uint8)

    return predicted


def score(dataset: Dataset, rows: dict[str, Row]) -> Scores:
    scores = score_with_instances(dataset, predict(rows))
    assert scores is not None
    return scores


def test_cityscapes_is_scored_with_its_instances(tmp_path: Path) -> None:
    """A car of 8 pixels is found and one of 2 is missed: IoU says 8 of 10, iIoU one of two."""
    dataset = dataset_of(tmp_path, {"a": [CAR] * 10}, cityscapes_label)
    write_map(cityscapes_instances(tmp_path, "a"), [26001] * 8 + [26002] * 2, np.uint16)

    scores = score(dataset, {"a": [CAR] * 8 + [ROAD] * 2})

    assert scores.class_iou["car"] == pytest.approx(8 / 10)
    assert scores.class_iiou["car"] == pytest.approx(1 / 2)


def test_kitti_is_scored_with_its_instances(tmp_path: Path) -> None:
    """KITTI packs id and number into 16 bits: number 0 is no instance, nor is a numbered building."""
    row = [CAR] * 10 + [CAR] * 4 + [BUILDING] * 3
    dataset = dataset_of(tmp_path, {"000000_10": row}, kitti_label)
    packed = [CAR * 256 + 1] * 8 + [CAR * 256 + 2] * 2 + [CAR * 256] * 4 + [BUILDING * 256 + 1] * 3
    write_map(kitti_instances(tmp_path, "000000_10"), packed, np.uint16)

    scores = score(dataset, {"000000_10": [CAR] * 8 + [ROAD] * 6 + [BUILDING] * 3})

    assert scores.class_iou["car"] == pytest.approx(8 / 14)
    assert scores.class_iiou["car"] == pytest.approx(1 / 2)
    assert scores.class_iou["building"] == 1


def test_all_key_frames_are_scored_together(tmp_path: Path) -> None:
    """Pixels of all videos are counted before they are scored."""
    dataset = dataset_of(tmp_path, {"a": [ROAD] * 8, "b": [ROAD] * 2}, cityscapes_label)

    scores = score(dataset, {"a": [ROAD] * 8, "b": [BUILDING] * 2})

    assert scores.class_iou["road"] == pytest.approx(8 / 10)
    assert scores.confusion.sum() == 10


def test_labels_are_read_as_they_are(tmp_path: Path) -> None:
    """A caravan is no class, but a vehicle: its id reaches the scores, and nobody is blamed for it."""
    dataset = dataset_of(tmp_path, {"a": [CARAVAN, 255, 0, ROAD]}, cityscapes_label)

    scores = score(dataset, {"a": [CAR, CAR, CAR, ROAD]})

    assert (scores.priors["caravan"], scores.priors["unlabeled"]) == (1 / 4, 2 / 4)
    assert scores.class_iou["road"] == 1
    assert isnan(scores.class_iou["car"])


def test_void_is_a_miss(tmp_path: Path) -> None:
    """A prediction that says nothing finds nothing."""
    dataset = dataset_of(tmp_path, {"a": [ROAD] * 4}, cityscapes_label)

    assert score(dataset, {"a": [ROAD] * 3 + [VOID]}).class_iou["road"] == pytest.approx(3 / 4)


@pytest.mark.parametrize("place", [cityscapes_label, kitti_label])
def test_without_instance_maps_there_is_no_iiou(tmp_path: Path, place: Callable[[Path, str], Path]) -> None:
    """IoU needs no instances; iIoU is not 0 but unknown, also where a car was invented."""
    dataset = dataset_of(tmp_path, {"a": [CAR] * 4 + [ROAD] * 2}, place)

    scores = score(dataset, {"a": [CAR] * 5 + [ROAD]})

    assert scores.class_iou["car"] == pytest.approx(4 / 5)
    assert scores.category_iou["vehicle"] == pytest.approx(4 / 5)
    assert all(isnan(value) for value in (*scores.class_iiou.values(), *scores.category_iiou.values()))
    assert isnan(scores.mean_class_iiou)


def test_instance_maps_are_there_for_all_or_for_none(tmp_path: Path) -> None:
    """An iIoU over some of the frames would pass for that of all."""
    dataset = dataset_of(tmp_path, {"a": [CAR], "b": [CAR]}, cityscapes_label)
    write_map(cityscapes_instances(tmp_path, "a"), [26001], np.uint16)

    with pytest.raises(
        LabelError,
        match=r"1 of 2 label maps have no instance map: expected .*b_gtFine_instanceIds\.png; copy",
    ):
        score(dataset, {"a": [CAR], "b": [CAR]})


def test_a_prediction_of_another_size_is_named(tmp_path: Path) -> None:
    """What does not fit is told with the label map that it does not fit."""
    dataset = dataset_of(tmp_path, {"a": [ROAD] * 4}, cityscapes_label)

    with pytest.raises(
        LabelError, match=r"a_gtFine_labelIds\.png: truth has size \(1, 4\).* prediction \(1, 3\)"
    ):
        score(dataset, {"a": [ROAD] * 3})


def test_other_data_sets_have_no_such_scores(tmp_path: Path) -> None:
    """Neither other classes nor frames without labels can be scored by these rules."""
    dataset = dataset_of(tmp_path, {"a": [ROAD]}, cityscapes_label)
    other = replace(CITYSCAPES_CLASSES, file_ids=(), void_ids=())
    video = replace(dataset.videos[0], labels={})

    assert score_with_instances(replace(dataset, classes=other), predict({})) is None
    assert score_with_instances(replace(dataset, videos=(video,)), predict({})) is None
