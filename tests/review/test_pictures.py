"""Tests of review/pictures.py: frames and small pictures of them, of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from warprefine.core.video import Video
from warprefine.review.pictures import Pictures


@pytest.mark.parametrize(
    ("h", "w", "small"), [(1, 1, (160, 160)), (48, 64, (120, 160)), (1, 700, (1, 160)), (1300, 2, (640, 1))]
)
def test_frames_of_every_shape_have_a_small_picture(
    tmp_path: Path, pixels: Callable[[bytes], np.ndarray], h: int, w: int, small: tuple[int, int]
) -> None:
    """It is 160 pixels wide, unless it would be taller than 640."""
    Image.fromarray(np.zeros((h, w, 3), np.uint8)).save(tmp_path / "0.png")
    video = Video(name="odd", stems=["0"], frame_paths=[tmp_path / "0.png"])
    pictures = Pictures()

    found = pixels(pictures.thumbnail(video, 0)), pixels(pictures.image(video, 0))
    pictures.close()

    assert (found[0].shape, found[1].shape) == ((*small, 3), (h, w, 3))
