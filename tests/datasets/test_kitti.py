"""Tests of datasets/kitti.py: labelled frames of 200 scenes, their neighbours and folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.datasets.kitti import read_kitti
from warprefine.datasets.summary import summarise
from warprefine.io.images import write_frame, write_ids


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def scene(folder: Path, number: int, frames: range) -> list[Path]:
    return [folder / "training/image_2" / f"{number:06d}_{frame:02d}.png" for frame in frames]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten labelled scenes without neighbours, two scenes to test."""
    for number in range(10):
        name = f"{number:06d}_10.png"
        kinds = ("image_2", "semantic", "instance", "semantic_rgb")
        touch(*(tmp_path / "training" / kind / name for kind in kinds))
    touch(*(tmp_path / "testing/image_2" / f"{number:06d}_10.png" for number in range(2)))
    return tmp_path


def numbers(root: Path, split: str) -> list[int]:
    return [int(video.name.removesuffix("_10")) for video in read_kitti(root, split).videos]


@pytest.mark.parametrize("place", ["", "multiview", "data_scene_flow_multiview"])
def test_neighbours_are_found_where_they_are_unpacked(root: Path, place: str) -> None:
    """The multi-view extension may lie among the labelled frames or beside them."""
    frames = scene(root / place, 3, range(21))
    touch(*frames)

    dataset = read_kitti(root, "train")

    assert dataset.classes == CITYSCAPES_CLASSES
    assert [len(video) for video in dataset.videos] == [1, 1, 1, 21, 1, 1, 1, 1, 1, 1]
    video = dataset.videos[3]
    assert (video.name, video.stems[0], video.stems[-1]) == ("000003_10", "000003_00", "000003_20")
    assert dict(video.labels) == {10: root / "training/semantic/000003_10.png"}
    assert video.frame_paths[9] == frames[9]
    # The labelled frame is the one that was labelled, not its copy.
    assert video.frame_paths[10] == root / "training/image_2/000003_10.png"


def test_gaps_are_noted(root: Path) -> None:
    """Scenes that end early and missing frames are reported."""
    for number in range(9):
        touch(*scene(root, number, range(21)))
    touch(*scene(root, 9, range(15)))

    dataset = read_kitti(root, "train")

    assert len(dataset.videos[9]) == 15
    assert dataset.notes == ("1 of 10 snippets lack neighbours: 000009_10 (frames 0..14 of 0..20)",)


def test_a_scene_without_labels_is_noted(root: Path) -> None:
    """An unlabelled scene of the multi-view extension is no video."""
    for number in range(11):
        touch(*scene(root / "multiview", number, range(21)))

    dataset = read_kitti(root, "fold0-val")

    assert len(dataset.videos) == 3
    assert dataset.notes == ("snippets without a label map are left out, 1: 000010_00..20",)


def test_folds_take_every_fourth_label_map(root: Path) -> None:
    """The val parts of four folds share out all frames, and each trains on the rest."""
    assert [numbers(root, f"fold{fold}-val") for fold in range(4)] == [[0, 4, 8], [1, 5, 9], [2, 6], [3, 7]]
    for fold in range(4):
        both = numbers(root, f"fold{fold}-train") + numbers(root, f"fold{fold}-val")
        assert sorted(both) == numbers(root, "train") == list(range(10))


def test_a_missing_picture_leaves_the_folds_as_they_are(root: Path) -> None:
    """A missing picture leaves the folds of all others unchanged, less that picture."""
    (root / "training/image_2/000001_10.png").unlink()

    dataset = read_kitti(root, "fold1-val")

    assert [video.name for video in dataset.videos] == ["000005_10", "000009_10"]
    with pytest.raises(
        KeyFrameError, match=r"000001_10\.png has no picture: expected 000001_10 in .*image_2"
    ):
        raise dataset.broken["000001_10"]


def test_frames_of_the_test_set_have_no_labels(root: Path) -> None:
    """Only the frames to submit are read, each by itself."""
    touch(root / "testing/image_2/000000_09.png", root / "testing/image_2/000000_11.png")

    videos = read_kitti(root, "test").videos

    assert [video.name for video in videos] == ["000000_10", "000001_10"]
    assert [(len(video), dict(video.labels)) for video in videos] == [(1, {}), (1, {})]


