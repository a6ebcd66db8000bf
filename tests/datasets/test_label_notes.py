"""Tests of datasets/label_notes.py: label maps that may not mean what they should are noted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from warprefine.core.classes import ClassSet
from warprefine.core.video import Dataset
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.folder import read_folder
from warprefine.datasets.label_notes import review_labels, spread
from warprefine.datasets.summary import summarise
from warprefine.io.images import write_frame

H, W = 4, 10
TWO = ClassSet(names=("background", "thing"), colors=((1, 2, 3), (4, 5, 6)))
THREE = ClassSet(names=("road", "car", "sky"), colors=((1, 2, 3), (4, 5, 6), (7, 8, 9)))


def picture(number: int) -> Tensor:
    """Return a frame that shows something, and another thing than the one before."""
    return ((torch.arange(3 * H * W) + number) % 251).byte().view(1, 3, H, W)


def data(root: Path, classes: ClassSet, *maps: list[int], truth: list[int] | None = None) -> Dataset:
    """Write a video whose frames 0, 1, ... have label maps with these numbers in their columns."""
    write_classes(root / "classes.toml", classes)
    folder = root / "videos/drive"
    for number in range(len(maps) + 2):
        write_frame(folder / f"frames/{number}.png", picture(number))
    wanted = {f"labels/{number}.png": columns for number, columns in enumerate(maps)}
    for name, columns in (wanted | ({f"truth/{len(maps)}.png": truth} if truth else {})).items():
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.tile(np.array(columns, np.uint8), (H, 1))).save(folder / name)
    return read_folder(root, "train")


def notes(dataset: Dataset) -> str:
    """Return what `inspect` notes, after checking that a job notes the same."""
    found = summarise(dataset, check=True).notes
    assert (*dataset.notes, *review_labels(dataset).notes) == found
    return "\n".join(found)


def test_label_maps_that_show_every_class_give_no_note(tmp_path: Path) -> None:
    """Some void is usual, and so is one map that lacks a class which another has."""
    assert notes(data(tmp_path, THREE, [0, 0, 0, 0, 1, 1, 1, 1, 255, 255], [2] * 10)) == ""


def test_a_class_that_no_key_frame_shows_is_noted(tmp_path: Path) -> None:
    """Nothing of it can be learned."""
    found = notes(data(tmp_path, THREE, [0] * 10, [0] * 9 + [2]))

    assert "no key frame shows car (1 of 3 classes, in 2 label maps): what is never shown" in found


@pytest.mark.parametrize(
    ("classes", "cure"),
    [
        (TWO, "write id = 0 for 'background', id = 255 for 'thing' and, above them, void_ids = [254] into"),
        (
            ClassSet(names=("thing",), colors=((1, 2, 3),)),
            "write id = 255 for 'thing' and, above it, void_id",
        ),
        (THREE, "write an id for every class, 255 for this one"),
    ],
)
def test_masks_of_0_and_255_are_noted_with_a_cure_that_works(
    tmp_path: Path, classes: ClassSet, cure: str
) -> None:
    """255 is read as void, which hides the thing that the mask shows."""
    found = notes(data(tmp_path, classes, [0] * 9 + [255]))

    assert "the label maps hold only 0, 255, as masks do: 0 is " in found
    assert cure in found


def test_masks_whose_255_has_a_meaning_are_not_noted(tmp_path: Path) -> None:
    """The cure silences the note."""
    cured = ClassSet(names=TWO.names, colors=TWO.colors, file_ids=(0, 255), void_ids=(254,))

    assert notes(data(tmp_path, cured, [0] * 9 + [255])) == ""


def test_a_key_frame_without_a_labelled_pixel_is_noted(tmp_path: Path) -> None:
    """It was exported before anyone drew on it; the others stay."""
    dataset = data(tmp_path, TWO, [255] * 10, [0, 1] * 5)

    found = notes(dataset)
    review = review_labels(dataset)

    assert "1 of 2 label maps of key frames hold no labelled pixel and make no key frame: " in found
    assert "labels/0.png; draw their labels, or delete them" in found
    assert {name: list(of_video) for name, of_video in review.empty.items()} == {"drive": [0]}


def test_label_maps_that_are_mostly_void_are_noted(tmp_path: Path) -> None:
    """The share of void is told for each."""
    found = notes(data(tmp_path, TWO, [255] * 8 + [0, 1], [0, 1] * 5))

    assert "1 of 2 label maps of key frames are mostly void: " in found
    assert "labels/0.png (80 %); check that their numbers are those of the classes" in found


def test_train_ids_in_the_place_of_ids_are_noted(tmp_path: Path) -> None:
    """Road 0 and sky 10 are void as ids, car 13 is a fence: all numbers end where train ids end."""
    found = notes(data(tmp_path, CITYSCAPES_CLASSES, [0, 0, 0, 0, 10, 10, 10, 13, 13, 255]))

    assert (
        "the label maps hold only 0, 10, 13, 255: that is how train ids count the classes, from 0 to 18"
        in found
    )
    assert "read as ids, such as 19, 20, 21" in found
    assert "80 % of the pixels are void; use the label maps that hold ids (of Cityscapes: labelIds" in found


def test_ids_are_not_taken_for_train_ids(tmp_path: Path) -> None:
    """A number beyond the last train id shows that they are ids."""
    found = notes(data(tmp_path, CITYSCAPES_CLASSES, [7, 7, 7, 8, 8, 11, 11, 23, 26, 0]))

    assert "train ids" not in found
    assert "no key frame shows wall, fence" in found


def test_numbers_from_one_are_noted(tmp_path: Path) -> None:
    """Without the last class, numbers that count from 1 all name the class after the right one."""
    found = notes(data(tmp_path, THREE, [1] * 5 + [2] * 5))

    assert "the label maps hold only 1, 2: if they count the classes from 1, write id = 1 to 3" in found
    assert "now 1 is 'car'" in found


@pytest.mark.parametrize("shift", [0, 1])
def test_palettes_that_name_other_classes_are_noted(tmp_path: Path, shift: int) -> None:
    """Numbers that are shifted against the colours that a tool wrote mean other classes."""
    dataset = data(tmp_path, THREE, [0, 1, 2, 2] * 2 + [255] * 2)
    with Image.open(dataset.videos[0].labels[0]) as picture:
        indices = np.array(picture)
    colored = Image.fromarray(indices)
    colors = [(0, 0, 0)] * 256
    for number in range(3):
        colors[number] = THREE.colors[(number + shift) % 3]
    colored.putpalette([channel for color in colors for channel in color])
    colored.save(dataset.videos[0].labels[0])

    found = notes(dataset)

    assert ("palettes of label maps name other classes" in found) is bool(shift)
    assert ("0 is 'road', but has the colour of 'car', 1 is 'car', but has" in found) is bool(shift)


def test_classes_that_void_truth_hides_are_noted(tmp_path: Path) -> None:
    """A score says nothing of what the truth does not show."""
    found = notes(data(tmp_path, TWO, [0, 1] * 5, truth=[0] * 9 + [255]))

    assert "no truth shows thing, and 10.0 % of it is void: the scores leave out these classes" in found
    assert review_labels(read_folder(tmp_path, "train")).score_notes[0] in found


def test_a_video_without_a_key_frame_is_noted(tmp_path: Path) -> None:
    """It is intact, and yet it is not labelled."""
    data(tmp_path, TWO, [0, 1] * 5)
    write_frame(tmp_path / "videos/walk/frames/0.png", picture(0))

    found = notes(read_folder(tmp_path, "train"))

    assert "1 of 2 videos have no key frame and are not labelled: walk; a label map has the name of" in found


def test_label_maps_that_cannot_be_read_are_left_to_others(tmp_path: Path) -> None:
    """They are errors, not notes."""
    dataset = data(tmp_path, TWO, [0, 1] * 5, [7] * 10)

    assert review_labels(dataset).notes == ()


def test_items_are_chosen_at_equal_distances() -> None:
    """All of them, if there are few."""
    assert spread(range(10), most=3) == [0, 3, 6]
    assert spread("ab", most=3) == ["a", "b"]
    assert spread("ab", most=None) == ["a", "b"]
