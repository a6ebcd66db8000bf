"""Tests of jobs/extract_frames.py: frames of a video file lie under the numbers that label maps have."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from warprefine.core.errors import FrameError, RunFolderError
from warprefine.core.video import Video
from warprefine.io.atomic import draft_of
from warprefine.io.frames import frame_stems, open_frames
from warprefine.io.images import read_frame
from warprefine.jobs.extract_frames import extract_frames


def write_video(path: Path, *, frames: int = 7, brightest: int = 200) -> Path:
    """Write a video whose frames are grey, each brighter than the one before."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for number in range(frames):
            picture = np.full((32, 48, 3), number * brightest // frames, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_frames_lie_under_their_decode_indices(tmp_path: Path) -> None:
    """The first is 000000, and each is the frame that is read under its number."""
    path = write_video(tmp_path / "drive.mp4")
    reports: list[tuple[int, int]] = []

    count = extract_frames(
        path, tmp_path / "out", progress=lambda task, done, total, note="": reports.append((done, total))
    )

    assert count == 7
    assert sorted(entry.name for entry in (tmp_path / "out").glob("[!.]*")) == [
        f"00000{n}.png" for n in range(7)
    ]
    with open_frames(Video(name="drive", stems=frame_stems(path), container=path)) as frames:
        for number in range(7):
            assert torch.equal(read_frame(tmp_path / f"out/00000{number}.png"), frames[number])
    assert reports == [(done, 7) for done in range(1, 8)]


def test_every_third_frame_keeps_its_number(tmp_path: Path) -> None:
    """Numbers are those of the video, not of the files."""
    assert extract_frames(write_video(tmp_path / "drive.mp4"), tmp_path / "out", every=3) == 3

    assert sorted(path.stem for path in (tmp_path / "out").glob("[!.]*")) == ["000000", "000003", "000006"]


def test_an_interrupted_call_goes_on(tmp_path: Path) -> None:
    """Frames that are there are kept, and drafts of killed calls are removed."""
    path, out = write_video(tmp_path / "drive.mp4"), tmp_path / "out"
    extract_frames(path, out, every=3)
    kept = (out / "000003.png").stat().st_mtime_ns
    draft = draft_of(out / "000004.png")
    draft.touch()

    extract_frames(path, out)

    assert len(list(out.glob("*.png"))) == 7
    assert (out / "000003.png").stat().st_mtime_ns == kept
    assert not draft.exists()


def test_frames_of_two_videos_are_not_mixed(tmp_path: Path) -> None:
    """A folder belongs to one video; files that are none of ours are left alone."""
    extract_frames(write_video(tmp_path / "drive.mp4"), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/000000.png").touch()

    with pytest.raises(RunFolderError, match=r"holds a set of frames with content = .*choose another --out"):
        extract_frames(write_video(tmp_path / "walk.mp4", frames=3), tmp_path / "out")
    with pytest.raises(
        RunFolderError, match=r"mine holds other files \(000000\.png\); expected an empty folder"
    ):
        extract_frames(tmp_path / "drive.mp4", tmp_path / "mine")


def test_another_video_of_the_same_name_and_length_is_another_video(tmp_path: Path) -> None:
    """Pictures that are there already are none of its frames."""
    video = write_video(tmp_path / "drive.mp4")
    other = write_video(tmp_path / "other.mp4", brightest=100)
    longest = max(video.stat().st_size, other.stat().st_size) + 8
    for path in (video, other):
        room = longest - path.stat().st_size
        path.write_bytes(path.read_bytes() + room.to_bytes(4, "big") + b"free" + bytes(room - 8))
    extract_frames(video, tmp_path / "again", every=3)
    other.replace(video)

    with pytest.raises(RunFolderError, match=r"again holds a set of frames with content = "):
        extract_frames(video, tmp_path / "again")


def test_what_is_no_video_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """A folder of pictures needs no extraction."""
    (tmp_path / "text.mp4").write_text("no video")

    with pytest.raises(FrameError, match="is no video file; expected one"):
        extract_frames(tmp_path, tmp_path / "out")
    with pytest.raises(FrameError, match=r"text\.mp4"):
        extract_frames(tmp_path / "text.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()
