"""Tests of jobs/usable_data.py: what is broken costs itself, and the rest is labelled."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from warprefine import open_dataset
from warprefine.cluster.processes import ProcessEngine
from warprefine.core.errors import FrameError, LabelError, WarpRefineError
from warprefine.core.video import Dataset
from warprefine.jobs.usable_data import sound_videos, without
from warprefine.jobs.video_check import VideoCheck
from warprefine.motion import MOTIONS

MOTION = MOTIONS["dis-ultrafast"]()


def sound(data: Path, *, within: int, **options: Any) -> tuple[Dataset, dict[str, str]]:
    """Check the data set in a folder."""
    dataset = open_dataset(data)
    check = VideoCheck(classes=dataset.classes, motion=MOTION)
    return sound_videos(dataset, check, within=within, **options)


def spoil(picture: Path) -> None:
    """Cut a file in the middle."""
    content = picture.read_bytes()
    picture.write_bytes(content[: len(content) // 2])


def test_a_damaged_frame_costs_only_itself(data: Path) -> None:
    """The message names the picture; its video stays, and so do the others."""
    spoil(data / "videos/street-000/frames/000005.jpg")

    dataset, failures = sound(data, within=3)

    assert [(video.name, set(video.damaged)) for video in dataset.videos] == [
        ("street-000", {5}),
        ("street-001", set()),
    ]
    assert 5 not in dataset.videos[0].truth
    assert list(failures) == ["street-000/frames/000005"]
    assert "frames/000005.jpg: " in failures["street-000/frames/000005"]
    assert "copy or export it again" in failures["street-000/frames/000005"]


def test_neighbouring_damaged_frames_are_told_in_a_line(data: Path) -> None:
    """The keys of failures are enough to know the damaged frames again."""
    for number in (0, 1, 5):
        spoil(data / f"videos/street-000/frames/{number:06d}.jpg")

    dataset, failures = sound(data, within=3)

    assert list(failures) == ["street-000/frames/000000 to 000001", "street-000/frames/000005"]
    assert failures["street-000/frames/000000 to 000001"].endswith(
        "(2 frames, 000000 to 000001, cannot be read)"
    )
    assert dataset.videos[0].stretches == (range(2, 5), range(6, 7))
    assert without(open_dataset(data), failures).videos == dataset.videos


def test_a_video_whose_key_frames_are_all_damaged_is_left_out(data: Path) -> None:
    """Without the picture a label map is of no use; the other video stays."""
    spoil(data / "videos/street-000/frames/000003.jpg")

    dataset, failures = sound(data, within=3)

    assert [video.name for video in dataset.videos] == ["street-001"]
    assert list(failures) == ["street-000"]
    assert "frames/000003.jpg: " in failures["street-000"]


def test_frames_of_two_sizes_are_no_damage(data: Path) -> None:
    """They are two videos in one folder, which only their owner can tell apart."""
    picture = data / "videos/street-000/frames/000005.jpg"
    with Image.open(picture) as opened:
        opened.resize((80, 64)).save(picture)

    _, failures = sound(data, within=3)

    assert list(failures) == ["street-000"]
    assert "a video has one size" in failures["street-000"]


def test_labels_and_truth_are_opened_too(data: Path) -> None:
    """A broken label map costs its video, found before anything is trained; broken truth only itself."""
    spoil(data / "videos/street-000/truth/000006.png")
    spoil(data / "videos/street-001/labels/000003.png")

    dataset, failures = sound(data, within=1)

    assert list(failures) == ["street-000/000006", "street-001"]
    assert "truth/000006.png" in failures["street-000/000006"]
    (video,) = dataset.videos
    assert 6 not in video.truth
    assert len(video.truth) > 1


@pytest.mark.parametrize("place", ["frames", "frames/000005.jpg"])
def test_a_disk_that_fails_is_no_video_s_fault(
    data: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks would be trained without the video, and stay so when the disk is well again."""
    refused = data / "videos/street-001" / place
    iterdir, open_file = Path.iterdir, Image.open

    def refuse(path: Path) -> None:
        if path == refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(Path, "iterdir", lambda path: refuse(path) or iterdir(path))
    monkeypatch.setattr(Image, "open", lambda path, **options: refuse(path) or open_file(path, **options))

    with pytest.raises(WarpRefineError, match=rf"cannot read .*{place}: Input/output error"):
        sound(data, within=3)


