"""Tests of datasets/camvid.py: both layouts of CamVid, single frames and clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.tensors import VOID
from warprefine.datasets.camvid import CAMVID_CLASSES, read_camvid
from warprefine.io.frames import frame_size
from warprefine.io.images import read_labels


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_clip_is_one_video(tmp_path: Path) -> None:
    """A split of another name than train, val and test holds consecutive frames; labels may be sparse."""
    touch(*(tmp_path / "clip" / "images" / f"{stem}.jpg" for stem in "abc"), tmp_path / "clip/labels/b.png")

    (video,) = read_camvid(tmp_path, "clip").videos

    assert video.name == "clip"
    assert list(video.stems) == ["a", "b", "c"]
    assert dict(video.labels) == {1: tmp_path / "clip/labels/b.png"}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_single_frames_are_videos_of_one_frame(tmp_path: Path, split: str) -> None:
    """Frames a second apart are no video together; each is one of its own, named after its picture."""
    for stem in "ab":
        touch(tmp_path / split / "images" / f"{stem}.png", tmp_path / split / "labels" / f"{stem}.png")

    videos = read_camvid(tmp_path, split).videos

    assert [(video.name, len(video), video.key_frames) for video in videos] == [
        ("a", 1, (0,)),
        ("b", 1, (0,)),
    ]
    assert videos[1].labels[0] == tmp_path / split / "labels" / "b.png"


def test_the_layout_of_segnet_is_read(tmp_path: Path) -> None:
    """SegNet's authors put the labels of `train` into `trainannot`."""
    touch(tmp_path / "train" / "a.png", tmp_path / "trainannot" / "a.png")

    (video,) = read_camvid(tmp_path, "train").videos

    assert video.frame_paths == (tmp_path / "train" / "a.png",)
    assert video.labels[0] == tmp_path / "trainannot" / "a.png"


def test_a_missing_split_is_told_with_those_that_exist(tmp_path: Path) -> None:
    """A wrong split is reported with the right ones and both layouts."""
    touch(tmp_path / "train" / "a.png", tmp_path / "trainannot" / "a.png", tmp_path / "clip/images/a.png")

    with pytest.raises(
        DatasetError, match=r"no split 'tain' of CamVid: it holds clip, train; expected tain/images"
    ):
        read_camvid(tmp_path, "tain")


def test_an_empty_folder_is_no_camvid(tmp_path: Path) -> None:
    """A folder without any split is reported as such."""
    with pytest.raises(DatasetError, match=r"no split 'train' of CamVid: it holds no folders"):
        read_camvid(tmp_path, "train")


def test_labels_without_pictures_are_refused(tmp_path: Path) -> None:
    """A trainannot without a train beside it lacks the pictures."""
    touch(tmp_path / "trainannot" / "a.png")

    with pytest.raises(DatasetError, match=r"train does not exist, expected the pictures of the split"):
        read_camvid(tmp_path, "train")


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    """A wrong path is reported with what was expected there."""
    with pytest.raises(DatasetError, match=r"gone does not exist, expected a folder of CamVid"):
        read_camvid(tmp_path / "gone", "train")


def test_a_single_frame_without_labels_is_refused(tmp_path: Path) -> None:
    """A single frame is good for nothing without its labels."""
    touch(tmp_path / "train/images/a.png", tmp_path / "train/images/b.png", tmp_path / "train/labels/a.png")

    with pytest.raises(
        DatasetError, match=r"pictures of .* have no label map in .*labels: b\.png; expected one"
    ):
        read_camvid(tmp_path, "train")


def test_a_label_map_without_a_picture_is_refused(tmp_path: Path) -> None:
    """A label map of no picture stops the reading."""
    touch(tmp_path / "clip/images/a.png", tmp_path / "clip/labels/b.png")

    with pytest.raises(KeyFrameError, match=r"key frame without a frame: .*b\.png"):
        read_camvid(tmp_path, "clip")


def test_the_real_clip_is_read(shared: Path) -> None:
    """CamVid at 15 Hz is 51 consecutive frames, all labelled; void is VOID, and the sky is above the road."""
    dataset = read_camvid(shared / "data" / "camvid", "clip15hz")
    (video,) = dataset.videos

    labels = read_labels(video.labels[10], dataset.classes, size=frame_size(video, 10))[0]

    assert len(video) == len(video.labels) == 51
    assert set(labels.unique().tolist()) <= {*range(11), VOID}
    rows = {
        name: (labels == CAMVID_CLASSES.position(name)).nonzero()[:, 0].float().mean()
        for name in ("Sky", "Road")
    }
    assert rows["Sky"] < 120
    assert rows["Road"] > 240


def test_the_real_training_frames_are_read(shared: Path) -> None:
    """The training split has 367 labelled frames, none of which belongs to a video."""
    videos = read_camvid(shared / "data" / "camvid", "train").videos

    assert len(videos) == 367
    assert {len(video) for video in videos} == {1}
