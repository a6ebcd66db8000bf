"""Tests of datasets/folder.py: the native layout, and the errors when a folder has another one."""

from __future__ import annotations

import errno
import unicodedata
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, FrameError, KeyFrameError
from warprefine.datasets.class_file import write_classes
from warprefine.datasets.folder import read_folder

CLASSES = ClassSet(names=("road", "car"), colors=((1, 2, 3), (4, 5, 6)))


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_video(path: Path, frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for _ in range(frames):
            picture = np.zeros((32, 48, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a data set of one video of three frames, whose files hold nothing."""
    write_classes(tmp_path / "classes.toml", CLASSES)
    touch(*(tmp_path / "videos" / "drive" / "frames" / f"{number}.jpg" for number in (2, 10, 1)))
    return tmp_path


def test_pictures_labels_and_truth_are_found(root: Path) -> None:
    """A video has its frames in order, its key frames by number, and the truth apart; nothing is opened."""
    touch(root / "videos/drive/labels/2.png", root / "videos/drive/truth/10.png")

    dataset = read_folder(root, "train")

    (video,) = dataset.videos
    assert dataset.root == root
    assert dataset.classes == CLASSES
    assert video.name == "drive"
    assert list(video.stems) == ["1", "2", "10"]
    assert video.frame_paths[2] == root / "videos/drive/frames/10.jpg"
    assert dict(video.labels) == {1: root / "videos/drive/labels/2.png"}
    assert dict(video.truth) == {2: root / "videos/drive/truth/10.png"}


def test_a_video_file_is_a_video(root: Path) -> None:
    """The frames of a video file are counted, and its labels are named by six digits."""
    write_video(root / "videos" / "robot.mp4", frames=7)
    touch(root / "videos/robot/labels/000004.png")

    drive, robot = read_folder(root, "train").videos

    assert drive.container is None
    assert robot.name == "robot"
    assert robot.container == root / "videos" / "robot.mp4"
    assert list(robot.stems) == [f"00000{number}" for number in range(7)]
    assert dict(robot.labels) == {4: root / "videos/robot/labels/000004.png"}


def test_a_video_file_needs_no_folder(root: Path) -> None:
    """A video file without labels is a video too."""
    write_video(root / "videos" / "robot.MP4", frames=2)

    assert [video.name for video in read_folder(root, "train").videos] == ["drive", "robot"]


def test_clutter_is_passed_over(root: Path) -> None:
    """Hidden files and notes between the videos are no videos."""
    touch(root / "videos/.DS_Store", root / "videos/notes.txt", root / "videos/.cache/frames/1.jpg")

    assert [video.name for video in read_folder(root, "train").videos] == ["drive"]


def test_what_is_passed_over_is_noted(root: Path) -> None:
    """Unknown endings, pictures beside videos, folders of other names: nothing is dropped in silence."""
    touch(root / "videos/b.xyz", root / "videos/0001.png", root / "videos/__MACOSX/drive/1.jpg")
    touch(root / "videos/drive/masks/1.png", root / "videos/drive/frames/3.heic")
    touch(root / "videos/drive/labels/1.json", root / "videos/drive/@eaDir/1.jpg")

    dataset = read_folder(root, "train")

    assert [video.name for video in dataset.videos] == ["drive"]
    (note,) = dataset.notes
    assert note.startswith(f"not read, 5 in {root / 'videos'}: ")
    for name in ("0001.png", "b.xyz", "drive/masks", "drive/frames/3.heic", "drive/labels/1.json"):
        assert name in note
    assert "and label maps as PNG in NAME/labels" in note


def test_an_order_that_names_do_not_settle_is_noted(root: Path) -> None:
    """The first names of each kind are shown."""
    touch(root / "videos/drive/frames/take2_1.jpg")

    (note,) = read_folder(root, "train").notes

    assert "the order of frames is not certain: drive (names of 2 kinds, such as 1 and take2_1); exp" in note


@pytest.mark.parametrize("ending", [".mxf", ".vob", ".dav", ".MTS"])
def test_video_files_of_recorders_are_videos(root: Path, ending: str) -> None:
    """What a file is, its content says; the ending only has to be one of a video."""
    write_video(root / "videos/robot.mp4", frames=2)
    (root / "videos/robot.mp4").rename(root / f"videos/robot{ending}")

    assert [video.name for video in read_folder(root, "train").videos] == ["drive", "robot"]


def test_a_video_file_and_its_labels_match_in_any_unicode_form(root: Path) -> None:
    """A folder that went through a Mac has another spelling of é than the file beside it."""
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_video(root / f"videos/{composed}.mp4", frames=2)
    touch(root / f"videos/{decomposed}/labels/000001.png")

    videos = {video.name: video for video in read_folder(root, "train").videos}

    assert len(videos) == 2
    (robot,) = (video for name, video in videos.items() if name != "drive")
    assert robot.key_frames == (1,)


def test_videos_come_in_natural_order(root: Path) -> None:
    """Video 9 comes before video 10, be they folders or files."""
    touch(root / "videos/v10/frames/1.png", root / "videos/v9/frames/1.png")

    assert [video.name for video in read_folder(root, "train").videos] == ["drive", "v9", "v10"]


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    """A wrong path is reported with what was expected there."""
    with pytest.raises(
        DatasetError, match=r"gone does not exist, expected a data set folder with classes\.toml"
    ):
        read_folder(tmp_path / "gone", "train")


def test_a_folder_without_classes_is_refused(root: Path) -> None:
    """A folder without classes.toml is no data set."""
    (root / "classes.toml").unlink()

    with pytest.raises(DatasetError, match=r"there is no .*classes\.toml"):
        read_folder(root, "train")


def test_a_folder_without_a_videos_folder_is_refused(tmp_path: Path) -> None:
    """Frames that lie beside classes.toml are not found, and the message names their place."""
    write_classes(tmp_path / "classes.toml", CLASSES)
    touch(tmp_path / "frames" / "1.jpg")

    with pytest.raises(
        DatasetError, match=r"videos does not exist, expected one folder or video file .*frames"
    ):
        read_folder(tmp_path, "train")


def test_no_videos_are_refused(tmp_path: Path) -> None:
    """An empty videos folder is reported as such."""
    write_classes(tmp_path / "classes.toml", CLASSES)
    touch(tmp_path / "videos" / "notes.txt")

    with pytest.raises(
        DatasetError, match=r"videos holds no videos; expected NAME/frames .* such as NAME\.mp4"
    ):
        read_folder(tmp_path, "train")


def test_a_video_without_frames_is_refused(root: Path) -> None:
    """Labels alone are no video; the other videos are read all the same."""
    touch(root / "videos/robot/labels/000001.png")

    dataset = read_folder(root, "train")

    assert [video.name for video in dataset.videos] == ["drive"]
    with pytest.raises(
        DatasetError,
        match=r"robot has no frames; expected pictures in .*frames, or a video .*; found labels",
    ):
        raise dataset.broken["robot"]


@pytest.mark.parametrize("second", ["drive.mp4", "drive.avi"])
def test_frames_from_two_sources_are_refused(root: Path, second: str) -> None:
    """A video has a folder of pictures or one video file, not both: their frames may differ."""
    touch(root / "videos" / second)

    with pytest.raises(
        DatasetError, match=rf"drive has its frames twice: .*frames, .*{second}; keep one of them"
    ):
        read_folder(root, "train")


def test_a_key_frame_without_a_frame_is_refused(root: Path) -> None:
    """A label map of no frame stops the reading, in labels and in truth."""
    touch(root / "videos/drive/truth/11.png")

    with pytest.raises(KeyFrameError, match=r"truth without a frame: .*11\.png"):
        read_folder(root, "train")


def test_a_broken_video_file_is_named(root: Path) -> None:
    """A video file that cannot be counted is reported by name; the other videos are still read."""
    touch(root / "videos" / "robot.mp4")

    dataset = read_folder(root, "train")

    assert [video.name for video in dataset.videos] == ["drive"]
    with pytest.raises(FrameError, match=r"cannot read .*robot\.mp4"):
        raise dataset.broken["robot"]


def test_a_folder_that_may_not_be_read_is_a_broken_video(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other videos are read."""
    touch(root / "videos/robot/frames/1.png")
    closed, listed = root / "videos/robot/frames", Path.iterdir

    def refuse(self: Path) -> Any:
        if self == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    dataset = read_folder(root, "train")

    assert list(dataset.broken) == ["robot"]
    assert "cannot read" in str(dataset.broken["robot"])


def test_a_data_set_of_broken_videos_only_is_refused(root: Path) -> None:
    """Where no video can be read, the error of the first is raised."""
    (root / "videos" / "drive").rename(root / "elsewhere")
    touch(root / "videos" / "robot.mp4")

    with pytest.raises(FrameError, match=r"cannot read .*robot\.mp4"):
        read_folder(root, "train")
