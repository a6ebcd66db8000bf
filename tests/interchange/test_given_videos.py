"""Tests of interchange/given_videos.py: what `--frames` opens."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from warprefine.core.errors import DatasetError
from warprefine.interchange.given_videos import open_videos


def picture(path: Path) -> None:
    """Write a picture of 3 x 4 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3)).save(path)


def test_pictures_are_opened_in_the_layouts_that_people_have(tmp_path: Path) -> None:
    """Folders of videos, a data set folder, and a single folder of pictures."""
    picture(tmp_path / "a" / "drive" / "000.png")
    picture(tmp_path / "a" / "walk" / "frames" / "000.png")
    picture(tmp_path / "data" / "videos" / "drive" / "frames" / "000.png")

    assert [one.name for one in open_videos(tmp_path / "a")] == ["drive", "walk"]
    assert [one.name for one in open_videos(tmp_path / "data")] == ["drive"]
    assert [one.name for one in open_videos(tmp_path / "a" / "drive")] == ["drive"]
    assert [one.name for one in open_videos(tmp_path / "a" / "drive", video="x")] == ["x"]


def test_what_holds_no_pictures_is_refused(tmp_path: Path) -> None:
    """Each with what was found."""
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"--frames .*a\.txt is no video file or folder"):
        open_videos(tmp_path / "a.txt")
    with pytest.raises(DatasetError, match=r"--frames .*nothing is not there"):
        open_videos(tmp_path / "nothing")
    with pytest.raises(DatasetError, match=r"holds a\.txt, empty; expected VIDEO/STEM\.png"):
        open_videos(tmp_path)
