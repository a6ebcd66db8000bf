"""Tests of jobs/convert_nyuv2.py: clips of NYU-Depth V2 around the labelled frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.errors import DatasetError, FrameError, RunFolderError
from warprefine.core.tensors import Frames
from warprefine.datasets.nyuv2 import NYUV2_CLASSES, read_nyuv2
from warprefine.datasets.nyuv2_mat import open_labelled_frames
from warprefine.io.images import read_frame, read_labels
from warprefine.jobs.convert_nyuv2 import ClipSettings, convert_nyuv2

H, W = 24, 32
UNCUT = ClipSettings(border=0, as_they_are=True)


@pytest.fixture
def source(nyuv2: Callable[..., Path], tmp_path: Path) -> Path:
    """Return the files of NYU-Depth V2 in small; its kitchen is labelled at 1000 s and 1010 s."""
    return nyuv2(tmp_path / "nyuv2", h=H, w=W)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return ten frames a second of the kitchen from 998 s to 1012 s; the brightness encodes the time."""
    folder = tmp_path / "raw/kitchen_0004"
    folder.mkdir(parents=True)
    for tenth in range(9980, 10121):
        picture = Image.new("RGB", (W, H), (tenth - 9980,) * 3)
        picture.save(folder / f"r-{tenth / 10:.6f}-{tenth}.ppm")
    return tmp_path / "raw"


def raw_frame(raw: Path, seconds: float) -> Path:
    return raw / f"kitchen_0004/r-{seconds:.6f}-{round(10 * seconds)}.ppm"


def seconds_of(path: Path) -> float:
    return round(998 + read_frame(path).float().mean().item() / 10, 1)


def test_a_training_clip_surrounds_its_labelled_frame(source: Path, raw: Path, tmp_path: Path) -> None:
    """Two frames a second on either side, by the time of the labelled one, as far as there are any."""
    notes = convert_nyuv2(source, tmp_path / "out", raw=raw, clips=UNCUT)

    first, second = read_nyuv2(tmp_path / "out", "train").videos
    assert (first.name, second.name) == ("kitchen_0004-0001", "kitchen_0004-0002")
    assert (len(first), first.key_frames) == (4 + 1 + 10, (4,))
    assert (len(second), second.key_frames) == (10 + 1 + 4, (10,))
    seconds = [seconds_of(path) for path in second.frame_paths]
    assert seconds[:10] == [1005 + 0.5 * step for step in range(10)]
    assert seconds[11:] == [1010.5, 1011, 1011.5, 1012]
    assert notes == ()


def test_the_labelled_frame_comes_from_the_labelled_data(source: Path, raw: Path, tmp_path: Path) -> None:
    """Its picture and labels are those of the .mat file, without the white border."""
    convert_nyuv2(source, tmp_path / "out", raw=raw, clips=ClipSettings(border=3))

    clip = read_nyuv2(tmp_path / "out", "train").videos[1]
    with open_labelled_frames(source) as pictures:
        frame, labels = pictures.frame(1), pictures.labels(1)
    read = read_frame(clip.frame_paths[10])
    assert read.shape == (1, 3, H - 6, W - 6)
    assert (read.float() - frame[..., 3:-3, 3:-3].float()).abs().mean() < 4
    assert torch.equal(read_labels(clip.labels[10], NYUV2_CLASSES), labels[..., 3:-3, 3:-3])


def test_test_frames_are_alone(source: Path, raw: Path, tmp_path: Path) -> None:
    """Even where their scene has raw frames."""
    (raw / "kitchen_0004").rename(raw / "bedroom_0001")

    convert_nyuv2(source, tmp_path / "out", raw=raw)

    (video,) = read_nyuv2(tmp_path / "out", "test").videos
    assert (video.name, len(video), video.key_frames) == ("bedroom_0001-0003", 1, (0,))


@pytest.mark.parametrize("straight", [True, False])
def test_raw_frames_are_straightened_like_the_labelled_ones(
    source: Path,
    raw: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    straight: bool,
) -> None:
    """Only raw ones, and only unless asked to leave them; with them all frames keep their size."""
    straightened = []

    def invert(frame: Frames) -> Frames:
        straightened.append(frame)
        return 255 - frame

    monkeypatch.setattr("warprefine.jobs.convert_nyuv2.undistorted", invert)
    convert_nyuv2(source, tmp_path / "out", raw=raw, clips=ClipSettings(border=2, as_they_are=not straight))

    clip = read_nyuv2(tmp_path / "out", "train").videos[1]
    assert (read_frame(clip.frame_paths[9]).float().mean().item() > 127) is straight
    assert bool(straightened) is straight
    assert {read_frame(path).shape[-2:] for path in clip.frame_paths} == {(H - 4, W - 4)}


