"""Tests of datasets/converted.py, and of the two readers of what `warprefine convert` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.video import Dataset
from warprefine.datasets.camvid32 import CAMVID32_CLASSES, read_camvid32
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.nyuv2 import NYUV2_CLASSES, read_nyuv2

READERS = {"nyuv2": (read_nyuv2, NYUV2_CLASSES), "camvid32": (read_camvid32, CAMVID32_CLASSES)}
Reader = Callable[[Path, str], Dataset]


def add_clip(folder: Path, *, frames: int, key_frame: int) -> None:
    """Add a video of empty files."""
    for number in range(frames):
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        (folder / "frames" / f"{number:06d}.jpg").touch()
    (folder / "labels").mkdir()
    (folder / "labels" / f"{key_frame:06d}.png").touch()


@pytest.mark.parametrize(("name", "reader", "classes"), [(k, *v) for k, v in READERS.items()], ids=READERS)
def test_a_split_is_a_data_set_folder(tmp_path: Path, name: str, reader: Reader, classes: ClassSet) -> None:
    """Each split is read alone, with its classes; for an unfinished one the error names the command."""
    add_clip(tmp_path / "test/videos/a", frames=1, key_frame=0)
    again = rf"no finished split 'test' of {name}; run `warprefine convert {name}` with --out .*, it goes on"
    with pytest.raises(DatasetError, match=again):
        reader(tmp_path, "test")
    write_classes(tmp_path / "test/classes.toml", classes)

    dataset = reader(tmp_path, "test")

    assert [(video.name, video.key_frames) for video in dataset.videos] == [("a", (0,))]
    assert dataset.classes == classes
    assert dataset.notes == ()
    with pytest.raises(DatasetError, match=rf"no finished split 'train' of {name}"):
        reader(tmp_path, "train")


@pytest.mark.parametrize(("name", "reader"), [(name, reader) for name, (reader, _) in READERS.items()])
def test_other_splits_and_folders_are_refused(tmp_path: Path, name: str, reader: Reader) -> None:
    """A wrong name is reported with the right ones, a missing folder with the command that writes it."""
    with pytest.raises(DatasetError, match=rf"{name} has no split 'tests'; did you mean 'test'"):
        reader(tmp_path, "tests")
    with pytest.raises(DatasetError, match=rf"expected a folder written by `warprefine convert {name}`"):
        reader(tmp_path / "gone", "test")


def test_clips_without_neighbours_are_counted(tmp_path: Path) -> None:
    """Who forgot the raw videos learns it from the notes."""
    write_classes(tmp_path / "train/classes.toml", NYUV2_CLASSES)
    add_clip(tmp_path / "train/videos/kitchen-0001", frames=21, key_frame=10)
    assert read_nyuv2(tmp_path, "train").notes == ()
    add_clip(tmp_path / "train/videos/kitchen-0002", frames=1, key_frame=0)

    (note,) = read_nyuv2(tmp_path, "train").notes

    assert note.startswith("1 of 2 clips are the labelled frame alone: no raw frames lay beside it")


def test_nyuv2_has_40_classes_with_colours_of_their_own() -> None:
    """They are PASCAL VOC's: the first is dark red, the second dark green, none is black."""
    assert len(NYUV2_CLASSES) == len(set(NYUV2_CLASSES.colors)) == 40
    assert NYUV2_CLASSES.colors[:3] == ((128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert (0, 0, 0) not in NYUV2_CLASSES.colors
    assert NYUV2_CLASSES.ids[NYUV2_CLASSES.position("otherprop")] == 39
