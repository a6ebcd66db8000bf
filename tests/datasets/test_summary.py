"""Tests of datasets/summary.py: what a data set holds, and every fault of it at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from warprefine.core.classes import ClassSet
from warprefine.core.errors import DatasetError, FrameError, LabelError
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.datasets.camvid import read_camvid
from warprefine.datasets.summary import SAMPLE, check_video, summarise
from warprefine.io.frames import frame_stems
from warprefine.io.images import write_frame, write_labels

CLASSES = ClassSet(names=("road", "car"), colors=((1, 2, 3), (4, 5, 6)))
ONE_MORE = ClassSet(names=("road", "car", "tram"), colors=((1, 2, 3),) * 3)
H, W = 4, 6


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return a video of four frames, two of them key frames, one with truth."""
    frames = [tmp_path / f"frame{number}.png" for number in range(4)]
    for number, path in enumerate(frames):
        write_frame(path, (torch.arange(3 * H * W, dtype=torch.uint8) + number).view(1, 3, H, W))
    labels = torch.zeros(1, H, W, dtype=torch.uint8)
    labels[:, 0] = 1
    labels[:, 1] = VOID
    paths = {number: tmp_path / f"labels{number}.png" for number in (0, 2, 3)}
    for path in paths.values():
        write_labels(path, labels, CLASSES)
    video = Video(
        name="drive",
        stems=[path.stem for path in frames],
        frame_paths=frames,
        labels={0: paths[0], 2: paths[2]},
        truth={3: paths[3]},
    )
    return Dataset(root=tmp_path, classes=CLASSES, videos=(video,))


def test_frames_and_pixels_are_counted(dataset: Dataset) -> None:
    """Key frames, truth and sizes are listed for each video; only key frames count for the classes."""
    summary = summarise(dataset)

    (video,) = summary.videos
    assert (video.name, video.frames, video.key_frames, video.truth_frames) == ("drive", 4, 2, 1)
    assert video.size == (H, W)
    assert video.farthest == 1
    assert summary.pixels == (2 * 2 * W, 2 * W, 2 * W)
    assert summary.frequencies == (0.5, 0.25, 0.25)
    assert summary.counted == 2
    assert summary.problems == ()


def test_a_data_set_without_labels_has_no_frequencies(dataset: Dataset) -> None:
    """Where nothing is labelled every share is zero."""
    bare = replace(dataset.videos[0], labels={}, truth={})

    assert summarise(replace(dataset, videos=(bare,))).frequencies == (0.0, 0.0, 0.0)


def test_a_sound_data_set_has_no_problems(dataset: Dataset) -> None:
    """Opening everything finds nothing where nothing is wrong."""
    assert summarise(dataset, check=True) == summarise(dataset)
    check_video(dataset.videos[0], CLASSES)


def test_a_video_that_is_stored_turned_is_noted(dataset: Dataset) -> None:
    """Label maps are drawn on what players show, which is not what the file holds."""
    path = dataset.videos[0].frame_paths[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (H, W)).save(path, exif=exif)

    assert any(
        "stored turned, and read upright as players show them: drive (turned by 90 degrees clockwise)" in note
        for note in summarise(dataset).notes
    )


@pytest.mark.parametrize(
    ("keys", "farthest"), [((), None), ((0,), 9), ((9,), 9), ((4,), 5), ((0, 9), 4), ((1, 2, 8), 3)], ids=str
)
def test_the_longest_way_to_a_key_frame_is_told(
    dataset: Dataset, keys: tuple[int, ...], farthest: int | None
) -> None:
    """What --horizon has to be for every frame to get labels."""
    (video,) = dataset.videos
    stems = [str(number) for number in range(10)]
    long = replace(
        video,
        stems=stems,
        frame_paths=[video.frame_paths[0]] * 10,
        labels=dict.fromkeys(keys, video.labels[0]),
        truth={},
    )

    (summary,) = summarise(replace(dataset, videos=(long,))).videos

    assert summary.farthest == farthest


