"""Tests of datasets/apolloscape.py: partitions of 21 frames in both layouts, keyed by their middle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.tensors import VOID
from warprefine.datasets.apolloscape import (
    APOLLOSCAPE_CLASSES,
    find_drives,
    read_apolloscape,
    write_apolloscape_split,
)
from warprefine.io.images import read_labels

CAMERA = "Camera 5"


def add_drive(pictures: Path, inside: str, frames: int) -> Path:
    """Add a drive's empty pictures and label maps; return the folder of its pictures."""
    folder, labels = pictures / inside / CAMERA, pictures.with_name("Label") / inside / CAMERA
    folder.mkdir(parents=True)
    labels.mkdir(parents=True)
    for number in range(frames):
        stem = f"170908_{61502408 + 400 * number:09d}_Camera_5"
        (folder / f"{stem}.jpg").touch()
        (labels / f"{stem}_bin.png").touch()
        (labels / f"{stem}_instanceIds.png").touch()
        (labels / f"{stem}.json").touch()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return two records of a road as the archives unpack, of 45 and 21 frames."""
    pictures = tmp_path / "apolloscape/road01_ins/ColorImage"
    add_drive(pictures, "Record001", 45)
    add_drive(pictures, "Record002", 21)
    return tmp_path / "apolloscape"


def test_a_drive_is_cut_into_partitions_of_21_frames(root: Path) -> None:
    """The middle frame is labelled, the labels of all others are truth; what is left over is dropped."""
    dataset = read_apolloscape(root, "all")

    assert [video.name for video in dataset.videos] == [
        "road01_ins-Record001-Camera_5-000",
        "road01_ins-Record001-Camera_5-001",
        "road01_ins-Record002-Camera_5-000",
    ]
    assert {(len(video), video.key_frames, len(video.truth)) for video in dataset.videos} == {(21, (10,), 20)}
    first, second = dataset.videos[:2]
    assert first.frame_paths[0].name == "170908_061502408_Camera_5.jpg"
    assert second.stems[0] == "170908_061510808_Camera_5"
    assert first.labels[10] == (
        root / "road01_ins/Label/Record001" / CAMERA / "170908_061506408_Camera_5_bin.png"
    )
    assert dataset.notes == ("3 of 66 frames fill no partition of 21 and are left out",)


@pytest.mark.parametrize("layout", ["ColorImage/road01_ins", "{}/ColorImage", "a/{}/ColorImage"])
def test_roads_may_lie_above_or_below_the_pictures(tmp_path: Path, layout: str) -> None:
    """Wherever the archives were unpacked, names hold road, record and camera."""
    above, below = layout.format("road01_ins").split("ColorImage")
    add_drive(tmp_path / above / "ColorImage", f"{below.strip('/')}/Record001".strip("/"), 21)

    (video,) = read_apolloscape(tmp_path, "all").videos

    assert video.name == "road01_ins-Record001-Camera_5-000"
    assert video.key_frames == (10,)


def test_one_road_may_be_the_root(root: Path) -> None:
    """The folder of one road is a data set, too."""
    assert read_apolloscape(root / "road01_ins", "all").videos[0].name == "road01_ins-Record001-Camera_5-000"


def test_both_kinds_of_labels_of_a_record_stay_together(root: Path) -> None:
    """road01_seg and road01_ins are one road: its records are divided as one."""
    add_drive(root / "road01_seg/ColorImage", "Record001", 21)

    assert {drive.record for drive in find_drives(root)} == {"road01/Record001", "road01/Record002"}
    assert len(read_apolloscape(root, "all").videos) == 4


def test_training_and_validation_share_no_record(root: Path) -> None:
    """A record is in one of them, with all its partitions."""
    train, val = (read_apolloscape(root, split).videos for split in ("train", "val"))

    assert sorted([len(train), len(val)]) == [1, 2]
    assert {video.name for video in (*train, *val)} == {v.name for v in read_apolloscape(root, "all").videos}


def test_a_written_split_is_read(root: Path, tmp_path: Path) -> None:
    """A file can be shared: it gives the same parts as the seed that it was written with."""
    for seed in range(2):
        path = tmp_path / f"{seed}.json"
        written = write_apolloscape_split(root, path, seed=seed)

        assert {*written.train, *written.val} == {"road01/Record001", "road01/Record002"}
        for part in ("train", "val", "val-frames"):
            by_file, by_seed = (
                read_apolloscape(root, f"{part}{end}") for end in (f"@{path}", f"-seed{seed}")
            )
            assert by_file.videos == by_seed.videos


def test_single_frames_of_validation_are_all_labelled(root: Path) -> None:
    """To test a student each frame of a partition is one video, without those that have no labels."""
    clips = read_apolloscape(root, "val").videos
    clips[0].truth[3].unlink()

    frames = read_apolloscape(root, "val-frames").videos

    assert len(frames) == 21 * len(clips) - 1
    assert {(len(frame), frame.key_frames) for frame in frames} == {(1, (0,))}
    assert frames[3].labels[0] == clips[0].truth[4]
    assert frames[3].frame_paths[0] == clips[0].frame_paths[4]


def test_a_frame_without_labels_has_no_truth(root: Path) -> None:
    """It stays in its partition, and a note counts it."""
    read_apolloscape(root, "all").videos[0].truth[3].unlink()

    dataset = read_apolloscape(root, "all")

    assert len(dataset.videos[0]) == 21
    assert 3 not in dataset.videos[0].truth
    assert dataset.notes[1] == "1 of 66 frames have no label map STEM_bin.png below Label"


def test_a_partition_without_its_key_frame_is_left_out(root: Path) -> None:
    """It is reported with the name of the missing label map; the others are read."""
    read_apolloscape(root, "all").videos[1].labels[10].unlink()

    dataset = read_apolloscape(root, "all")

    assert len(dataset.videos) == 2
    (error,) = dataset.broken.values()
    assert "Camera_5.jpg is the key frame of a partition but has no label map" in str(error)
    assert "expected 170908_061514808_Camera_5_bin.png in the same place below Label" in str(error)


def test_without_labels_nothing_is_read(root: Path) -> None:
    """Pictures alone are no data set."""
    shutil.rmtree(root / "road01_ins/Label")

    with pytest.raises(KeyFrameError, match=r"is the key frame of a partition but has no label map"):
        read_apolloscape(root, "all")


def test_a_drive_unpacked_twice_is_refused(root: Path) -> None:
    """Half of its frames would else be trained and tested on at once."""
    add_drive(root / "ColorImage", "road01_ins/Record001", 21)

    with pytest.raises(DatasetError, match=r"are the same drive; keep one of them"):
        read_apolloscape(root, "all")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """A folder without drives is reported with the layouts; a missing one as missing."""
    (tmp_path / "pictures").mkdir()

    with pytest.raises(DatasetError, match=r"no drives of ApolloScape: found pictures; expected ROAD/Color"):
        read_apolloscape(tmp_path, "all")
    with pytest.raises(DatasetError, match=r"gone does not exist, expected a folder of ApolloScape"):
        read_apolloscape(tmp_path / "gone", "all")


def test_ids_become_classes(tmp_path: Path) -> None:
    """Groups count as what they consist of; bridges and the recording car are VOID."""
    ids = [17, 33, 161, 40, 168, 49, 86, 97, 113, 0, 1, 98, 99, 100, 255]
    Image.fromarray(np.array([ids], np.uint8)).save(tmp_path / "a_bin.png")

    labels = read_labels(tmp_path / "a_bin.png", APOLLOSCAPE_CLASSES)[0, 0].tolist()

    assert labels == [0, 1, 1, 8, 8, 9, 19, 20, 21, *[VOID] * 6]
    assert APOLLOSCAPE_CLASSES.all_ids[APOLLOSCAPE_CLASSES.position("bus")] == (39, 167)
    assert APOLLOSCAPE_CLASSES.ids[APOLLOSCAPE_CLASSES.position("traffic sign")] == 83
    assert len(APOLLOSCAPE_CLASSES) == 22
    assert len(set(APOLLOSCAPE_CLASSES.colors)) == 22


def test_roads_whose_sky_is_void_are_noted(tmp_path: Path) -> None:
    """The gap is in the published label maps of some roads, however their folders are named."""
    add_drive(tmp_path / "road02_seg/ColorImage", "Record001", 21)
    add_drive(tmp_path / "road01_seg/ColorImage", "Record001", 21)

    (note,) = read_apolloscape(tmp_path, "all").notes

    assert note.startswith("in the published label maps of road02 the sky is 255, which is void: there it is")
