"""Tests of jobs/checked_videos.py: files are opened once, and again as soon as one of them has changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warprefine import open_dataset
from warprefine.core.errors import FrameError
from warprefine.core.video import Dataset
from warprefine.io import pictures
from warprefine.io.run import RunFolder
from warprefine.jobs import checked_videos
from warprefine.jobs.checked_videos import CheckedVideos
from warprefine.jobs.cut_guard import CutGuard, continuity_of
from warprefine.jobs.usable_data import sound_videos
from warprefine.jobs.video_check import VideoCheck
from warprefine.motion import MOTIONS

FRAMES = [f"frames/{k:06d}.jpg" for k in range(7)]


class Starts:
    """Checks a data set as the start of a run does, and notes which of its pictures are opened."""

    def __init__(self, data: Path, run: RunFolder, opened: set[Path]) -> None:
        self.data, self.run, self._opened = data, run, opened

    def __call__(
        self, *, within: int = 3, sensitivity: float | None = 1.0, motion: str = "dis-ultrafast"
    ) -> tuple[Dataset, dict[str, str]]:
        """Return what is sound and what is not."""
        dataset = open_dataset(self.data)
        self._opened.clear()
        guard = None if sensitivity is None else CutGuard(self.run, sensitivity=sensitivity)
        checked = CheckedVideos(self.run.cache / "checked")
        check = VideoCheck(classes=dataset.classes, motion=MOTIONS[motion](), guard=guard, checked=checked)
        found = sound_videos(dataset, check, within=within)
        if guard is not None:
            guard.record()
        return found

    @property
    def opened(self) -> set[str]:
        """The pictures that the last start opened, as VIDEO/PATH."""
        root = self.data / "videos"
        return {path.relative_to(root).as_posix() for path in self._opened if path.is_relative_to(root)}

    @property
    def videos(self) -> set[str]:
        """The videos whose pictures the last start opened."""
        return {name.split("/")[0] for name in self.opened}


@pytest.fixture
def start(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starts:
    """Starts of a run on data that nobody has just changed, as far as the clock can tell."""
    monkeypatch.setattr(checked_videos, "SETTLED_S", -1e9)
    opened: set[Path] = set()
    check_file = pictures.check_file

    def noted(path: Path, **options: Any) -> Path:
        opened.add(path)
        return check_file(path, **options)

    monkeypatch.setattr(pictures, "check_file", noted)
    return Starts(data, RunFolder(tmp_path / "run"), opened)


def test_files_that_did_not_change_are_not_opened_again(start: Starts) -> None:
    """The first start opens all of them, the second none, and finds the same."""
    first = start()
    assert {f"street-000/{name}" for name in FRAMES} < start.opened
    assert {"street-001/labels/000003.png", "street-001/truth/000006.png"} < start.opened
    recorded = continuity_of(start.run)

    assert start() == first
    assert start.opened == set()
    assert continuity_of(start.run) == recorded


def test_a_changed_file_of_the_same_size_is_noticed(start: Starts) -> None:
    """Also where it has its old time of modification; the other video is not opened."""
    start()
    frame = start.data / "videos/street-000" / FRAMES[5]
    before, content = frame.stat(), bytearray(frame.read_bytes())
    content[:2] = b"\0\0"  # no JPEG any more
    with frame.open("r+b") as file:  # the same inode
        file.write(content)
    os.utime(frame, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = frame.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    )

    _, failures = start()

    assert list(failures) == ["street-000/frames/000005"]
    assert start.videos == {"street-000"}


def test_a_file_that_was_exchanged_is_noticed(start: Starts) -> None:
    """A label map that a copy with all its times has replaced; that of another video tells the same."""
    start()
    labels = start.data / "videos/street-001/labels/000003.png"
    shutil.copy2(labels, labels.with_name("copy"))
    labels.with_name("copy").replace(labels)

    start()

    assert start.videos == {"street-001"}


def test_what_has_just_changed_is_not_believed(start: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a file system ticks: two changes within a tick cannot be told apart."""
    monkeypatch.setattr(checked_videos, "SETTLED_S", 3600)
    start()

    start()

    assert start.videos == {"street-000", "street-001"}
    assert not (start.run.cache / "checked").exists()


