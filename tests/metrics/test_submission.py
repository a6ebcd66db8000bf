"""Tests of metrics/submission.py: what a benchmark is sent, and what it would refuse."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID, LabelMaps
from warprefine.core.video import Dataset, Video
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.datasets.readers import READERS
from warprefine.io.images import read_ids, write_frame, write_ids
from warprefine.metrics.submission import (
    SUBMISSIONS,
    check_submission,
    frames_to_submit,
    pack,
    regular_ids,
    write_prediction,
)

H, W = 2, 3
CITYSCAPES, KITTI = SUBMISSIONS["cityscapes"], SUBMISSIONS["kitti"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two test frames of Cityscapes, without labels."""
    videos = []
    for number in (19, 49):
        name = f"berlin_000000_{number:06d}"
        path = tmp_path / "data" / f"{name}_leftImg8bit.png"
        write_frame(path, torch.zeros(1, 3, H, W, dtype=torch.uint8))
        videos.append(Video(name=name, stems=(name,), frame_paths=(path,)))
    return Dataset(root=tmp_path / "data", classes=CITYSCAPES_CLASSES, videos=tuple(videos))


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> Path:
    """Predictions for both: cars on a road."""
    folder = tmp_path / "sent"
    for video in dataset.videos:
        write(folder, video, labels(0, 0, 13, 13, 0, VOID))
    return folder


def labels(*values: int) -> LabelMaps:
    return torch.tensor(values, dtype=torch.uint8).reshape(1, H, W)


def write(folder: Path, video: Video, prediction: LabelMaps) -> None:
    write_prediction(folder, CITYSCAPES, video=video, frame=0, labels=prediction, classes=CITYSCAPES_CLASSES)


def first_of(folder: Path) -> Path:
    return folder / "berlin_000000_000019_pred_labelIds.png"


def test_each_benchmark_that_is_read_can_be_sent(dataset: Dataset) -> None:
    """The names are those that the servers look for, by the names of the readers."""
    assert {*SUBMISSIONS} <= {*READERS}
    berlin = dataset.videos[0]
    kitti = Video(name="000007_10", stems=("000007_09", "000007_10"), frame_paths=(Path("a"), Path("b")))

    assert CITYSCAPES.path_of(berlin, 0) == PurePosixPath("berlin_000000_000019_pred_labelIds.png")
    assert KITTI.path_of(kitti, 1) == PurePosixPath("semantic/000007_10.png")


def test_labelled_frames_are_sent_and_all_of_a_test_set() -> None:
    """Of a video with key frames these are asked for; where labels are secret, every frame."""
    paths = [Path(f"{number}.png") for number in range(3)]
    video = Video(name="a", stems="abc", frame_paths=paths, labels={1: Path("l.png")})

    assert frames_to_submit(video) == (1,)
    assert frames_to_submit(Video(name="a", stems="abc", frame_paths=paths)) == (0, 1, 2)


def test_predictions_hold_regular_ids(folder: Path) -> None:
    """Road is 7 and car is 26, as in the label maps of the benchmark; VOID is 0; there is no palette."""
    with Image.open(first_of(folder)) as picture:
        assert (picture.mode, picture.format) == ("L", "PNG")
        assert np.asarray(picture).tolist() == [[7, 7, 26], [26, 7, 0]]


def test_what_is_no_label_is_not_sent(tmp_path: Path, dataset: Dataset) -> None:
    """A position that no class has never becomes an id."""
    with pytest.raises(LabelError, match="holds class 19, but this class set ends at 18"):
        write(tmp_path / "sent", dataset.videos[0], labels(0, 0, 0, 0, 0, 19))

    assert regular_ids(labels(0, 0, 0, 0, 18, VOID), CITYSCAPES_CLASSES).tolist() == [[7, 7, 7], [7, 33, 0]]


def test_a_whole_submission_is_fine(folder: Path, dataset: Dataset) -> None:
    """A prediction for each frame is all that is needed; hidden and other files play no part."""
    (folder / ".DS_Store").touch()
    (folder / "._a.png").touch()
    (folder / "notes.txt").touch()

    check_submission(folder, CITYSCAPES, dataset)