def test_frames_that_show_nothing_are_noted(dataset: Dataset) -> None:
    """A picture that reads as one colour was perhaps written in a form that loses it."""
    (video,) = dataset.videos
    write_frame(video.frame_paths[1], torch.full((1, 3, H, W), 29, dtype=torch.uint8))

    notes = summarise(dataset, check=True).notes

    assert any(
        "1 of 4 frames of drive show one colour and nothing else: frame1; look at them" in note
        for note in notes
    )


def test_frames_that_are_all_alike_are_noted(dataset: Dataset) -> None:
    """A video in which nothing ever changes is perhaps one picture, extracted many times."""
    (video,) = dataset.videos
    for path in video.frame_paths[1:]:
        path.write_bytes(video.frame_paths[0].read_bytes())

    notes = summarise(dataset, check=True).notes

    assert any("all 4 frames of drive show the same picture" in note for note in notes)


def test_every_problem_is_told_once(dataset: Dataset) -> None:
    """Damaged frames, labels and truth are all reported, one line each, and the rest is still counted."""
    video = dataset.videos[0]
    Path(video.frame_paths[1]).write_text("no picture")
    write_frame(Path(video.frame_paths[3]), torch.zeros(1, 3, H + 1, W, dtype=torch.uint8))
    write_labels(video.labels[2], torch.full((1, H, W), 2, dtype=torch.uint8), ONE_MORE)

    summary = summarise(dataset, check=True)

    about_labels, about_truth, about_frame, about_size = summary.problems
    assert "labels2.png holds ids that are no class: 2 (24 px)" in about_labels
    assert "labels3.png is 4 x 6 (h x w), but its frame is 5 x 6" in about_truth
    assert "frame1.png is no picture" in about_frame
    assert "frame3.png is 5 x 6" in about_size
    assert summary.pixels == (2 * W, W, W)
    assert summary.counted == 1


def test_a_frame_that_is_gone_is_one_problem(dataset: Dataset) -> None:
    """A missing frame 0 is reported once, and hides no other problem."""
    video = dataset.videos[0]
    Path(video.frame_paths[0]).unlink()
    Path(video.frame_paths[2]).write_text("no picture")

    summary = summarise(dataset, check=True)

    assert summary.videos[0].size is None
    assert len(summary.problems) == 2
    assert "there is no file" in summary.problems[0]
    assert "frame2.png is no picture" in summary.problems[1]


def test_without_checking_problems_are_raised(dataset: Dataset) -> None:
    """A summary that cannot be computed raises the reason."""
    Path(dataset.videos[0].labels[2]).write_text("no picture")

    with pytest.raises(LabelError, match=r"labels2\.png is no picture"):
        summarise(dataset)


def test_a_label_map_of_another_size_fails_the_check(dataset: Dataset) -> None:
    """Label maps are held against the size of their frames before a job starts; truth costs only itself."""
    video = dataset.videos[0]
    write_labels(video.truth[3], torch.zeros(1, H, W + 1, dtype=torch.uint8), CLASSES)
    broken = check_video(video, CLASSES)
    assert list(broken) == [3]
    assert "labels3.png is 4 x 7 (h x w), but its frame is 4 x 6" in str(broken[3])

    write_labels(video.labels[2], torch.zeros(1, H, W + 1, dtype=torch.uint8), CLASSES)
    with pytest.raises(LabelError, match=r"labels2\.png is 4 x 7 \(h x w\), but its frame is 4 x 6"):
        check_video(video, CLASSES)


def test_only_labelled_frames_are_opened_by_the_check(dataset: Dataset) -> None:
    """A broken frame without labels is none of its business; one with labels is."""
    video = dataset.videos[0]
    Path(video.frame_paths[1]).write_text("no picture")
    check_video(video, CLASSES)
    Path(video.frame_paths[2]).write_text("no picture")

    with pytest.raises(FrameError, match=r"frame2\.png is no picture"):
        check_video(video, CLASSES)


