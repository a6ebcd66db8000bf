"""Tests of jobs/convert_camvid32.py: colours become indices, and every picture its split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.errors import DatasetError, LabelError, RunFolderError
from warprefine.core.tensors import VOID
from warprefine.datasets.camvid32 import CAMVID32_CLASSES, read_camvid32
from warprefine.io.images import read_labels
from warprefine.io.label_pixels import color_table
from warprefine.jobs.convert_camvid32 import convert_camvid32, read_color_labels

STEMS = ("0001TP_006690", "0016E5_07959", "Seq05VD_f00000")
ANIMAL, ROAD, BLACK, STRAY = (64, 128, 64), (128, 64, 128), (0, 0, 0), (1, 2, 3)


def save(path: Path, *colors: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([colors], np.uint8)).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return the archive in small: a picture of each split."""
    for stem in STEMS:
        save(tmp_path / "camvid/701_StillsRaw_full" / f"{stem}.png", (9, 9, 9), (8, 8, 8), (7, 7, 7))
        save(tmp_path / "camvid/LabeledApproved_full" / f"{stem}_L.png", ANIMAL, BLACK, ROAD)
    return tmp_path / "camvid"


def test_each_picture_lands_in_its_split(source: Path, tmp_path: Path) -> None:
    """With its label map as indices, and the picture as it was."""
    convert_camvid32(source, tmp_path / "out")

    for split, stem in zip(("train", "val", "test"), STEMS, strict=True):
        dataset = read_camvid32(tmp_path / "out", split)
        (video,) = dataset.videos
        assert video.name == stem
        assert (
            video.frame_paths[0].read_bytes() == (source / "701_StillsRaw_full" / f"{stem}.png").read_bytes()
        )
        road = CAMVID32_CLASSES.position("Road")
        assert read_labels(video.labels[0], dataset.classes).tolist() == [[[0, VOID, road]]]


def test_a_colour_of_no_label_is_told(source: Path, tmp_path: Path) -> None:
    """Which file, which colour, how many pixels."""
    path = source / "LabeledApproved_full" / f"{STEMS[0]}_L.png"
    save(path, STRAY, STRAY, ROAD)

    with pytest.raises(
        LabelError, match=r"690_L\.png holds colours of no label: \(1, 2, 3\) \(2 px\); paint"
    ):
        convert_camvid32(source, tmp_path / "out")
    (source / "label_colors.txt").write_text("1 2 3 Stray\n128 64 128 Road\n64 128 64 Animal\n")
    convert_camvid32(source, tmp_path / "named")

    dataset = read_camvid32(tmp_path / "named", "train")
    assert dataset.classes.names == ("Stray", "Road", "Animal")
    assert read_labels(dataset.videos[0].labels[0], dataset.classes).tolist() == [[[0, 0, 1]]]


def test_colours_of_no_label_are_told_all_at_once(source: Path, tmp_path: Path) -> None:
    """Those of all label pictures, so that a list is mended once; a damaged picture is passed over."""
    labels = source / "LabeledApproved_full"
    save(labels / f"{STEMS[0]}_L.png", STRAY, ROAD, ROAD)
    save(labels / f"{STEMS[1]}_L.png", STRAY, (4, 5, 6), ROAD)
    (labels / f"{STEMS[2]}_L.png").write_bytes(b"")

    with pytest.raises(
        LabelError,
        match=r"beside it hold colours of no label: \(1, 2, 3\) \(2 px\), \(4, 5, 6\) \(1 px\); paint",
    ):
        convert_camvid32(source, tmp_path / "out")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_are_read_as_any_editor_saves_them(source: Path, tmp_path: Path, encoding: str) -> None:
    """The colours of the labels, and the splits."""
    colors = "128 64 128\tRoad\r\n64 128 64\tAnimal\r\n0 0 0\tVoid\r\n"
    (source / "label_colors.txt").write_text(colors, encoding=encoding)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text(f"{STEMS[1]}\r\n", encoding=encoding)

    convert_camvid32(source, tmp_path / "out", lists=tmp_path / "lists")

    dataset = read_camvid32(tmp_path / "out", "train")
    assert dataset.classes.names == ("Road", "Animal")
    assert [video.name for video in dataset.videos] == [STEMS[1]]


