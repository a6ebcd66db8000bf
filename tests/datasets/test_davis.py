"""Tests of datasets/davis.py: masks of 0 and 255, or of 0 and 1, in both layouts of DAVIS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.tensors import VOID
from warprefine.datasets.davis import DAVIS_CLASSES, read_davis
from warprefine.io.frames import frame_size
from warprefine.io.images import read_labels


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return two sequences as DAVIS publishes them, the list `train` naming the first."""
    for sequence in ("bear", "boat"):
        for stem in ("00000", "00001"):
            touch(tmp_path / "JPEGImages" / "480p" / sequence / f"{stem}.jpg")
            touch(tmp_path / "Annotations" / "480p" / sequence / f"{stem}.png")
    touch(tmp_path / "ImageSets" / "480p" / "train.txt")
    (tmp_path / "ImageSets" / "480p" / "train.txt").write_text(
        "".join(f"/JPEGImages/480p/bear/{s}.jpg /Annotations/480p/bear/{s}.png\n" for s in ("00000", "00001"))
    )
    return tmp_path


@pytest.mark.parametrize(
    ("split", "names"), [("all", ["bear", "boat"]), ("boat", ["boat"]), ("train", ["bear"])]
)
def test_the_published_layout_is_read(published: Path, split: str, names: list[str]) -> None:
    """One names a sequence, a published list, or all."""
    dataset = read_davis(published, split)

    assert [video.name for video in dataset.videos] == names
    assert dataset.videos[0].key_frames == (0, 1)
    assert dataset.videos[0].labels[1] == published / "Annotations" / "480p" / names[0] / "00001.png"


@pytest.mark.parametrize(("split", "names"), [("all", ["bear", "boat"]), ("boat", ["boat"])])
def test_folders_of_images_and_labels_are_read(tmp_path: Path, split: str, names: list[str]) -> None:
    """A folder for each sequence, with images and labels, is read as well."""
    for sequence in ("bear", "boat"):
        touch(tmp_path / sequence / "images" / "0.jpg", tmp_path / sequence / "labels" / "0.png")

    videos = read_davis(tmp_path, split).videos

    assert [video.name for video in videos] == names
    assert videos[0].labels[0] == tmp_path / names[0] / "labels" / "0.png"


@pytest.mark.parametrize("foreground", [1, 255])
def test_the_object_is_the_object_in_either_coding(tmp_path: Path, foreground: int) -> None:
    """255 means the object, not VOID, and so does 1."""
    Image.fromarray(np.array([[0, foreground]], np.uint8)).save(tmp_path / "a.png")

    assert read_labels(tmp_path / "a.png", DAVIS_CLASSES)[0].tolist() == [[0, 1]]


def test_an_unknown_sequence_is_told_with_those_that_exist(published: Path) -> None:
    """A wrong name is reported with the right ones."""
    with pytest.raises(
        DatasetError, match=r"no sequence 'bare' of DAVIS: it holds bear, boat; name one of them, or 'all'"
    ):
        read_davis(published, "bare")


def test_a_list_of_missing_sequences_is_refused(published: Path) -> None:
    """Half a training split is not silently taken for the whole."""
    (published / "ImageSets" / "480p" / "val.txt").write_text("/JPEGImages/480p/cows/00000.jpg x\n")

    with pytest.raises(
        DatasetError, match=r"val\.txt lists sequences that .* does not hold: cows; unpack them too"
    ):
        read_davis(published, "val")


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    """A wrong path is reported with what was expected there."""
    with pytest.raises(DatasetError, match=r"gone does not exist, expected a folder of DAVIS"):
        read_davis(tmp_path / "gone", "all")


def test_a_mask_without_a_frame_is_refused(published: Path) -> None:
    """A mask of no frame stops the reading."""
    touch(published / "Annotations" / "480p" / "bear" / "00007.png")

    with pytest.raises(KeyFrameError, match=r"key frame without a frame: .*00007\.png"):
        read_davis(published, "all")


def test_the_real_sequence_is_read(shared: Path) -> None:
    """car-shadow has 40 frames with a mask on each: a car on about a tenth of the picture, no VOID."""
    dataset = read_davis(shared / "data" / "davis2016", "car-shadow")
    (video,) = dataset.videos

    labels = read_labels(video.labels[0], dataset.classes, size=frame_size(video, 0))

    assert len(video) == len(video.labels) == 40
    assert (labels == VOID).sum() == 0
    assert 0.05 < (labels == 1).float().mean() < 0.2