@pytest.mark.parametrize(
    "settings", [{"within": 1}, {"sensitivity": 0.5}, {"sensitivity": None}, {"motion": "dis-fast"}]
)
def test_other_settings_are_another_check(start: Starts, settings: dict[str, Any]) -> None:
    """What was found for others is kept beside it."""
    start()

    start(**settings)
    assert start.videos == {"street-000", "street-001"}

    start()
    assert start.opened == set()


def test_other_classes_are_another_check(start: Starts) -> None:
    """A label map that was right may now hold a number that is no class."""
    start()
    table = start.data / "classes.toml"
    text = table.read_text(encoding="utf-8")
    table.write_text(re.sub(r"color = .*", "color = [1, 2, 3]", text, count=1), encoding="utf-8")
    assert table.read_text(encoding="utf-8") != text

    start()

    assert start.videos == {"street-000", "street-001"}


def test_a_video_that_grows_is_checked_again(start: Starts) -> None:
    """It has one frame more, which no key frame needs; the verdict is on all files of a video."""
    start()
    frames = start.data / "videos/street-000/frames"
    shutil.copy(frames / "000000.jpg", frames / "000007.jpg")

    start()

    assert start.videos == {"street-000"}


def test_what_is_broken_is_opened_each_time(start: Starts) -> None:
    """And nothing else: permissions and disks may be mended without a change of the file."""
    frame = start.data / "videos/street-000" / FRAMES[5]
    truth = start.data / "videos/street-000/truth/000006.png"
    for path in (frame, truth):
        path.write_bytes(path.read_bytes()[:200])
    first = start()
    assert len(first[1]) == 2

    assert start() == first
    assert start.opened >= {"street-000/frames/000005.jpg", "street-000/truth/000006.png"}
    assert "street-000/frames/000001.jpg" not in start.opened
    assert start.videos == {"street-000"}


def test_what_can_be_read_again_is_checked_as_a_whole(start: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that could not be read for a while is used again, though its file has not changed."""
    use = pictures._used

    def refused(source: Any, path: Path, *rest: Any) -> Any:
        if path.name == "000005.jpg":
            raise FrameError(f"cannot read {path}")
        return use(source, path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_used", refused)
        assert len(start()[1]) == 2

    sound, failures = start()

    assert failures == {}
    assert [video.damaged for video in sound.videos] == [frozenset(), frozenset()]
    start()
    assert start.opened == set()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"\0" * len(content),
        lambda content: b"[]",
        lambda content: json.dumps({**json.loads(content), "damaged": "all"}).encode(),
        lambda content: json.dumps({**json.loads(content), "continuity": {"cuts": ["a"]}}).encode(),
    ],
)
def test_a_damaged_verdict_is_made_again_silently(
    start: Starts, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """It is worth as much as none."""
    first = start()
    verdicts = sorted((start.run.cache / "checked").iterdir())
    whole = [path.read_bytes() for path in verdicts]
    for path in verdicts:
        path.write_bytes(damage(path.read_bytes()))

    assert start() == first
    assert start.videos == {"street-000", "street-001"}
    assert [path.read_bytes() for path in verdicts] == whole
    assert caplog.messages == []


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(start: Starts) -> None:
    """The videos are checked again then."""
    (start.run.cache).mkdir()
    (start.run.cache / "checked").touch()  # nobody, not even root, can write below a file

    first = start()

    assert start() == first
    assert start.videos == {"street-000", "street-001"}


def test_threads_find_the_same(start: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are decoded side by side, and looked at in order."""
    (start.data / "videos/street-001" / FRAMES[1]).write_bytes(b"")
    alone = start()
    shutil.rmtree(start.run.cache / "checked")
    for module in ("jobs.video_check", "datasets.summary"):
        monkeypatch.setattr(f"warprefine.{module}.thread_count", lambda: 3)

    assert start() == alone
    assert list(alone[1]) == ["street-001/frames/000001"]
    assert {f"street-000/{name}" for name in FRAMES} < start.opened
