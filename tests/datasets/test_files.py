"""Tests of datasets/files.py: frames come in the order of the video, and labels find their frames."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError, KeyFrameError, LabelError
from warprefine.datasets.files import existing_folder, frames_in, labels_in, unread, visible


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_frames_are_ordered_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    """Frame 9 comes before frame 10, with and without zeros in front."""
    folder = touch(tmp_path, "f_10.jpg", "f_9.jpg", "f_011.jpg", "f_1.jpg")

    assert [path.name for path in frames_in(folder)] == ["f_1.jpg", "f_9.jpg", "f_10.jpg", "f_011.jpg"]


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
    """A label map of no frame is a slip of the pen; the nearest names show which, its number first."""
    folder = touch(tmp_path, "frame_12.png")
    stems = [f"{number:06d}" for number in range(30)]

    with pytest.raises(
        KeyFrameError,
        match=rf"{what} without a frame: .*12\.png has .* none of 30 frames; the nearest are 000012,",
    ):
        labels_in(folder, stems, what=what)


@pytest.mark.parametrize(
    ("label", "frame"),
    [
        ("00000", "000000"),
        ("12", "000012"),
        ("cam_007", "cam_7"),
        ("IMG_7", "img_7"),
        (unicodedata.normalize("NFD", "Straße_é_1"), unicodedata.normalize("NFC", "Straße_é_1")),
        (unicodedata.normalize("NFC", "é1"), unicodedata.normalize("NFD", "é1")),
    ],
)
def test_names_match_in_other_padding_case_and_unicode_form(tmp_path: Path, label: str, frame: str) -> None:
    """What tools and systems change of a name is not what sets frames apart."""
    folder = touch(tmp_path, f"{label}.png")

    assert labels_in(folder, ["before", frame, "x"], what="key frame") == {1: folder / f"{label}.png"}


def test_exact_names_come_first_and_others_must_leave_one_frame(tmp_path: Path) -> None:
    """With frames 1 and 01 the label map 1 is clear, and 001 is not; decimal places are no padding."""
    assert list(labels_in(touch(tmp_path / "a", "1.png"), ["01", "1"], what="key frame")) == [1]
    for name, stems in (("001", ["01", "1"]), ("7.5", ["7.05"])):
        with pytest.raises(KeyFrameError, match="has the name of none"):
            labels_in(touch(tmp_path / name, f"{name}.png"), stems, what="key frame")


@pytest.mark.parametrize("names", [("000003.png", "3.png"), ("000003.png", "000003.PNG")])
def test_two_label_maps_of_one_frame_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """Neither is known to be the right one."""
    with pytest.raises(KeyFrameError, match=r"two label maps of frame 000003: .* and .*; keep one of them"):
        labels_in(touch(tmp_path, *names), ["000003"], what="key frame")


@pytest.mark.parametrize("tail", ["_mask.png", "_gt.png", "-labels.png", ".seg.png", " copy.jpg"])
def test_masks_among_frames_are_refused(tmp_path: Path, tail: str) -> None:
    """They would be frames between the frames."""
    folder = touch(tmp_path, "a1.jpg", "a2.jpg", f"a1{tail}", f"a2{tail}")

    with pytest.raises(DatasetError, match=rf"two pictures of a frame: a1\.jpg and a1{tail} \(2 such\)"):
        frames_in(folder)


def test_frames_whose_names_differ_in_form_alone_are_refused(tmp_path: Path) -> None:
    """A label map would belong to both."""
    names = [unicodedata.normalize(form, "é1.png") for form in ("NFC", "NFD")]

    with pytest.raises(DatasetError, match=r"two frames of .* have the same name"):
        frames_in(touch(tmp_path, *names))


def test_litter_of_operating_systems_is_not_listed(tmp_path: Path) -> None:
    """Macs, Windows and network storage leave files and folders everywhere."""
    litter = ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini")
    for folder in ("__MACOSX", "@eaDir", "a"):
        touch(tmp_path / folder, "x.png")
    touch(tmp_path, *litter)

    assert [path.name for path in visible(tmp_path)] == ["a"]


def test_what_is_passed_over_is_listed(tmp_path: Path) -> None:
    """Folders and files of unknown endings; lists and notes are no data."""
    folder = touch(tmp_path, "a.PNG", "b.heic", "notes.txt", "Thumbs.db")
    (folder / "masks").mkdir()
    (folder / "labels").mkdir()

    assert [path.name for path in unread(folder, (".png",), known=("labels",))] == ["b.heic", "masks"]
    assert unread(tmp_path / "gone", ()) == []


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
