"""Tests of propagation/joint.py: pictures are carried exactly as labels are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warprefine.io.images import read_frame
from warprefine.io.run import RunFolder
from warprefine.propagation.joint import carry_pictures, joint_path


@pytest.fixture
def run(tmp_path: Any) -> RunFolder:
    """An empty run folder."""
    return RunFolder(tmp_path / "run")


def carried(run: RunFolder, video: Any, frame: int) -> torch.Tensor:
    return read_frame(joint_path(run, video.name, video.stems[frame]))


def test_a_carried_picture_shows_the_key_frame_where_it_has_moved_to(drive: Any, run: RunFolder) -> None:
    """Where the wall of the key frame is still in view, the carried picture equals the real frame."""
    video = drive.video([1])
    carry_pictures(run, drive.dataset(video), drive.models(), offsets=(2,))

    seen = drive.in_view([1, 2], 3).expand(3, -1, -1)
    assert torch.equal(carried(run, video, 3)[0][seen], drive.frame(3)[0][seen])
    assert not torch.equal(carried(run, video, 3), drive.frame(3))


def test_only_the_frames_asked_for_are_written(drive: Any, run: RunFolder) -> None:
    """Of the frames 0 to 3 around key frame 1, those at distance 1 are 0 and 2."""
    video = drive.video([1])
    carry_pictures(run, drive.dataset(video), drive.models(), offsets=(1,))

    written = sorted(path.stem for path in (run.root / "joint" / video.name).iterdir())
    assert written == [video.stems[0], video.stems[2]]


def test_pictures_are_carried_once(drive: Any, run: RunFolder) -> None:
    """A second call leaves the files alone; one that is missing is made again."""
    video = drive.video([1])
    models = drive.models()
    carry_pictures(run, drive.dataset(video), models, offsets=(1, 2))
    path = joint_path(run, video.name, video.stems[2])
    before = path.stat().st_mtime_ns
    carry_pictures(run, drive.dataset(video), models, offsets=(1, 2))
    assert path.stat().st_mtime_ns == before

    path.unlink()
    carry_pictures(run, drive.dataset(video), models, offsets=(1, 2))
    assert path.exists()
