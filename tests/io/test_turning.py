"""Tests of io/turning.py: eight ways to turn a picture, told by EXIF data or by a display matrix."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from warprefine.io.turning import UPRIGHT, turn_of_exif, turn_of_matrix

PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_other_programs(orientation: int) -> None:
    """Pillow turns a picture alike."""
    picture = Image.fromarray(PIXELS)
    picture.getexif()[0x0112] = orientation

    turn = turn_of_exif(orientation)

    assert turn(PIXELS).tolist() == np.asarray(ImageOps.exif_transpose(picture)).tolist()
    assert turn.size(2, 3) == turn(PIXELS).shape


@pytest.mark.parametrize("orientation", [0, 9, -1, None, "6", (6, 1), 6.5])
def test_what_is_no_orientation_turns_nothing(orientation: object) -> None:
    """Damaged EXIF data leave a picture as it is."""
    assert turn_of_exif(orientation) == UPRIGHT


@pytest.mark.parametrize("degrees", range(-180, 181, 15))
def test_a_matrix_of_any_angle_takes_the_nearest_quarter_turn(degrees: int) -> None:
    """Nobody turns a camera by exactly 90 degrees, and pixels are never resampled."""
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    a, b, c, d = (int(65536 * number) for number in (cosine, sine, -sine, cosine))

    turn = turn_of_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])

    assert turn.transposed == (45 < abs(degrees) < 135)
    assert str(turn) in {
        "upright",
        "turned by 90 degrees clockwise",
        "turned by 180 degrees",
        "turned by 90 degrees counterclockwise",
    }
