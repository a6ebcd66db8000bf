"""Tests of datasets/class_file.py: classes.toml comes back as written, and mistakes in it are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warprefine.core.classes import VOID_COLOR, ClassSet
from warprefine.core.errors import DatasetError
from warprefine.datasets.class_file import read_classes, write_classes

ROAD = '[[class]]\nname = "road"\ncolor = [1, 2, 3]\n'
CAR = '[[class]]\nname = "car"\ncolor = [4, 5, 6]\n'

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
channels = st.integers(0, 255)


@st.composite
def class_facts(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the arguments of a class set; built in the test, because type checks draw random numbers."""
    count = draw(st.integers(1, 6))
    numbers = draw(st.permutations(range(6, 255)))  # none of them is a position
    merged = tuple(tuple(numbers[10 * i : 10 * i + draw(st.integers(0, 3))]) for i in range(1, count + 1))
    return {
        "names": tuple(draw(st.lists(names, min_size=count, max_size=count, unique=True))),
        "colors": tuple(draw(st.tuples(channels, channels, channels)) for _ in range(count)),
        "file_ids": tuple(numbers[:count]) if draw(st.booleans()) else (),
        "merged_ids": merged if any(merged) else (),
        "void_ids": tuple(numbers[70 : 70 + draw(st.integers(0, 3))]),
        "categories": tuple(draw(names) for _ in range(count)) if draw(st.booleans()) else (),
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=class_facts())
def test_classes_come_back_as_they_were_written(tmp_path: Path, facts: dict[str, Any]) -> None:
    """Any class set survives the file, whatever characters its names hold."""
    classes = ClassSet(**facts)

    write_classes(tmp_path / "classes.toml", classes)

    assert read_classes(tmp_path / "classes.toml") == classes


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    """The file that the manual shows gives the classes in its order."""
    (tmp_path / "classes.toml").write_text(
        "void_ids = [0, 3]\n\n"
        '[[class]]\nname = "road"\ncolor = [128, 64, 128]\nid = 7\nmerged_ids = [8]\ncategory = "flat"\n\n'
        '[[class]]\nname = "car"\ncolor = [0, 0, 142]\nid = 26\ncategory = "vehicle"\n'
    )

    classes = read_classes(tmp_path / "classes.toml")

    assert classes.names == ("road", "car")
    assert classes.colors == ((128, 64, 128), (0, 0, 142))
    assert classes.all_ids == ((7, 8), (26,))
    assert classes.void_ids == (0, 3)
    assert classes.categories == ("flat", "vehicle")


def test_colors_are_written_as_texts_too_or_chosen(tmp_path: Path) -> None:
    """Those that are missing are told apart at a glance; none is black, which is void."""
    (tmp_path / "classes.toml").write_text(
        '[[class]]\nname = "a"\n[[class]]\nname = "b"\ncolor = "#FF8000"\n'
        '[[class]]\nname = "c"\ncolor = [128, 0, 0]\n[[class]]\nname = "d"\n'
    )

    colors = read_classes(tmp_path / "classes.toml").colors

    assert colors == ((0, 114, 178), (255, 128, 0), (128, 0, 0), (230, 159, 0))


def test_every_class_of_the_largest_set_gets_a_color_of_its_own(tmp_path: Path) -> None:
    """There are as many as numbers in a label file."""
    (tmp_path / "classes.toml").write_text("".join(f'[[class]]\nname = "{n}"\n' for n in range(255)))

    colors = read_classes(tmp_path / "classes.toml").colors

    assert len({*colors, VOID_COLOR}) == 256


