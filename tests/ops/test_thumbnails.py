"""Tests of ops/thumbnails.py: pictures are compared whatever has moved and however bright they are."""

from __future__ import annotations

import numpy as np
import torch

from warprefine.datasets.street import StreetScene
from warprefine.ops.thumbnails import Thumbnail, dissimilarity, is_blank, thumbnail


def test_a_thumbnail_has_the_mean_of_blocks_of_pixels() -> None:
    """Green counts twice; what is left over at the right and at the bottom is cut off."""
    frame = torch.zeros(1, 3, 130, 195, dtype=torch.uint8)
    frame[0, :, :3, :3] = torch.tensor([40, 80, 120])[:, None, None]

    small = thumbnail(frame)

    assert small.shape == (43, 65)
    assert small[0, 0] == 80
    assert not small[1:, 1:].any()


def test_small_frames_are_their_own_thumbnails() -> None:
    """Nothing is enlarged, and a line of pixels keeps one pixel of height."""
    assert thumbnail(torch.zeros(1, 3, 2, 1000, dtype=torch.uint8)).shape == (1, 500)
    assert thumbnail(torch.zeros(1, 3, 32, 40, dtype=torch.uint8)).shape == (32, 40)


def test_one_colour_is_blank_and_a_night_is_not() -> None:
    """Black, white and grey are blank; a street at a fiftieth of its brightness still has structure."""
    night = thumbnail((StreetScene(seed=0, h=96, w=160, length=1).frame(0).float() / 20).byte())

    assert all(is_blank(np.full((45, 60), level, np.uint8)) for level in (0, 128, 255))
    assert not is_blank(night)


def street(seed: int, frame: int) -> Thumbnail:
    return thumbnail(StreetScene(seed=seed, h=96, w=160, length=12).frame(frame))


def test_motion_and_brightness_change_little_and_another_street_changes_much() -> None:
    """The next frame, also at half the brightness, is found again; a frame of another street is not."""
    here, next_here, elsewhere = street(0, 4), street(0, 5), street(1, 5)

    assert dissimilarity(here, here) < 1e-3
    assert dissimilarity(here, next_here) < 0.15
    assert dissimilarity(here, next_here // 2) < 0.15
    assert dissimilarity(here, elsewhere) > 0.3


def test_pictures_without_structure_are_alike() -> None:
    """Nothing can be told of two blank pictures; of a blank one and a street, nothing is found again."""
    black = np.zeros((48, 80), np.uint8)

    assert dissimilarity(black, black + 9) == 0
    assert dissimilarity(black, street(0, 0)) > 0.9
