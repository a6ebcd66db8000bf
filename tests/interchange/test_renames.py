"""Tests of interchange/renames.py: the classes of a run get the names of a format."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError
from warprefine.core.tensors import VOID
from warprefine.interchange.renames import mending_option, rename_classes

CLASSES = ClassSet(
    names=("Car", "car", "sky", "Van"),
    colors=((1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)),
    file_ids=(10, 20, 30, 40),
)


def test_classes_that_get_one_name_become_one() -> None:
    """With the colour and id of the class that had the name already, at the place of the first of them."""
    renamed = rename_classes(CLASSES, {"Car": "car", "Van": "car"})

    assert renamed.classes.names == ("car", "sky")
    assert renamed.classes.colors == ((2, 2, 2), (3, 3, 3))
    assert renamed.classes.ids == (20, 30)
    assert renamed.apply(np.array([[0, 1, 2, 3, VOID]], np.uint8)).tolist() == [[0, 0, 1, 0, VOID]]


def test_a_new_name_has_the_colour_and_id_of_the_first_class_that_gets_it() -> None:
    """Where no class had it."""
    renamed = rename_classes(CLASSES, {"sky": "else", "Van": "else"})

    assert renamed.classes.names == ("Car", "car", "else")
    assert (renamed.classes.colors[2], renamed.classes.ids[2]) == ((3, 3, 3), 30)


def test_names_are_exchanged() -> None:
    """Each class is renamed once, so that names can change places."""
    renamed = rename_classes(CLASSES, {"Car": "sky", "sky": "Car"})

    assert renamed.classes.names == ("sky", "car", "Car", "Van")
    assert renamed.table[:4].tolist() == [0, 1, 2, 3]


def test_a_class_without_a_new_name_becomes_void() -> None:
    """The others keep their ids."""
    renamed = rename_classes(CLASSES, {"Car": ""})

    assert renamed.classes.ids == (20, 30, 40)
    assert renamed.table[:4].tolist() == [VOID, 0, 1, 2]


def test_names_are_matched_however_their_accents_are_written() -> None:
    """Both on the left and on the right of the option."""
    split = unicodedata.normalize("NFD", "Gebäude")
    classes = ClassSet(names=(split, "Haus"), colors=((1, 1, 1), (2, 2, 2)))

    assert rename_classes(classes, {"Gebäude": "building"}).classes.names == ("building", "Haus")
    assert rename_classes(classes, {"Haus": "Gebäude"}).classes.names == (split,)


@pytest.mark.parametrize(
    ("renames", "told"),
    [
        ({"cars": "car"}, "the run has no class 'cars' to map; did you mean 'car'"),
        ({"car": "x" * 201}, "--map has a class called 'x+'... of 201 letters"),
        (dict.fromkeys(CLASSES.names, ""), "--map makes all classes void; expected at least one"),
    ],
)
def test_renames_that_mean_nothing_are_refused(renames: dict[str, str], told: str) -> None:
    """Before anything is written."""
    with pytest.raises(DatasetError, match=told):
        rename_classes(CLASSES, renames)


def test_the_option_that_mends_can_be_copied_into_a_shell() -> None:
    """A name with a blank is quoted."""
    assert mending_option("ufo") == "say --map ufo=CLASS, or --map ufo= for void"
    assert mending_option("a b") == 'say --map "a b"=CLASS, or --map "a b"= for void'