def test_a_damaged_video_file_is_one_problem(tmp_path: Path) -> None:
    """Of a video file the first damaged frame is reported, not each one behind it."""
    path = tmp_path / "robot.avi"
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj420p"
        for number in range(30):
            picture = noise.integers(0, 256, (32, 48, 3), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                spoilt = av.Packet(b"rubbish" * 20 if number in (20, 25) else bytes(packet))
                spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
                spoilt.stream = stream
                container.mux(spoilt)
    video = Video(name="robot", stems=frame_stems(path), container=path)

    summary = summarise(Dataset(root=tmp_path, classes=CLASSES, videos=(video,)), check=True)

    assert summary.videos[0].size == (32, 48)
    assert len(summary.problems) == 1
    assert "cannot decode frame 20" in summary.problems[0]


def test_of_many_label_maps_some_are_counted(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """They lie evenly over the data set; only a check opens them all."""
    assert SAMPLE == 200
    monkeypatch.setattr("warprefine.datasets.summary.SAMPLE", 6)
    video = dataset.videos[0]
    sky = dataset.root / "sky.png"
    write_labels(sky, torch.full((1, H, W), 1, dtype=torch.uint8), CLASSES)
    # The second half of the data set shows nothing but the second class.
    many = [
        replace(video, name=str(number), labels={0: sky if number >= 6 else video.labels[0]}, truth={})
        for number in range(12)
    ]
    many_labels = replace(dataset, videos=tuple(many))

    some, everything = summarise(many_labels), summarise(many_labels, check=True)

    assert (some.counted, everything.counted) == (6, 12)
    assert some.frequencies == everything.frequencies == (0.25, 0.625, 0.125)
    assert summarise(replace(many_labels, videos=tuple(many[:6]))).counted == 6


def test_what_is_missing_and_how_far_it_is_are_passed_on(dataset: Dataset) -> None:
    """The notes of the reader are part of the summary; progress is reported after each video."""
    two = (dataset.videos[0], replace(dataset.videos[0], name="again"))
    heard = []

    summary = summarise(
        replace(dataset, videos=two, notes=("7 frames are left out",)),
        progress=lambda task, done, total, note="": heard.append((done, total)),
    )

    assert summary.notes == ("7 frames are left out",)
    assert heard == [(1, 2), (2, 2)]


def write_camvid(root: Path, *stems: str, ending: str = ".png") -> None:
    """Write validation pictures as SegNet's authors lay them out."""
    for stem in stems:
        write_frame(root / "val" / f"{stem}.png", torch.zeros(1, 3, H, W, dtype=torch.uint8))
        write_labels(root / "valannot" / f"{stem}.png", torch.zeros(1, H, W, dtype=torch.uint8), CLASSES)
        for folder in ("val", "valannot"):
            (root / folder / f"{stem}.png").rename(root / folder / f"{stem}{ending}")


@pytest.mark.parametrize("ending", [".png", ".PNG"])
def test_camvid_is_sound_whatever_else_lies_beside_it(tmp_path: Path, ending: str) -> None:
    """Endings may be upper case, and the hidden files of other systems are no pictures."""
    write_camvid(tmp_path, "0016E5_07959", "0016E5_07961", ending=ending)
    for folder in ("", "val", "valannot"):
        (tmp_path / folder / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "val/._0016E5_07959.png").write_bytes(b"Mac OS X")

    summary = summarise(read_camvid(tmp_path, "val"), check=True)

    assert [video.name for video in summary.videos] == ["0016E5_07959", "0016E5_07961"]
    assert summary.problems == ()
    assert summary.frequencies[0] == 1


def test_a_picture_of_camvid_that_is_cut_short_is_told(tmp_path: Path) -> None:
    """Its header is sound, so only a check finds it."""
    write_camvid(tmp_path, "a", "b")
    path = tmp_path / "val/b.png"
    path.write_bytes(path.read_bytes()[:45])
    dataset = read_camvid(tmp_path, "val")

    (problem,) = summarise(dataset, check=True).problems

    assert "cannot read" in problem
    assert "val/b.png" in problem
    assert summarise(dataset).problems == ()


def test_a_label_map_of_camvid_that_is_missing_is_told(tmp_path: Path) -> None:
    """A single frame without labels is none."""
    write_camvid(tmp_path, "a", "b")
    (tmp_path / "valannot/b.png").unlink()

    with pytest.raises(DatasetError, match=r"have no label map in .*valannot: b\.png; expected one for each"):
        read_camvid(tmp_path, "val")
