"""Tests of datasets/camvid32.py: the 32 labels of CamVid and the split that everyone uses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError
from warprefine.datasets.camvid32 import CAMVID32_CLASSES, read_label_colors, split_of

DRIVES = {
    "0001TP_{:06d}": range(6690, 10381, 30),
    "0006R0_f{:05d}": range(930, 3931, 30),
    "Seq05VD_f{:05d}": range(0, 5101, 30),
}


def test_all_labels_but_void_are_classes() -> None:
    """31 classes of 31 colours, none of which is black."""
    assert len(CAMVID32_CLASSES) == len({*CAMVID32_CLASSES.colors, (0, 0, 0)}) - 1 == 31
    assert CAMVID32_CLASSES.colors[CAMVID32_CLASSES.position("Road")] == (128, 64, 128)


def test_the_drives_are_split_as_everyone_does() -> None:
    """Half of 0001TP is for testing, with all of Seq05VD; the fast part of 0016E5 is for validation."""
    stems = [form.format(number) for form, numbers in DRIVES.items() for number in numbers]
    stems += [f"0016E5_{number:05d}" for number in (*range(390, 8641, 30), 901)]
    fast = [f"0016E5_{number:05d}" for number in range(7959, 8160, 2)]

    assert Counter(map(split_of, fast)) == {"val": 101}
    assert Counter(split_of(stem) for stem in stems if stem.startswith("0001TP")) == {"train": 62, "test": 62}
    assert {split_of(stem) for stem in stems if stem.startswith("Seq05VD")} == {"test"}
    assert {split_of(stem) for stem in stems if stem.startswith(("0006R0", "0016E5"))} == {"train"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_split_is_that_of_the_real_data(shared: Path, split: str) -> None:
    """The published folders of the 11-class version agree with the rule."""
    pictures = list((shared / "data/camvid" / split / "images").iterdir())

    assert {split_of(picture.stem) for picture in pictures} == {split}


@pytest.mark.parametrize("stem", ["frame12", "0001TP_x", "x0001TP_006690"])
def test_a_picture_of_no_drive_has_no_split(stem: str) -> None:
    """Nothing is guessed: the user names the splits."""
    with pytest.raises(DatasetError, match=rf"picture {stem} is of no drive of CamVid .* with --lists"):
        split_of(stem)


def test_label_colors_are_read(tmp_path: Path) -> None:
    """Lines of red, green, blue and a name, as CamVid publishes them; black is no class."""
    (tmp_path / "colors.txt").write_text("64 128 64\tAnimal\n128 0 0\t\tBuilding\n0 0 0\t\tVoid\r\n\n")

    classes = read_label_colors(tmp_path / "colors.txt")

    assert classes.names == ("Animal", "Building")
    assert classes.colors == ((64, 128, 64), (128, 0, 0))


WRONG = {
    "64 128 Animal\n": r", line 1: found '64 128 Animal'; expected R G B and a name",
    "1 2 3 a\n1 2 3 b\n": r", line 2: \(1, 2, 3\) of b is taken or no colour; give each label one of its own",
    "1 2 300 a\n": r", line 1: \(1, 2, 300\) of a is taken or no colour",
    "1 2 3 a\n1 2 4 a\n": r": class names occur twice: a",
    "0 0 0 Void\n": r": a class set holds 0 classes",
}


@pytest.mark.parametrize(("text", "words"), WRONG.items(), ids=WRONG.values())
def test_wrong_label_colors_are_told_by_line(tmp_path: Path, text: str, words: str) -> None:
    """A colour means one label."""
    (tmp_path / "colors.txt").write_text(text)

    with pytest.raises(DatasetError, match=rf"colors\.txt{words}"):
        read_label_colors(tmp_path / "colors.txt")