def test_a_list_in_another_encoding_is_told(source: Path, tmp_path: Path) -> None:
    """With its line."""
    (source / "label_colors.txt").write_bytes("128 64 128 Road\n1 2 3 Straße\n".encode("latin-1"))

    with pytest.raises(
        DatasetError, match=r"label_colors\.txt is no text in UTF-8: line 2 holds the byte 0xdf"
    ):
        convert_camvid32(source, tmp_path / "out")


def test_every_colour_has_its_class(tmp_path: Path) -> None:
    """Red, green and blue are not confused."""
    save(tmp_path / "a_L.png", *CAMVID32_CLASSES.colors)

    labels = read_color_labels(tmp_path / "a_L.png", color_table(CAMVID32_CLASSES))

    assert labels[0, 0].tolist() == list(range(31))


def test_lists_name_the_splits(source: Path, tmp_path: Path) -> None:
    """By stem or by path, as SegNet's authors write them; pictures in no list are left out."""
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text(f"/SegNet/CamVid/train/{STEMS[2]}.png /SegNet/CamVid/trainannot/x.png\n")
    (lists / "val.txt").write_text(f"{STEMS[0]}\n\n")

    convert_camvid32(source, tmp_path / "out", lists=lists)

    assert [video.name for video in read_camvid32(tmp_path / "out", "train").videos] == [STEMS[2]]
    assert [video.name for video in read_camvid32(tmp_path / "out", "val").videos] == [STEMS[0]]
    assert not (tmp_path / "out/test").exists()
    with pytest.raises(RunFolderError, match=r"holds a conversion with splits\.0001TP_\w+ = "):
        convert_camvid32(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        ("x\n", "", r"train\.txt lists x, which is not there; expected each picture in one list"),
        (STEMS[0], STEMS[0], rf"val\.txt lists {STEMS[0]}, which train\.txt lists too"),
        ("", "", r"lists lists no pictures; expected train\.txt, val\.txt and test\.txt in it"),
    ],
)
def test_wrong_lists_are_told(source: Path, tmp_path: Path, train: str, val: str, words: str) -> None:
    """A picture that is not there, one in two lists, none at all."""
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text(train)
    (lists / "val.txt").write_text(val)

    with pytest.raises(DatasetError, match=words):
        convert_camvid32(source, tmp_path / "out", lists=lists)


def test_folders_that_are_missing_or_do_not_match_are_told(source: Path, tmp_path: Path) -> None:
    """A picture without labels is named, and so is what an archive lacks."""
    (source / "LabeledApproved_full" / f"{STEMS[1]}_L.png").unlink()
    with pytest.raises(
        DatasetError, match=rf"has a picture without labels, .*, of {STEMS[1]}; expected 701_"
    ):
        convert_camvid32(source, tmp_path / "out")
    (source / "LabeledApproved_full").rename(source / "labels")
    with pytest.raises(
        DatasetError, match=r"LabeledApproved_full does not exist, expected the label pictures"
    ):
        convert_camvid32(source, tmp_path / "out")
    (source / "701_StillsRaw_full").rename(source / "pictures")
    with pytest.raises(DatasetError, match=r"no frames in .*701_StillsRaw_full: found nothing"):
        convert_camvid32(source, tmp_path / "out")
    with pytest.raises(DatasetError, match=r"gone does not exist, expected a folder of CamVid with 701_"):
        convert_camvid32(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(DatasetError, match=r"gone does not exist, expected lists of pictures: train\.txt"):
        convert_camvid32(restored(source), tmp_path / "out", lists=tmp_path / "gone")


def restored(source: Path) -> Path:
    (source / "pictures").rename(source / "701_StillsRaw_full")
    (source / "labels").rename(source / "LabeledApproved_full")
    (source / "701_StillsRaw_full" / f"{STEMS[1]}.png").unlink()
    return source


def test_finished_pictures_are_left_alone(source: Path, tmp_path: Path) -> None:
    """The same command resumes, also after a damaged label picture was mended."""
    path = source / "LabeledApproved_full" / f"{STEMS[2]}_L.png"
    save(path, STRAY)
    with pytest.raises(LabelError, match=r"colours of no label"):
        convert_camvid32(source, tmp_path / "out")
    (done,) = (tmp_path / "out/train/videos").glob("*/labels/*.png")
    before = done.stat().st_mtime_ns
    save(path, ROAD, ROAD, ROAD)

    convert_camvid32(source, tmp_path / "out")

    assert done.stat().st_mtime_ns == before
    assert len(read_camvid32(tmp_path / "out", "test").videos) == 1
