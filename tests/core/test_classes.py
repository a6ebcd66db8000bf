"""Tests of core/classes.py: what a class set may be, and which labels fit it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warprefine.core.classes import ClassSet
from warprefine.core.errors import LabelError
from warprefine.core.tensors import VOID

GREYS = ((0, 0, 0), (10, 10, 10), (20, 20, 20))


def class_set(*names: str, **further: Any) -> ClassSet:
    return ClassSet(names=names, colors=GREYS[: len(names)], **further)


def test_a_class_is_known_by_its_place() -> None:
    """Classes are numbered in the order of their names."""
    classes = class_set("road", "sky", "car")

    assert len(classes) == 3
    assert [classes.position(name) for name in ("car", "road", "sky")] == [2, 0, 1]


def test_an_unknown_class_is_named_with_the_known_ones() -> None:
    """The error for a class that does not exist lists those that do."""
    with pytest.raises(LabelError, match="no class is called 'tram'; the classes are road, sky"):
        class_set("road", "sky").position("tram")


def test_file_ids_are_positions_unless_said_otherwise() -> None:
    """Files hold positions, or the ids that the data set gives its classes."""
    assert class_set("road", "sky").ids == (0, 1)
    assert class_set("road", "sky", file_ids=(7, 23)).ids == (7, 23)


def test_merged_ids_are_read_but_never_written() -> None:
    """A class can stand for several ids of a file; the first is its own."""
    classes = class_set("road", "sky", file_ids=(7, 23), merged_ids=((8, 9), ()))

    assert classes.all_ids == ((7, 8, 9), (23,))
    assert classes.ids == (7, 23)


def test_void_is_written_as_255_unless_a_class_has_that_id() -> None:
    """A class that files call 255 takes that number away from VOID, which gets another."""
    assert class_set("road", "sky", void_ids=(254,)).void_id == VOID
    assert class_set("road", "object", file_ids=(0, 255), void_ids=(254, 253)).void_id == 254


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": (), "colors": ()}, "a class set holds 0 classes; expected 1 to 255"),
        (
            {"names": tuple(f"c{i}" for i in range(256)), "colors": ((0, 0, 0),) * 256},
            "a class set holds 256 classes; expected 1 to 255",
        ),
        ({"names": ("sky", "sky"), "colors": GREYS[:2]}, "class names occur twice: sky; give each"),
        ({"names": ("sky", "road"), "colors": GREYS}, "3 colours for 2 classes; give one to each class"),
        ({"names": ("sky", "road"), "colors": ()}, "0 colours for 2 classes"),
        ({"names": ("sky",), "colors": GREYS[:1], "file_ids": (1, 2)}, "2 ids for 1 classes"),
        ({"names": ("sky",), "colors": GREYS[:1], "merged_ids": ((), ())}, "2 merged ids for 1 classes"),
        ({"names": ("sky",), "colors": GREYS[:1], "categories": ("a", "b")}, "2 categories for 1"),
        (
            {"names": ("sky", "road"), "colors": GREYS[:2], "file_ids": (3, 3)},
            "class ids 3, 3 are not distinct numbers from 0 to 255",
        ),
        (
            {"names": ("sky", "road"), "colors": GREYS[:2], "file_ids": (3, 256)},
            "class ids 3, 256 are not distinct numbers from 0 to 255",
        ),
        (
            {"names": ("sky", "road"), "colors": GREYS[:2], "void_ids": (1,)},
            "class ids 0, 1, 1 are not distinct",
        ),
        (
            {"names": ("sky",), "colors": GREYS[:1], "file_ids": (255,)},
            "a class has id 255, which else means VOID; name another number in void_ids",
        ),
    ],
)
def test_a_class_set_that_contradicts_itself_is_refused(settings: dict[str, Any], message: str) -> None:
    """Names are distinct, every class has its colour, and every number means one thing."""
    with pytest.raises(LabelError, match=message):
        ClassSet(**settings)


def test_weights_fit_class_sets_of_the_same_names_in_the_same_order() -> None:
    """Colours and file ids play no part in what a network has learned; names and their order do."""
    classes = class_set("road", "sky")

    assert classes.fingerprint() == class_set("road", "sky", file_ids=(7, 23)).fingerprint()
    assert classes.fingerprint() != class_set("sky", "road").fingerprint()
    assert classes.fingerprint() != class_set("road", "sky", "car").fingerprint()


def test_labels_are_classes_or_void() -> None:
    """A label map holds positions of its class set and VOID, and nothing else."""
    class_set("road", "sky").check(torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8))


def test_a_stray_label_is_refused_with_the_last_class() -> None:
    """The error for a label beyond the last class names where the class set ends."""
    labels = torch.tensor([[[0, 9, 2]]], dtype=torch.uint8)

    with pytest.raises(
        LabelError, match=r"label map holds class 2, but this class set ends at 1 \('sky'\); map unused ids"
    ):
        class_set("road", "sky").check(labels)


def test_numbers_of_16_bits_are_void_or_merged() -> None:
    """They are read, but never written; a class has an id that label maps of 8 bits hold."""
    names, colors = ("road", "car"), ((1, 1, 1), (2, 2, 2))

    classes = ClassSet(names=names, colors=colors, void_ids=(65535, 1000), merged_ids=((300,), ()))

    assert classes.void_id == 255
    for wrong in (
        {"file_ids": (0, 300)},
        {"void_ids": (65536,)},
        {"void_ids": (-1,)},
        {"merged_ids": ((70000,), ())},
        {"file_ids": (0, 255), "void_ids": (65535,)},
    ):
        with pytest.raises(LabelError):
            ClassSet(names=names, colors=colors, **wrong)
