"""Tests of interchange/frames.py: which frame a name or an index means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.core.video import Video
from warprefine.interchange.frames import FrameMatcher, own_place
from warprefine.interchange.imported import ImportedFrame


def video(name: str, *stems: str) -> Video:
    """A video of pictures."""
    return Video(name=name, stems=stems, frame_paths=[Path(f"{stem}.png") for stem in stems])


VIDEOS = (video("alpha_01", "000000", "000003", "000007"), video("cam 2", "000005", "000007"))


def frame(name: str = "", **settings: Any) -> ImportedFrame:
    """A frame without labels."""
    return ImportedFrame(
        where="a.json, image 1", name=name, draw=lambda size: np.zeros(size, np.uint8), **settings
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alpha_01/000003.png", "alpha_01/000003"),
        ("alpha_01/frames/000003.jpg", "alpha_01/000003"),
        ("data/videos/alpha_01/frames/000003.jpg", "alpha_01/000003"),
        ("..\\..\\alpha_01\\000003.png", "alpha_01/000003"),
        ("C:\\data\\cam 2\\000005.png", "cam 2/000005"),
        ("alpha_01.mp4/000003", "alpha_01/000003"),
        ("alpha_01__000003.PNG", "alpha_01/000003"),
        ("alpha_01_000003", "alpha_01/000003"),
        ("alpha_01-000003", "alpha_01/000003"),
        ("cam_2_000005.png", "cam 2/000005"),
        ("cam_2/000005.png", "cam 2/000005"),
        ("cam 2/cam 2_000005.png", "cam 2/000005"),
        ("task 7/cam 2__000005.png", "cam 2/000005"),
        ("000003.png", "alpha_01/000003"),
        ("images/train/000003.png", "alpha_01/000003"),
        ("alpha_01/3.png", "alpha_01/000003"),
        ("5", "cam 2/000005"),
    ],
)
def test_a_name_leads_to_its_frame(name: str, found: str) -> None:
    """In all the forms in which tools write it."""
    one, number = FrameMatcher(VIDEOS).find(frame(name))

    assert f"{one.name}/{one.stems[number]}" == found


@pytest.mark.parametrize(
    "name", ["Stra\u00dfe 1__bild 2.png", "Stra\u00dfe_1__bild_2.png", "Stra\u00dfe 1/bild_2.png", "bild_2"]
)
def test_blanks_in_the_name_of_a_frame_may_be_underscores(name: str) -> None:
    """Label Studio and Roboflow write them so; a name that fits as it is comes first."""
    one, number = FrameMatcher([video("Stra\u00dfe 1", "bild 1", "bild 2")]).find(frame(name))

    assert one.stems[number] == "bild 2"
    assert FrameMatcher([video("a", "b 1", "b_1")]).find(frame("a/b_1.png"))[1] == 1
    with pytest.raises(KeyFrameError, match="is no frame of a"):
        FrameMatcher([video("a", "b c_1", "b_c 1")]).find(frame("a/b_c_1.png"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("000007.png", r"'000007\.png', which may be alpha_01/000007, cam 2/000007; .*--video NAME"),
        ("alpha_01/000005.png", "no frame of alpha_01, cam 2; the nearest are"),
        ("777777.png", "which is no frame of"),
        ("another/000003.png", "which is no frame of .*; say --video NAME if that is the video"),
        ("", "which is no frame of"),
    ],
)
def test_a_name_of_no_frame_or_of_several_is_refused(name: str, told: str) -> None:
    """Never is one guessed; a folder of another name is another video."""
    with pytest.raises(KeyFrameError, match=told):
        FrameMatcher(VIDEOS).find(frame(name))


def test_the_user_says_which_video_is_meant() -> None:
    """Then only its frames count, whatever the folder is called."""
    matcher = FrameMatcher(VIDEOS, video="cam 2")

    assert matcher.find(frame("000007.png"))[0].name == "cam 2"
    assert matcher.find(frame("another/000005.png"))[1] == 0
    with pytest.raises(KeyFrameError, match=r"no frame of cam 2.*name frames as in the videos"):
        matcher.find(frame("000003.png"))
    with pytest.raises(DatasetError, match="--video names 'cam 3', which is none; did you mean 'cam 2'"):
        FrameMatcher(VIDEOS, video="cam 3")


def test_further_spellings_are_tried_in_order() -> None:
    """The first that fits counts."""
    one, number = FrameMatcher(VIDEOS).find(frame("000003_png.rf.1f", also=("nothing", "000003")))

    assert (one.name, number) == ("alpha_01", 1)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"index": 3, "video": "alpha_01.mp4"}, "alpha_01/000003"),
        ({"index": 7, "video": "cam 2"}, "cam 2/000007"),
        ({"index": 5, "name": "cam 2/frame_5"}, "cam 2/000005"),
    ],
)
def test_a_decode_index_is_the_number_in_the_name_of_a_picture(settings: dict[str, Any], found: str) -> None:
    """Not its place among the pictures that happen to be there."""
    one, number = FrameMatcher(VIDEOS).find(frame(**settings))

    assert f"{one.name}/{one.stems[number]}" == found


def test_a_decode_index_of_an_unknown_video_is_refused() -> None:
    """The name of the file is no video of the project, or there is none and several videos."""
    with pytest.raises(
        KeyFrameError, match=r"frame 3 of the video 'x\.mp4'; expected one of alpha_01, cam 2"
    ):
        FrameMatcher(VIDEOS).find(frame(index=3, video="x.mp4"))
    with pytest.raises(KeyFrameError, match="frame 3 without the name of a video"):
        FrameMatcher(VIDEOS).find(frame(index=3))
    with pytest.raises(KeyFrameError, match="called 'frame 4', which is no frame of alpha_01"):
        FrameMatcher(VIDEOS, video="alpha_01").find(frame(index=4))

    assert FrameMatcher(VIDEOS[:1]).find(frame(index=3))[1] == 1
    assert FrameMatcher(VIDEOS, video="alpha_01").find(frame(index=7, video="x.mp4"))[1] == 2


def test_a_frame_of_a_video_file_is_its_decode_index() -> None:
    """Beyond its end there is none."""
    drive = Video(name="drive", stems=["000000", "000001"], container=Path("drive.mp4"))

    assert FrameMatcher([drive]).find(frame("frame_000001", index=1))[1] == 1
    with pytest.raises(KeyFrameError, match="no frame of drive"):
        FrameMatcher([drive]).find(frame(index=2))


@pytest.mark.parametrize("name", ["frame_000002.PNG", "images/frame_000002.png", "frame_000002"])
def test_a_name_that_cvat_gave_to_a_frame_of_a_video_is_its_decode_index(name: str) -> None:
    """In every format that CVAT exports a video to; a frame that is called so goes before."""
    clip = Video(name="clip", stems=["000000", "000001", "000002"], container=Path("clip.mp4"))
    pictures = video("shot", "frame_000001", "frame_000002")

    assert FrameMatcher([clip]).find(frame(name)) == (clip, 2)
    assert FrameMatcher([clip]).find(frame("gt_frame_000002", also=("frame_000002",))) == (clip, 2)
    assert FrameMatcher([pictures]).find(frame(name)) == (pictures, 1)
    with pytest.raises(KeyFrameError, match="frame_000007"):
        FrameMatcher([clip]).find(frame("frame_000007"))


def test_without_videos_the_folder_of_a_picture_is_its_video() -> None:
    """The innermost one that is no part of a layout."""
    assert own_place(frame("images/train/drive/frames/000.png"), video=None) == ("drive", "000")
    assert own_place(frame("000.png", video="drive.mp4"), video=None) == ("drive", "000")
    assert own_place(frame("x/000.png"), video="drive") == ("drive", "000")
    with pytest.raises(KeyFrameError, match=r"without a folder that names its video; .*--video NAME"):
        own_place(frame("images/000.png"), video=None)


def test_a_place_leads_to_its_frame_only_where_the_video_has_as_many() -> None:
    """As a video of labels has no names."""
    matcher = FrameMatcher(VIDEOS, video="alpha_01")

    assert matcher.find(frame(place=(2, 3)))[1] == 2
    with pytest.raises(KeyFrameError, match=r"one of 4 frames, but the video 'alpha_01' has 3"):
        matcher.find(frame(place=(2, 4)))
    with pytest.raises(KeyFrameError, match=r"is frame 2 without the name of a video; expected one of"):
        FrameMatcher(VIDEOS).find(frame(place=(2, 3)))
