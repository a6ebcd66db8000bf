"""Tests of io/frames.py: pictures in a folder and video files are one kind of thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.errors import FrameError
from warprefine.core.video import Video
from warprefine.io.frames import frame_count, frame_size, frame_stems, frame_turn, open_frames
from warprefine.io.images import write_frame
from warprefine.io.video_file import VideoFile


def pictures(folder: Path, sizes: list[tuple[int, int]]) -> Video:
    paths = [folder / f"{number}.png" for number in range(len(sizes))]
    for number, (path, (h, w)) in enumerate(zip(paths, sizes, strict=True)):
        write_frame(path, torch.full((1, 3, h, w), number, dtype=torch.uint8))
    return Video(name="v", stems=[path.stem for path in paths], frame_paths=paths)


def video_of(container: Path) -> Video:
    return Video(name="v", stems=frame_stems(container), container=container)


def test_pictures_are_read_by_number(tmp_path: Path) -> None:
    """Frame i of a folder of pictures is its i-th picture."""
    with open_frames(pictures(tmp_path, [(4, 6)] * 3)) as source:
        assert len(source) == 3
        assert [source[number].unique().item() for number in (2, 0, 1)] == [2, 0, 1]
        assert source[0].shape == (1, 3, 4, 6)


def test_a_video_file_is_read_by_number(studio: Any) -> None:
    """Frame i of a video file is its i-th frame, named by six digits."""
    video = video_of(studio.write("a.mp4", pictures=12))

    assert video.stems[11] == "000011"
    with open_frames(video) as source:
        assert len(source) == 12
        assert [studio.number_in(source[number]) for number in (7, 3, 11)] == [7, 3, 11]


def test_nothing_is_opened_before_it_is_asked_for(tmp_path: Path) -> None:
    """A missing picture is told when it is read, with its name; the others can be read."""
    video = pictures(tmp_path, [(4, 6)] * 3)
    video.frame_paths[1].unlink()

    with open_frames(video) as source:
        assert source[2].shape == (1, 3, 4, 6)
        with pytest.raises(FrameError, match=r"there is no file .*1\.png"):
            source[1]


def test_pictures_of_one_video_have_one_size(tmp_path: Path) -> None:
    """A picture of another size is refused with both sizes and names, whichever is read first."""
    with (
        open_frames(pictures(tmp_path, [(4, 6), (4, 6), (6, 4)])) as source,
        pytest.raises(FrameError, match=r"frame .*2\.png is 6 x 4 \(h x w\), but .*0\.png is 4 x 6"),
    ):
        source[2]


def test_a_video_file_that_changed_since_is_refused(studio: Any) -> None:
    """Frame numbers are worth nothing once the file behind them is another."""
    path = studio.write("a.mp4", pictures=12)
    video = replace(video_of(path), stems=frame_stems(path)[:10])

    with (
        pytest.raises(FrameError, match=r"a\.mp4 has 12 frames, but had 10 when the data set was read"),
        open_frames(video),
    ):
        pass


def test_a_video_file_is_closed_afterwards(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the block is left, be it by an error, the file is let go of."""
    closed = []

    def close(self: VideoFile) -> None:
        closed.append(self)

    monkeypatch.setattr(VideoFile, "close", close)

    with pytest.raises(ZeroDivisionError), open_frames(video_of(studio.write("a.mp4", pictures=3))) as source:
        raise ZeroDivisionError

    assert closed == [source]


def test_the_frames_of_a_video_file_are_counted(studio: Any) -> None:
    """The number of frames is known without keeping any."""
    path = studio.write("a.mkv", pictures=9)

    assert frame_count(path) == 9
    assert frame_stems(path) == tuple(f"00000{number}" for number in range(9))


def test_frames_of_sixteen_bits_are_stretched_by_the_range_of_their_video(tmp_path: Path) -> None:
    """One range for all frames: a scene that grows warmer grows brighter, and all grey levels are used."""
    paths = [tmp_path / f"{number:03d}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((4, 6), 29_000 + 10 * number, np.uint16)).save(path)
    (tmp_path / "039.png").write_bytes(b"damaged")

    with open_frames(Video(name="v", stems=[path.stem for path in paths], frame_paths=paths)) as source:
        greys = [int(source[number].max()) for number in range(36)]

    assert greys == sorted(greys)
    assert len(set(greys)) == 36
    assert (greys[0], source[36].max()) == (0, 255)


def test_a_turn_is_known_without_decoding(studio: Any, tmp_path: Path) -> None:
    """Labels drawn on stored pictures do not fit; so whoever lists a data set can say how they are turned."""
    turned = Image.Exif()
    turned[0x0112] = 8
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.jpg", exif=turned)

    video = Video(name="v", stems=("a",), frame_paths=(tmp_path / "a.jpg",))
    assert str(frame_turn(video, 0)) == "turned by 90 degrees counterclockwise"
    clip = video_of(studio.write("a.mp4", pictures=2, turn=180))
    assert str(frame_turn(clip, 1)) == "turned by 180 degrees"


def test_sizes_are_known_without_decoding(studio: Any, tmp_path: Path) -> None:
    """The size of a picture is its own, that of a video file's frames is the upright one."""
    assert frame_size(pictures(tmp_path, [(4, 6), (5, 7)]), 1) == (5, 7)
    assert frame_size(video_of(studio.write("a.mp4", pictures=2, turn=90)), 1) == (160, 96)
