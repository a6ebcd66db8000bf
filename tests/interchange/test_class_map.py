"""Tests of interchange/class_map.py and palette.py: which class of the project a class of an export is."""

from __future__ import annotations

import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, LabelError
from warprefine.core.tensors import VOID
from warprefine.datasets.palette import distinct_colors
from warprefine.interchange.class_map import ClassMap, class_map
from warprefine.interchange.imported import BACKGROUND, ClassList, FileClass

PROJECT = ClassSet(names=("road", "car", "sky"), colors=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
LABELS = np.array([[0, 1, 2, VOID]], np.uint8)


def led(
    *found: FileClass, project: ClassSet | None = PROJECT, background: str | None = None, **renames: str
) -> ClassMap:
    """The class map of an export."""
    return class_map(found, project=project, renames=renames, background=background, where="a.json")


def named(*names: str) -> list[FileClass]:
    return [FileClass(name=name) for name in names]


def test_classes_are_led_by_name() -> None:
    """Whatever their order in the file is; void stays void."""
    mapped = led(*named("car", "sky", "road")).apply(LABELS, where="image 1")

    assert mapped.tolist() == [[1, 2, 0, VOID]]


def test_an_unknown_class_that_no_pixel_has_is_no_mistake() -> None:
    """Files list classes that nobody uses."""
    assert led(*named("car", "sky", "road", "tree")).apply(LABELS, where="image 1")[0, 0] == 1


def test_an_unknown_class_is_refused_with_both_sides() -> None:
    """The message has the cure."""
    with pytest.raises(
        LabelError,
        match=r"image 1 has the class 'Road', .* the file has 'Road' .* are 'road', 'car', 'sky'; did you "
        r"mean 'road'.*; say --map Road=CLASS, or --map Road= for void",
    ):
        led(*named("car", "sky", "Road")).apply(LABELS, where="image 1")


def test_classes_can_be_renamed_merged_and_made_void() -> None:
    """By --map."""
    mapped = led(*named("lorry", "tree", "road"), lorry="car", tree="").apply(LABELS, where="image 1")

    assert mapped.tolist() == [[1, VOID, 0, VOID]]


def test_what_is_unlabelled_becomes_the_background() -> None:
    """If the user says so."""
    mapped = led(*named("car", "sky", "road"), background="road").apply(LABELS, where="image 1")

    assert mapped.tolist() == [[1, 2, 0, 0]]


def test_background_of_a_tool_is_void_unless_the_project_has_it() -> None:
    """Tools paint what nobody has labelled in a class of their own."""
    found = ClassList(where="a.txt", void_names=BACKGROUND)
    for name in ("background", "car", "road"):
        found.add(name)
    with_background = ClassSet(names=("road", "car", "background"), colors=PROJECT.colors)

    assert led(*found.found).apply(LABELS, where="1").tolist() == [[VOID, 1, 0, VOID]]
    assert led(*found.found, project=with_background).apply(LABELS, where="1").tolist() == [[2, 1, 0, VOID]]
    assert led(*found.found, project=None).classes.names == ("car", "road")
    assert led(*found.found, project=None, background="background").classes.names == (
        "background",
        "car",
        "road",
    )


def test_a_new_project_has_the_classes_of_the_export() -> None:
    """With their ids and colours where they can be kept, after they were renamed and merged."""
    found = (
        FileClass(name="car", id=3, color=(9, 9, 9)),
        FileClass(name="road", id=7),
        FileClass(name="lorry", id=8, color=(9, 9, 9)),
        FileClass(name="x", id=9),
    )

    new = led(*found, project=None, lorry="truck", x="")

    assert new.classes.names == ("car", "road", "truck")
    assert new.classes.file_ids == (3, 7, 8)
    assert len({*new.classes.colors}) == 3
    assert led(*found[:1], project=None).classes.colors == ((9, 9, 9),)
    assert led(FileClass(name="a", id=300), project=None).classes.ids == (0,)


def test_options_that_name_no_class_are_refused() -> None:
    """Each with the nearest name."""
    with pytest.raises(DatasetError, match=r"a.json has no class 'cat' to map; did you mean 'car'"):
        led(*named("car"), cat="car")
    with pytest.raises(DatasetError, match="--map car=cat names a class that the project does not have"):
        led(*named("car"), car="cat")
    with pytest.raises(DatasetError, match=r"--background rood names a class .*did you mean 'road'"):
        led(*named("car"), background="rood")
    with pytest.raises(DatasetError, match="has no classes; expected at least one"):
        led(project=None)


def test_lists_of_classes_refuse_what_no_project_can_hold() -> None:
    """Names that occur twice, that are empty or no text, and too many of them."""
    classes = ClassList(where="a.json")
    classes.add("Gebäude")
    assert classes.has("Geba\u0308ude")
    with pytest.raises(DatasetError, match=r"a.json lists the class 'Gebäude' twice"):
        classes.add("Geba\u0308ude")
    with pytest.raises(DatasetError, match="has a class called ''; expected a name"):
        classes.add("")
    with pytest.raises(DatasetError, match="expected a name in UTF-8"):
        classes.position("\ud800")
    for number in range(254):
        classes.position(str(number))
    with pytest.raises(DatasetError, match="more than 255 classes"):
        classes.position("one more")


def test_colours_are_all_different() -> None:
    """Also for as many classes as there may be."""
    colors = distinct_colors([None] * 255)

    assert len({*colors}) == 255
    assert (0, 0, 0) not in colors


def test_a_name_that_no_message_could_show_is_refused() -> None:
    """Of a class; 200 letters are as many as there may be."""
    assert ClassList(where="a.json").add("x" * 200) == 0
    with pytest.raises(DatasetError, match=r"class called 'xxx.*of 3,000 letters; expected at most 200"):
        ClassList(where="a.json").add("x" * 3000)