def test_endings_may_have_any_case_and_hidden_files_are_no_files(root: Path) -> None:
    """Copies from other systems have .PNG and .JPG, .DS_Store and ._ files."""
    labels = root / "training/semantic/000000_10.png"
    labels.rename(labels.with_suffix(".PNG"))
    frame = root / "training/image_2/000001_10.png"
    frame.rename(frame.with_suffix(".JPG"))
    touch(
        labels.with_name(".DS_Store"), labels.with_name("._000000_10.png"), frame.with_name("._000000_10.png")
    )

    videos = read_kitti(root, "train").videos

    assert len(videos) == 10
    assert videos[0].labels[0].suffix == ".PNG"
    assert videos[1].frame_paths[0].suffix == ".JPG"


def test_scenes_may_differ_in_size(tmp_path: Path) -> None:
    """Each scene has a size of its own; within one, a label map of another size is a problem."""
    for number, (h, w) in enumerate([(4, 6), (5, 8)]):
        (path,) = scene(tmp_path, number, range(10, 11))
        write_frame(path, torch.zeros(1, 3, h, w, dtype=torch.uint8))
        write_ids(tmp_path / "training/semantic" / path.name, np.full((h, w), 26, np.uint8))
    assert summarise(read_kitti(tmp_path, "train"), check=True).problems == ()

    write_ids(tmp_path / "training/semantic/000001_10.png", np.full((4, 6), 26, np.uint8))

    (problem,) = summarise(read_kitti(tmp_path, "train"), check=True).problems
    assert "000001_10.png is 4 x 6 (h x w), but its frame is 5 x 8" in problem


def test_a_truncated_picture_is_a_problem(tmp_path: Path) -> None:
    """A neighbour that was cut short in copying is found before a job starts."""
    frames = scene(tmp_path, 0, range(9, 12))
    for path in frames:
        write_frame(path, torch.zeros(1, 3, 4, 6, dtype=torch.uint8))
    write_ids(tmp_path / "training/semantic/000000_10.png", np.full((4, 6), 26, np.uint8))
    frames[2].write_bytes(frames[2].read_bytes()[:40])

    (problem,) = summarise(read_kitti(tmp_path, "train"), check=True).problems

    assert frames[2].name in problem


def test_a_misspelt_split_is_told_with_the_nearest(root: Path) -> None:
    """A wrong split is reported with the one that was probably meant."""
    with pytest.raises(
        DatasetError, match=r"no split of KITTI semantics is called 'trian'; did you mean 'train'\?"
    ):
        read_kitti(root, "trian")


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    """A wrong path is reported with what was expected there."""
    with pytest.raises(DatasetError, match=r"gone does not exist, expected a folder of KITTI semantics"):
        read_kitti(tmp_path / "gone", "train")


@pytest.mark.parametrize(
    ("split", "expected"), [("train", "label maps such as"), ("test", "pictures such as")]
)
def test_a_wrong_root_is_told_with_what_it_holds(tmp_path: Path, split: str, expected: str) -> None:
    """A folder that is no KITTI is reported with what is in it."""
    (tmp_path / "data_scene_flow").mkdir()

    with pytest.raises(DatasetError, match=rf"does not exist, expected {expected}.*holds data_scene_flow"):
        read_kitti(tmp_path, split)


def test_a_folder_without_label_maps_is_refused(tmp_path: Path) -> None:
    """Pictures of another kind are no label maps."""
    touch(tmp_path / "training/semantic/000000_10.jpg")

    with pytest.raises(
        DatasetError, match=r"semantic holds no label maps: found 000000_10\.jpg; expected files such"
    ):
        read_kitti(tmp_path, "train")


def test_an_empty_test_set_is_refused(tmp_path: Path) -> None:
    """A folder without pictures is no test set."""
    (tmp_path / "testing/image_2").mkdir(parents=True)

    with pytest.raises(DatasetError, match=r"no frames in .*image_2: found nothing"):
        read_kitti(tmp_path, "test")
