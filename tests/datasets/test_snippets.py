"""Tests of datasets/snippets.py: a labelled frame and those around it, as far as none is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from warprefine.core.errors import DatasetError, KeyFrameError
from warprefine.datasets.snippets import FrameName, cut_clips, note_unlabelled, pictures_by_name


def pictures(*numbers: int, recording: str = "ulm_000000") -> dict[str, Path]:
    names = [f"{recording}_{number:06d}" for number in numbers]
    return {name: Path(f"{name}.png") for name in names}


def labels(*numbers: int) -> dict[str, Path]:
    return {name: Path("labels") / path for name, path in pictures(*numbers).items()}


# names


def test_a_name_tells_recording_and_number() -> None:
    """The number is what stands behind the last line; its leading zeros are kept for its neighbours."""
    frame = FrameName.parse("ulm_000003_000019")

    assert frame == ("ulm_000003", 19, 6)
    assert frame is not None
    assert (frame.at(9), frame.at(123456)) == ("ulm_000003_000009", "ulm_000003_123456")


@pytest.mark.parametrize("name", ["000019", "_000019", "ulm_", "ulm_x19", "ulm_²", "ulm_٣", ""])
def test_other_names_are_no_frames_of_a_recording(name: str) -> None:
    """A name without a recording, or without a number in plain digits, names no frame."""
    assert FrameName.parse(name) is None


# files


def test_pictures_are_found_by_name_in_natural_order(tmp_path: Path) -> None:
    """Endings may have any case; hidden files, other files and names without the tail are left out."""
    for name in (
        "b_10_x.JPG",
        "b_9_x.png",
        ".DS_Store",
        "._b_9_x.png",
        "b_9_x.json",
        "b_9_x_prob.png",
        "b_11.png",
    ):
        (tmp_path / name).touch()

    found = pictures_by_name([tmp_path, tmp_path / "gone"], tail="_x")

    assert list(found.items()) == [("b_9", tmp_path / "b_9_x.png"), ("b_10", tmp_path / "b_10_x.JPG")]


def test_only_wanted_endings_are_found(tmp_path: Path) -> None:
    """A JPEG in the place of a label map is none."""
    for name in ("a.PNG", "b.jpg"):
        (tmp_path / name).touch()

    assert pictures_by_name([tmp_path], endings=(".png",)) == {"a": tmp_path / "a.PNG"}


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two pictures of one frame are ambiguous, wherever they lie."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()

    with pytest.raises(
        DatasetError, match=r"two pictures have the name a: .*one.a\.png and .*two.a\.png; keep one"
    ):
        pictures_by_name([tmp_path / "one", tmp_path / "two"])


# clips


def test_a_clip_reaches_equally_far_to_both_sides() -> None:
    """Of thirty frames those within the reach are taken; the labelled one lies in the middle."""
    clips = cut_clips(labels(19), pictures(*range(30)), reach=10, expected="there")

    (video,) = clips.videos
    assert video.name == "ulm_000000_000019"
    assert list(video.stems) == [f"ulm_000000_{number:06d}" for number in range(9, 30)]
    assert list(video.frame_paths) == [Path(f"{stem}.png") for stem in video.stems]
    assert dict(video.labels) == {10: Path("labels/ulm_000000_000019.png")}
    assert (clips.broken, clips.notes) == ({}, ())


@pytest.mark.parametrize(
    ("missing", "first", "last"),
    [(12, 13, 29), (9, 10, 29), (18, 19, 29), (20, 9, 19), (29, 9, 28), (25, 9, 24)],
)
def test_a_clip_ends_at_a_gap(missing: int, first: int, last: int) -> None:
    """What lies behind a missing frame is left out, and the note lists the frames of the clip."""
    present = (number for number in range(30) if number != missing)
    clips = cut_clips(labels(19), pictures(*present), reach=10, expected="there")

    (video,) = clips.videos
    assert (video.stems[0][-6:], video.stems[-1][-6:], len(video)) == (
        f"{first:06d}",
        f"{last:06d}",
        last - first + 1,
    )
    assert video.key_frames == (19 - first,)
    assert clips.notes == (
        f"1 of 1 snippets lack neighbours: ulm_000000_000019 (frames {first}..{last} of 9..29)",
    )


def test_frames_before_the_recording_are_not_missed() -> None:
    """A recording starts with frame 0: a clip that starts there lacks nothing."""
    clips = cut_clips(labels(2), pictures(*range(6)), reach=3, expected="there")

    assert len(clips.videos[0]) == 6
    assert clips.notes == ()


def test_a_single_frame_has_no_neighbours_to_lack() -> None:
    """Without reach a labelled frame is a video by itself, even between others."""
    clips = cut_clips(labels(3), pictures(2, 3, 4), reach=0, expected="there")

    assert [len(video) for video in clips.videos] == [1]
    assert clips.notes == ()


def test_frames_of_another_recording_are_no_neighbours() -> None:
    """Numbers continue within a recording only."""
    others = pictures(18, 20, recording="ulm_000001")
    clips = cut_clips(labels(19), pictures(19) | others, reach=1, expected="there")

    assert len(clips.videos[0]) == 1


def test_a_label_map_without_a_picture_is_broken() -> None:
    """A labelled frame without a picture, or of a strange name, does not keep the others from being read."""
    clips = cut_clips(labels(5, 19) | {"odd": Path("odd.png")}, pictures(19), reach=0, expected="there")

    assert [video.name for video in clips.videos] == ["ulm_000000_000019"]
    assert list(clips.broken) == ["ulm_000000_000005", "odd"]
    texts = [str(error) for error in clips.broken.values()]
    assert texts[0].endswith("000005.png has no picture: expected ulm_000000_000005 in there; copy it there")
    assert texts[1].startswith("label map odd.png names no frame: found 'odd', expected a recording")


def test_no_picture_at_all_is_an_error() -> None:
    """Where nothing can be used there is no data set."""
    with pytest.raises(
        KeyFrameError, match=r"000019\.png has no picture: expected ulm_000000_000019 in there"
    ):
        cut_clips(labels(19), {}, reach=0, expected="there")


# unlabelled


def test_runs_without_a_label_are_noted() -> None:
    """Frames outside labelled snippets are listed as runs; a labelled snippet's other frames are not."""
    present = pictures(*range(30), *range(40, 42)) | pictures(7, recording="ulm_000001")

    notes = note_unlabelled([*present, "cover"], labels(19), before=19, after=10)

    assert notes == (
        "snippets without a label map are left out, 2: ulm_000000_000040..000041, ulm_000001_000007",
    )
    assert note_unlabelled(pictures(*range(30)), labels(19), before=19, after=10) == ()


@pytest.mark.parametrize(("before", "after", "run"), [(18, 10, "000000"), (19, 9, "000029")])
def test_a_snippet_is_as_long_as_said(before: int, after: int, run: str) -> None:
    """A frame further away than the snippet goes belongs to another."""
    (note,) = note_unlabelled(pictures(*range(30)), labels(19), before=before, after=after)

    assert note.endswith(f"left out, 1: ulm_000000_{run}")