def test_frames_that_nobody_needs_may_be_broken(data: Path) -> None:
    """Frames beyond the horizon are not opened."""
    spoil(data / "videos/street-000/frames/000005.jpg")

    _, failures = sound(data, within=1)

    assert failures == {}


def test_videos_without_labels_are_put_aside(data: Path) -> None:
    """They cannot be labelled, so their frames may be as broken as they like; that is no failure."""
    shutil.rmtree(data / "videos/street-000/labels")
    spoil(data / "videos/street-000/frames/000003.jpg")

    dataset, failures = sound(data, within=3)

    assert [video.name for video in dataset.videos] == ["street-001"]
    assert failures == {}


def test_the_only_video_breaks_the_job(data: Path) -> None:
    """With nothing left to label, the problem is raised as it is."""
    shutil.rmtree(data / "videos/street-001")
    spoil(data / "videos/street-000/labels/000003.png")

    with pytest.raises(LabelError, match=r"labels/000003\.png: .*it may be cut short$"):
        sound(data, within=3)


def test_if_all_videos_are_broken_the_first_problem_leads_to_the_others(data: Path) -> None:
    """The message names one file and the command that lists the rest."""
    for video in ("street-000", "street-001"):
        spoil(data / "videos" / video / "frames/000003.jpg")

    message = (
        r"street-000/frames/000003\.jpg: .* \(all 2 videos are broken: `warprefine inspect .* --check` lists"
    )
    with pytest.raises(FrameError, match=message):
        sound(data, within=3)


def test_frames_too_small_for_motion_are_reported_with_the_name_of_their_video(data: Path) -> None:
    """What would fail after the training fails before it."""
    shutil.rmtree(data / "videos/street-001")
    for picture in [*data.rglob("*.jpg"), *data.rglob("*.png")]:
        with Image.open(picture) as opened:
            opened.resize((20, 16), Image.Resampling.NEAREST).save(picture)

    with pytest.raises(
        FrameError, match=r"video 'street-000': frames are 16 x 20 pixels .* use larger frames"
    ):
        sound(data, within=3)


def test_checking_reports_progress(tiny_data: Path) -> None:
    """Progress counts the frames that are needed, and arrives."""
    reports: list[tuple[Any, ...]] = []

    sound(tiny_data, within=2, progress=lambda *report, **more: reports.append(report))

    assert reports == [
        ("checking frames", 5, 10, "street-000"),
        ("checking frames", 10, 10, "street-001"),
    ]


def test_without_leaves_out_by_name(tiny_data: Path) -> None:
    """Failures name the videos to leave out."""
    dataset = without(open_dataset(tiny_data), {"street-000": "broken"})

    assert [video.name for video in dataset.videos] == ["street-001"]


def test_of_all_broken_videos_each_is_counted_once(data: Path) -> None:
    """What else is wrong with them, such as a damaged frame, is no further video."""
    for video in ("street-000", "street-001"):
        spoil(data / "videos" / video / "frames/000005.jpg")
        spoil(data / "videos" / video / "labels/000003.png")

    with pytest.raises(LabelError, match=r"street-000/labels/000003\.png: .* \(all 2 videos are broken"):
        sound(data, within=3)


def test_other_processes_find_the_same(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is told word for word as here."""
    spoil(data / "videos/street-000/frames/000005.jpg")
    spoil(next((data / "videos/street-001/labels").iterdir()))
    monkeypatch.setattr("warprefine.core.engine.WORTH_WORKERS", 1)
    here, told = sound(data, within=3)

    with ProcessEngine(workers=2) as engine:
        dataset, failures = sound(data, within=3, engine=engine)

    assert failures == told
    assert {"street-000/frames/000005", "street-001"} <= failures.keys()
    assert [(video.name, video.damaged) for video in dataset.videos] == [
        (video.name, video.damaged) for video in here.videos
    ]
