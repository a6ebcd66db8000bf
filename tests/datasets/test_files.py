"""Tests of datasets/files.py: frames come in the order of the video, and labels find their frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warprefine.core.errors import DatasetError, KeyFrameError, LabelError
from warprefine.datasets.files import existing_folder, frames_in, labels_in, natural_order


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_frames_are_ordered_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    """Frame 9 comes before frame 10, with and without zeros in front."""
    folder = touch(tmp_path, "f_10.jpg", "f_9.jpg", "f_011.jpg", "f_1.jpg")

    assert [path.name for path in frames_in(folder)] == ["f_1.jpg", "f_9.jpg", "f_10.jpg", "f_011.jpg"]


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 3)), unique_by=lambda named: named[0]))
def test_padding_does_not_change_the_order(named: list[tuple[int, int]]) -> None:
    """However many zeros stand in front, names are in the order of their numbers."""
    paths = [Path(f"cam2_{'0' * zeros}{number}_left.png") for number, zeros in named]

    order = [int(path.stem.split("_")[1]) for path in sorted(paths, key=natural_order)]

    assert order == sorted(number for number, _ in named)


def test_only_pictures_count_as_frames(tmp_path: Path) -> None:
    """Hidden files, thumbnails and notes are passed over; endings may be in capitals."""
    folder = touch(tmp_path, ".DS_Store", "Thumbs.db", "._a.jpg", "notes.txt", "a.JPG", "b.Tiff")

    assert [path.name for path in frames_in(folder)] == ["a.JPG", "b.Tiff"]


def test_two_frames_of_one_name_are_refused(tmp_path: Path) -> None:
    """A label map is matched by stem, so a.jpg and a.png are ambiguous."""
    with pytest.raises(DatasetError, match=r"two frames of .* have the same name: a\.jpg, a\.png; keep one"):
        frames_in(touch(tmp_path, "a.jpg", "a.png", "b.jpg"))


@pytest.mark.parametrize(
    ("names", "found"), [((), "found nothing"), (("a.heic", "b.heic"), r"found a\.heic, b\.heic")]
)
def test_a_folder_without_frames_is_refused(tmp_path: Path, names: tuple[str, ...], found: str) -> None:
    """The message lists what lies there instead, and which endings are read."""
    with pytest.raises(
        DatasetError, match=rf"no frames in .*: {found}; expected pictures \(\.jpg, \.jpeg, \.png"
    ):
        frames_in(touch(tmp_path, *names))


def test_labels_are_matched_by_name(tmp_path: Path) -> None:
    """A label map belongs to the frame whose name it has."""
    folder = touch(tmp_path, "b.png", "d.PNG", ".hidden.png", "notes.txt")

    found = labels_in(folder, ["a", "b", "c", "d"], what="key frame")

    assert found == {1: folder / "b.png", 3: folder / "d.PNG"}


def test_no_labels_folder_means_no_labels(tmp_path: Path) -> None:
    """A video that nobody has labelled yet is a video."""
    assert labels_in(tmp_path / "labels", ["a"], what="key frame") == {}


@pytest.mark.parametrize("what", ["key frame", "truth"])
def test_a_label_map_without_a_frame_is_refused(tmp_path: Path, what: str) -> None:
    """A label map of no frame is a slip of the pen; the nearest names show which."""
    folder = touch(tmp_path, "12.png")
    stems = [f"{number:06d}" for number in range(30)]

    with pytest.raises(
        KeyFrameError, match=rf"{what} without a frame: .*12\.png has .* none of 30 frames"
    ) as caught:
        labels_in(folder, stems, what=what)

    assert "000012" in str(caught.value)


def test_label_maps_are_png_files(tmp_path: Path) -> None:
    """A lossy label map is recognised by its ending, before it is opened."""
    with pytest.raises(LabelError, match=r"label map .*a\.jpg is a \.jpg file; expected an index PNG"):
        labels_in(touch(tmp_path, "a.jpg"), ["a"], what="key frame")


def test_a_missing_folder_is_told_with_what_is_there(tmp_path: Path) -> None:
    """The message names the part of the path that exists, and what it holds."""
    touch(tmp_path / "data", "kitti.zip")

    with pytest.raises(DatasetError) as caught:
        existing_folder(tmp_path / "data" / "kiti" / "training", expected="a folder of KITTI")

    assert str(caught.value) == (
        f"{tmp_path}/data/kiti/training does not exist, expected a folder of KITTI; "
        f"the folder {tmp_path}/data holds kitti.zip"
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """A file in the place of a folder is reported as one."""
    touch(tmp_path, "data")

    with pytest.raises(DatasetError, match=r"data is a file, expected a data set; the folder .* holds data"):
        existing_folder(tmp_path / "data", expected="a data set")