@pytest.mark.parametrize("document", ["README.md", "docs/datasets.md"])
def test_the_file_that_documents_show_is_read(tmp_path: Path, document: str) -> None:
    """Every key occurs in an example that works as it stands."""
    text = (Path(__file__).parents[2] / document).read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    for example in examples:
        (tmp_path / "classes.toml").write_text(example)
        assert len(read_classes(tmp_path / "classes.toml")) > 1
    assert all(key in examples[0] for key in ("name", "color", "#"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", r"holds no classes; expected a \[\[class\]\] table"),
        ("class = []", "holds no classes"),
        ("class = 3", "holds no classes"),
        ("class = [3]", "holds no classes"),
        ("[[class]\n", "is no TOML file: .*line 1"),
        ("clas = 1\n" + ROAD, "unknown key 'clas' at the top; did you mean 'class'"),
        (ROAD + "colour = [1, 2, 3]\n", "unknown key 'colour' in class 'road'; did you mean 'color'"),
        ("[[class]]\ncolor = [1, 2, 3]\n", "has no name in class 0; expected one for each class"),
        ("[[class]]\nname = 4\ncolor = [1, 2, 3]\n", "has name = 4 in class 4; expected a text in quotes"),
        (ROAD + "category = 4\n", "has category = 4 in class 'road'; expected a text in quotes"),
        ('[[class]]\nname = "road"\ncolor = [1, 2]\n', r"color = \[1, 2\] in class 'road'; expected \[red"),
        ('[[class]]\nname = "road"\ncolor = [1, 2, 256]\n', r"color = \[1, 2, 256\] .* each 0 to 255"),
        (
            '[[class]]\nname = "road"\ncolor = "red"\n',
            r"color = 'red' in class 'road'; expected \[red, green, blue\], each 0 to 255, or a text such as",
        ),
        ('[[class]]\nname = "road"\ncolor = "#12345"\n', "color = '#12345' in class 'road'; expected"),
        ('[[class]]\nname = "road"\ncolor = 3\n', "3 for color in class 'road'; expected whole numbers"),
        (ROAD + "id = true\n", r"\[True\] for id in class 'road'; expected whole numbers"),
        (ROAD + "merged_ids = [1.5]\n", r"\[1.5\] for merged_ids in class 'road'; expected whole numbers"),
        ("void_ids = 3\n" + ROAD, "3 for void_ids; expected whole numbers"),
        (ROAD + "id = 3\n" + CAR, "has no id in class 'car', but others have one; give one to each or none"),
        (ROAD + CAR + 'category = "x"\n', "has no category in class 'road', but others have one"),
        (ROAD + ROAD, "classes.toml: class names occur twice: road"),
        (ROAD + "id = 300\n", "classes.toml: class ids 300 are not distinct numbers from 0 to 255"),
        ("void_ids = [0]\n" + ROAD, "classes.toml: class ids 0, 0 are not distinct"),
        (ROAD + "id = 255\n", "classes.toml: a class has id 255, which else means VOID; name another number"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: str, words: str) -> None:
    """An error in classes.toml is reported in one line, with the file, the place and the remedy."""
    (tmp_path / "classes.toml").write_text(content)

    with pytest.raises(DatasetError, match=words) as caught:
        read_classes(tmp_path / "classes.toml")

    assert str(tmp_path / "classes.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Without classes.toml the labels have no meaning."""
    with pytest.raises(
        DatasetError, match=r"there is no .*classes\.toml; expected a file that lists the classes"
    ):
        read_classes(tmp_path / "classes.toml")


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    """TOML is UTF-8."""
    (tmp_path / "classes.toml").write_bytes(ROAD.replace("road", "stra\xdfe").encode("latin-1"))

    with pytest.raises(DatasetError, match=r"classes\.toml is no text in UTF-8: line 2 holds the byte 0xdf"):
        read_classes(tmp_path / "classes.toml")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_is_no_mistake(tmp_path: Path, encoding: str) -> None:
    """Editors put one in front of UTF-8, and save "Unicode" as UTF-16."""
    text = (ROAD + CAR).replace("road", "Straße").replace("\n", "\r\n")
    marked = text if encoding in ("utf-8-sig", "utf-16", "utf-32") else f"\ufeff{text}"
    (tmp_path / "classes.toml").write_bytes(marked.encode(encoding))

    assert read_classes(tmp_path / "classes.toml").names == ("Straße", "car")


@pytest.mark.parametrize("value", ["[" * 2000 + "]" * 2000, "9" * 5000, "0x" + "f" * 9000])
def test_absurd_values_are_one_short_line(tmp_path: Path, value: str) -> None:
    """Deep nesting and thousands of digits are told, and not printed."""
    (tmp_path / "classes.toml").write_text(f"{ROAD}id = {value}\n")

    with pytest.raises(DatasetError, match=r"classes\.toml (is no TOML file|holds a number)") as caught:
        read_classes(tmp_path / "classes.toml")

    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_a_key_of_thousands_of_characters_is_shown_in_short(tmp_path: Path) -> None:
    """The message stays a line that can be read."""
    (tmp_path / "classes.toml").write_text("9" * 5000 + " = 1\n")

    with pytest.raises(DatasetError, match=r"has an unknown key '9+\.\.\.9+' at the top") as caught:
        read_classes(tmp_path / "classes.toml")
    assert len(str(caught.value)) < 1000