def test_each_frame_needs_a_prediction(folder: Path, dataset: Dataset) -> None:
    """A frame without a prediction is named."""
    first_of(folder).unlink()

    with pytest.raises(
        LabelError,
        match=r"1 of 2 predictions are missing in .*sent: berlin_000000_000019_pred.*; predict all",
    ):
        check_submission(folder, CITYSCAPES, dataset)


def test_a_folder_that_is_not_there_lacks_all(tmp_path: Path, dataset: Dataset) -> None:
    """Without a folder every prediction is missing."""
    with pytest.raises(LabelError, match=r"2 of 2 predictions are missing in .*gone"):
        check_submission(tmp_path / "gone", CITYSCAPES, dataset)


def test_a_prediction_of_no_frame_is_refused(folder: Path, dataset: Dataset) -> None:
    """What was left there by a run over another split would be sent too."""
    write_ids(folder / "old" / "ulm.png", np.zeros((H, W), np.uint8))

    with pytest.raises(
        LabelError, match=r"1 predictions in .*sent belong to no frame of the split: ulm\.png"
    ):
        check_submission(folder, CITYSCAPES, dataset)


def test_a_prediction_has_the_size_of_its_frame(folder: Path, dataset: Dataset) -> None:
    """A prediction at half size is told with both sizes, height first."""
    write_ids(first_of(folder), np.full((W, H), 7, np.uint8))

    with pytest.raises(
        LabelError, match=r"000019_pred_labelIds\.png is 3 x 2 \(h x w\), but its frame is 2 x 3"
    ):
        check_submission(folder, CITYSCAPES, dataset)


@pytest.mark.parametrize("stray", [18, 34, 255])
def test_a_prediction_holds_ids_of_classes(folder: Path, dataset: Dataset, stray: int) -> None:
    """Train ids and 255 for VOID are what people send by mistake."""
    write_ids(first_of(folder), np.array([[7, 7, 0], [33, 26, stray]], np.uint8))

    with pytest.raises(
        LabelError, match=rf"holds {stray}, which is no id of a class; expected 7, 8, 11, .*33, or 0"
    ):
        check_submission(folder, CITYSCAPES, dataset)


def test_an_archive_holds_the_predictions_as_they_are(folder: Path, tmp_path: Path) -> None:
    """Names and contents are those of the folder, folders in it included; nothing else is packed."""
    write_ids(folder / "semantic" / "000000_10.png", np.zeros((H, W), np.uint8))
    (folder / ".DS_Store").touch()
    (folder / "notes.txt").touch()

    pack(folder, tmp_path / "sent.zip")

    with zipfile.ZipFile(tmp_path / "sent.zip") as archive:
        assert archive.namelist() == [
            "berlin_000000_000019_pred_labelIds.png",
            "berlin_000000_000049_pred_labelIds.png",
            "semantic/000000_10.png",
        ]
        archive.extractall(tmp_path / "unpacked")
    name = first_of(folder).name
    assert read_ids(tmp_path / "unpacked" / name).tolist() == read_ids(folder / name).tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "sent", "sent.zip", "unpacked"]


def test_the_same_predictions_give_the_same_archive(folder: Path, tmp_path: Path) -> None:
    """When a file was written says nothing about what it holds."""
    pack(folder, tmp_path / "a.zip")
    first_of(folder).touch()
    content = first_of(folder).read_bytes()
    first_of(folder).unlink()
    first_of(folder).write_bytes(content)
    first_of(folder).chmod(0o600)
    pack(folder, tmp_path / "b.zip")

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}


def test_nothing_is_not_packed(tmp_path: Path) -> None:
    """An archive without predictions is not written."""
    with pytest.raises(LabelError, match=r"empty holds no predictions to pack; expected PNG files"):
        pack(tmp_path / "empty", tmp_path / "a.zip")

    assert not (tmp_path / "a.zip").exists()