def test_rate_and_reach_can_be_chosen(source: Path, raw: Path, tmp_path: Path) -> None:
    """Three frames on either side, five a second."""
    convert_nyuv2(
        source, tmp_path / "out", raw=raw, clips=ClipSettings(fps=5.0, reach=3, border=0, as_they_are=True)
    )

    clip = read_nyuv2(tmp_path / "out", "train").videos[1]
    seconds = [seconds_of(path) for path in clip.frame_paths]
    assert seconds[:3] + seconds[4:] == [1009.4, 1009.6, 1009.8, 1010.2, 1010.4, 1010.6]


def test_a_damaged_raw_frame_ends_the_clip(source: Path, raw: Path, tmp_path: Path) -> None:
    """The published raw data have files that are cut short; each is reported."""
    path = raw_frame(raw, 1009)
    path.write_bytes(path.read_bytes()[:50])

    (note,) = convert_nyuv2(source, tmp_path / "out", raw=raw, clips=ClipSettings(reach=4))

    assert note.startswith("a clip ends before a damaged raw frame: cannot read")
    clip = read_nyuv2(tmp_path / "out", "train").videos[1]
    assert (len(clip), clip.key_frames) == (1 + 1 + 4, (1,))


def test_a_scene_without_raw_frames_is_told(source: Path, raw: Path, tmp_path: Path) -> None:
    """Its clips are single frames; without any raw videos all are."""
    (raw / "kitchen_0004").rename(raw / "kitchen_0005")

    (some,) = convert_nyuv2(source, tmp_path / "some", raw=raw)
    (none,) = convert_nyuv2(source, tmp_path / "none")

    assert some.startswith("1 of 1 scenes for training have no folder in")
    assert some.endswith("are the labelled frame alone: kitchen_0004")
    assert none.startswith("no raw videos were given (--raw)")
    for folder in ("some", "none"):
        assert [len(video) for video in read_nyuv2(tmp_path / folder, "train").videos] == [1, 1]


def test_a_conversion_goes_on_where_it_stopped(source: Path, raw: Path, tmp_path: Path) -> None:
    """Finished clips are kept, the rest is written, and until then there is no split."""
    out = tmp_path / "out"

    def stop(task: str, done: int, total: int, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_nyuv2(source, out, raw=raw, progress=stop)
    with pytest.raises(DatasetError, match=r"no finished split 'train'"):
        read_nyuv2(out, "train")
    (finished,) = (out / "train/videos").iterdir()
    before = (finished / "frames/000000.jpg").stat().st_mtime_ns
    heard = []
    convert_nyuv2(
        source, out, raw=raw, progress=lambda task, done, total, note="": heard.append((done, total))
    )

    assert len(read_nyuv2(out, "train").videos) == 2
    assert (finished / "frames/000000.jpg").stat().st_mtime_ns == before
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_other_settings_need_another_folder(source: Path, raw: Path, tmp_path: Path) -> None:
    """Clips of two rates in one data set would be no help to anyone."""
    convert_nyuv2(source, tmp_path / "out", raw=raw)

    with pytest.raises(
        RunFolderError, match=r"holds a conversion with fps = 2\.0, but this command says 4\.0"
    ):
        convert_nyuv2(source, tmp_path / "out", raw=raw, clips=ClipSettings(fps=4.0))
    with pytest.raises(
        RunFolderError, match=r"holds a conversion with raw = True, but this command says False"
    ):
        convert_nyuv2(source, tmp_path / "out")


@pytest.mark.parametrize("settings", [{"fps": 0.0}, {"fps": float("nan")}, {"reach": -1}, {"border": -1}])
def test_clips_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    """A rate above 0, and no negative numbers."""
    with pytest.raises(DatasetError, match=r"clips of .*; expected a rate above 0 and no negative numbers"):
        ClipSettings(**settings)  # type: ignore[arg-type]


def test_sizes_that_do_not_fit_are_told(source: Path, raw: Path, tmp_path: Path) -> None:
    """A border that leaves nothing, raw frames of another size, a raw folder that is not there."""
    with pytest.raises(FrameError, match=r"a border of 12 pixels leaves nothing of a picture of 24 x 32"):
        convert_nyuv2(source, tmp_path / "a", clips=ClipSettings(border=12))
    Image.fromarray(np.zeros((W, H, 3), np.uint8)).save(raw_frame(raw, 1000.5))
    with pytest.raises(
        FrameError, match=r"1000\.5.*ppm is 32 x 24 \(h x w\), but the labelled frame is 24 x 32"
    ):
        convert_nyuv2(source, tmp_path / "b", raw=raw)
    with pytest.raises(DatasetError, match=r"gone does not exist, expected the raw videos of NYU-Depth V2"):
        convert_nyuv2(source, tmp_path / "c", raw=tmp_path / "gone")
