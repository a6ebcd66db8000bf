"""Tests of datasets/mapillary.py: both releases of Mapillary Vistas, classes from the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.tensors import VOID
from warprefine.datasets.mapillary import read_config, read_mapillary
from warprefine.io.images import read_labels

LABELS = [
    {"name": "animal--bird", "readable": "Bird", "color": [165, 42, 42], "evaluate": True},
    {"name": "void--static", "readable": "Static", "color": [0, 0, 0], "evaluate": False},
    {"name": "nature--sky", "readable": "Sky", "color": [70, 130, 180], "evaluate": True},
]
FURTHER = {"name": "object--sign--back", "color": [1, 2, 3], "evaluate": True}


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the second release in small: it has the labels of both."""
    (tmp_path / "config_v1.2.json").write_text(json.dumps({"labels": LABELS}))
    (tmp_path / "config_v2.0.json").write_text(json.dumps({"labels": [*LABELS, FURTHER]}))
    for part, stem in (("training", "a"), ("training", "b"), ("validation", "c")):
        touch(tmp_path / part / "images" / f"{stem}.jpg")
        touch(
            tmp_path / part / "v1.2/labels" / f"{stem}.png", tmp_path / part / "v2.0/labels" / f"{stem}.png"
        )
    return tmp_path


@pytest.mark.parametrize(
    ("split", "names", "labels", "classes"),
    [
        ("train", ["a", "b"], "training/v1.2/labels/a.png", 2),
        ("val", ["c"], "validation/v1.2/labels/c.png", 2),
        ("train-v2", ["a", "b"], "training/v2.0/labels/a.png", 3),
        ("val-v2", ["c"], "validation/v2.0/labels/c.png", 3),
    ],
)
def test_each_picture_is_a_video_of_one_frame(
    root: Path, split: str, names: list[str], labels: str, classes: int
) -> None:
    """A split chooses pictures and a release, whose classes its own configuration names."""
    dataset = read_mapillary(root, split)

    assert [video.name for video in dataset.videos] == names
    assert {(len(video), video.key_frames) for video in dataset.videos} == {(1, (0,))}
    assert dataset.videos[0].labels[0] == root / labels
    assert len(dataset.classes) == classes


def test_the_first_release_is_read(tmp_path: Path) -> None:
    """It has one configuration, and label maps beside the pictures."""
    (tmp_path / "config.json").write_text(json.dumps({"labels": LABELS}))
    touch(tmp_path / "training/images/a.jpg", tmp_path / "training/labels/a.png")

    (video,) = read_mapillary(tmp_path, "train").videos

    assert video.labels[0] == tmp_path / "training/labels/a.png"
    with pytest.raises(DatasetError, match=r"no config_v2\.0\.json in .*; it lies in the archive beside"):
        read_mapillary(tmp_path, "train-v2")


def test_labels_that_are_not_evaluated_are_void(root: Path) -> None:
    """Files hold the position of a label in the configuration."""
    Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(root / "training/v1.2/labels/a.png")
    dataset = read_mapillary(root, "train")

    assert read_labels(dataset.videos[0].labels[0], dataset.classes)[0].tolist() == [[0, VOID, 1]]
    assert dataset.classes.names == ("animal--bird", "nature--sky")
    assert dataset.classes.colors == ((165, 42, 42), (70, 130, 180))


def test_a_picture_without_labels_is_left_out(root: Path) -> None:
    """It is reported by name, and the others are read; where all are bare nothing is."""
    (root / "training/v1.2/labels/b.png").unlink()

    dataset = read_mapillary(root, "train")

    assert [video.name for video in dataset.videos] == ["a"]
    assert "b.jpg has no label map in" in str(dataset.broken["b"])
    (root / "training/v1.2/labels/a.png").unlink()
    with pytest.raises(KeyFrameError, match=r"a\.jpg has no label map in .*v1\.2/labels; expected a\.png"):
        read_mapillary(root, "train")


WRONG = {
    "no list": ({"names": []}, r'has no list "labels"; expected the configuration'),
    "no object": ([1], r'has no list "labels"'),
    "no label": ({"labels": [7]}, r"has 7 as label 0; expected a name, a color of three numbers"),
    "no name": ({"labels": [{**FURTHER, "name": 3}]}, r"as label 0; expected a name"),
    "two channels": ({"labels": [*LABELS, {**FURTHER, "color": [1, 2]}]}, r"as label 3; expected a name, a"),
    "too bright": ({"labels": [{**FURTHER, "color": [1, 2, 256]}]}, r"as label 0; expected a name, a color"),
    "no flag": ({"labels": [{**FURTHER, "evaluate": "yes"}]}, r"evaluate as true or false"),
    "none evaluated": ({"labels": [LABELS[1]]}, r": a class set holds 0 classes; expected 1 to 255"),
}


@pytest.mark.parametrize(("content", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_configuration_is_told_in_one_line(tmp_path: Path, content: object, words: str) -> None:
    """Which label is wrong, and what one looks like."""
    (tmp_path / "config.json").write_text(json.dumps(content))

    with pytest.raises(DatasetError, match=rf"config\.json.*{words}"):
        read_config(tmp_path / "config.json")


def test_a_damaged_configuration_is_told(tmp_path: Path) -> None:
    """A file that is cut short is no JSON."""
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(DatasetError, match=r"config\.json is no JSON file: .*; correct it there"):
        read_config(tmp_path / "config.json")


def test_what_is_missing_is_told(root: Path, tmp_path: Path) -> None:
    """A wrong split with the right ones, a missing folder with what belongs there."""
    with pytest.raises(DatasetError, match=r"no split 'training'; did you mean 'train"):
        read_mapillary(root, "training")
    with pytest.raises(DatasetError, match=r"gone does not exist, expected a folder of Mapillary Vistas"):
        read_mapillary(root / "gone", "train")
    (root / "validation").rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"validation does not exist, expected the pictures and labels"):
        read_mapillary(root, "val")
    (root / "training/v2.0").rename(root / "training/v3")
    with pytest.raises(DatasetError, match=r"labels does not exist, expected the label maps of release 2\.0"):
        read_mapillary(root, "train-v2")
