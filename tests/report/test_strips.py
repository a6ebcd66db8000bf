"""Check that a strip shows the pictures that it is given, each in its place, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.core.errors import FrameError
from warprefine.report.chart import DARK
from warprefine.report.strips import draw_strip

CLASSES = ClassSet(names=("road", "car"), colors=((128, 64, 128), (0, 0, 142)))
RED, GREEN, BLUE = (
    np.full((120, 240, 3), color, np.uint8) for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250))
)


def box_of(strip: np.ndarray, picture: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, height and width of what has the colour of a plain picture."""
    rows, columns = np.nonzero((strip[..., :3] == picture[0, 0]).all(axis=-1))
    top, left = rows.min(), columns.min()
    return int(top), int(left), int(rows.max() - top + 1), int(columns.max() - left + 1)


def test_every_picture_stands_in_its_row_and_column():
    """Columns go right, rows go down, and nothing is stretched or smoothed."""
    strip = np.asarray(draw_strip([("a", [RED, None]), ("b", [GREEN, BLUE])], rows=["p = 1", "p = 6"]))

    top, left, *size = box_of(strip, RED)
    assert size == [120, 240]
    assert box_of(strip, GREEN) == (top, left + 248, 120, 240)
    assert box_of(strip, BLUE) == (top + 128, left + 248, 120, 240)


def test_small_pictures_are_enlarged_by_a_whole_number():
    """A label map of 100 pixels is shown twice as large."""
    assert box_of(np.asarray(draw_strip([("a", [RED[:50, :100]])])), RED)[2:] == (100, 200)


def test_row_titles_and_classes_take_room_only_where_they_are_asked_for():
    """A bare strip is as wide as its pictures; a legend stands below, in the colours of the classes."""
    bare = draw_strip([("a", [RED])])
    titled = draw_strip([("a", [RED])], rows=["a long title of a row"])
    explained = draw_strip([("a", [RED])], classes=CLASSES)

    assert bare.width == 240
    assert titled.width > 240 + 100
    assert (explained.width, explained.height > bare.height) == (240, True)
    for color in CLASSES.colors:
        assert (np.asarray(explained)[..., :3] == color).all(axis=-1).any()


def test_a_long_title_stays_above_its_own_column():
    """Words that would run into the next column are set smaller."""
    columns = [("a title that is far too long for a picture", [RED]), ("", [GREEN])]
    strip = np.asarray(draw_strip(columns))

    top, left, *_ = box_of(strip, GREEN)
    assert (strip[:top, :left, :3] < 128).any()
    assert (strip[:top, left:, :3] == 255).all()


def test_a_long_row_title_takes_no_more_room_than_half_a_picture():
    """File names are long; the pictures are what one wants to see."""
    strip = draw_strip([("a", [RED])], rows=["aachen_000000_000019_leftImg8bit and more of it"])

    assert strip.width <= 240 + 120 + 20
    assert draw_strip([("a", [RED])], rows=["p = 1"]).width < strip.width


def test_a_strip_takes_the_theme_of_its_page():
    """The paper of a dark strip is dark."""
    strip = draw_strip([("a", [RED])], theme=DARK).convert("RGB")

    assert "#" + bytes(strip.getpixel((0, strip.height - 1))).hex() == DARK.paper


def test_columns_of_different_lengths_are_refused():
    """A picture that is missing is said to be missing."""
    with pytest.raises(FrameError, match=r"row titles of \[1, 2\] rows; expected as many .*put None"):
        draw_strip([("a", [RED]), ("b", [RED, GREEN])])
    with pytest.raises(FrameError, match=r"row titles of \[1, 2\] rows"):
        draw_strip([("a", [RED])], rows=["x", "y"])


@pytest.mark.parametrize(
    ("pictures", "found"), [([RED, RED[:60]], "60 x 240, 120 x 240"), ([None, None], "no picture")]
)
def test_pictures_of_different_sizes_are_refused(pictures, found):
    """Rows and columns would not meet."""
    with pytest.raises(FrameError, match=rf"have sizes {found} \(h x w\); expected one size.*resize"):
        draw_strip([("a", pictures)])
