"""Tests of datasets/opening.py: a data set is named by a few settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.datasets.opening import open_dataset, parse_key_frames, parse_split


def test_a_split_may_end_in_a_slice(tiny_data: Path) -> None:
    """Of two videos the second one alone is opened; the settings are recorded as they were written."""
    dataset = open_dataset(tiny_data, split="train[1:]")

    assert [video.name for video in dataset.videos] == ["street-001"]
    assert open_dataset(**dataset.origin).videos == dataset.videos


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train", ("train", None)),
        ("train[::12]", ("train", slice(None, None, 12))),
        ("cv2-val[:20]", ("cv2-val", slice(None, 20, None))),
        ("val[-5:-1]", ("val", slice(-5, -1, None))),
    ],
)
def test_words_of_a_split(text: str, expected: tuple[str, slice | None]) -> None:
    """The brackets slice the videos, as in Python."""
    assert parse_split(text) == expected


@pytest.mark.parametrize("text", ["train[]", "train[3]", "train[::0]", "train[a:b]", "train[::-1]"])
def test_what_is_no_slice(text: str) -> None:
    """Brackets hold start, stop and step."""
    with pytest.raises(DatasetError, match=r"ends in no slice START:STOP:STEP.*train\[:20\]"):
        parse_split(text)


def test_a_slice_that_leaves_nothing(tiny_data: Path) -> None:
    """Two videos have no fifth one."""
    with pytest.raises(DatasetError, match="holds no video of split"):
        open_dataset(tiny_data, split="train[5:]")


@pytest.mark.parametrize("text", ["10", "10:21", "10::0", "a::b", "::"])
def test_what_are_no_key_frames(text: str) -> None:
    """Key frames have a start and a step."""
    with pytest.raises(KeyFrameError, match="are not START::STEP"):
        parse_key_frames(text)


def test_a_split_from_a_file_is_found_from_every_folder(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is remembered in full, a slice behind it as it is."""
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset(tiny_data, split="val@split.json[:1]")

    assert dataset.origin["split"] == f"val@{tmp_path.resolve() / 'split.json'}[:1]"
    assert len(dataset.videos) == 1


def test_a_video_whose_name_is_not_utf8_is_broken(tiny_data: Path, tmp_path: Path) -> None:
    """No record could hold its name; the others are opened."""
    root = shutil.copytree(tiny_data, tmp_path / "data")
    try:
        (root / "videos/street-000").rename(root / "videos" / os.fsdecode(b"Stra\xdfe"))
    except OSError:
        pytest.skip("this file system holds no such names")

    dataset = open_dataset(root)

    assert [video.name for video in dataset.videos] == ["street-001"]
    assert (
        str(dataset.broken["Stra\\xdfe"]) == f"the name of video Stra\\xdfe in {root} is not UTF-8; rename it"
    )
    shutil.rmtree(root / "videos/street-001")
    with pytest.raises(DatasetError, match="is not UTF-8; rename it"):
        open_dataset(root)


@pytest.mark.parametrize("number", ["9" * 5000, "-"])
def test_numbers_that_python_cannot_read_are_refused(tiny_data: Path, number: str) -> None:
    """Thousands of digits, or none behind a sign; the message shows a part of them."""
    with pytest.raises(DatasetError, match="ends in no slice") as refused:
        open_dataset(tiny_data, split=f"train[{number}::2]")
    assert len(str(refused.value)) < 300
    with pytest.raises(KeyFrameError, match="are not START::STEP") as refused_keys:
        open_dataset(tiny_data, key_frames=f"0::{number}")
    assert len(str(refused_keys.value)) < 300


def test_a_folder_of_another_layout_says_which_there_are(tmp_path: Path) -> None:
    """With the plain layout, how to choose another, and where exports of tools go."""
    (tmp_path / "train").mkdir()

    with pytest.raises(
        DatasetError,
        match=r"no data set folder; expected classes.toml, videos/NAME/frames/.*--reader \(reader=\): "
        r"apolloscape, camvid, .*, nyuv2; .*--format, or convert it with `warprefine import`",
    ):
        open_dataset(tmp_path)


def test_a_folder_without_classes_says_how_to_make_them(tiny_data: Path, tmp_path: Path) -> None:
    """Everything else is there."""
    folder = shutil.copytree(tiny_data, tmp_path / "data")
    (folder / "classes.toml").unlink()

    with pytest.raises(DatasetError, match=r"has videos, but no classes.toml; .*`warprefine classes .*data`"):
        open_dataset(folder)
