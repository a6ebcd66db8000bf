"""Tests of core/video.py: key frames, truth held back, and data sets of videos."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from warprefine.core.classes import ClassSet
from warprefine.core.continuity import Continuity
from warprefine.core.errors import KeyFrameError
from warprefine.core.video import Dataset, Video

CLASSES = ClassSet(names=("road",), colors=((1, 2, 3),))


def video(
    length: int = 6, *, labels: tuple[int, ...] = (), truth: tuple[int, ...] = (), name: str = "v"
) -> Video:
    return Video(
        name=name,
        stems=[f"{k:02d}" for k in range(length)],
        frame_paths=[Path(f"{k:02d}.png") for k in range(length)],
        labels={k: Path(f"label{k}.png") for k in labels},
        truth={k: Path(f"label{k}.png") for k in truth},
    )


def test_key_frames_come_in_order() -> None:
    """Key frames are listed from the first to the last, in whatever order they were found."""
    found = video(labels=(4, 0, 2))

    assert found.key_frames == (0, 2, 4)
    assert len(found) == 6


@pytest.mark.parametrize(("container", "paths"), [(None, []), (Path("v.mp4"), [Path("0.png")])])
def test_frames_lie_in_one_place(container: Path | None, paths: list[Path]) -> None:
    """A video is pictures or a video file: not both, and not neither."""
    with pytest.raises(ValueError, match="video 'v' needs either frame_paths or a container"):
        Video(name="v", stems=["0"], frame_paths=paths, container=container)


def test_a_densely_labelled_video_becomes_an_experiment() -> None:
    """Every step-th frame is handed out as a key frame; all other labels are held back as truth."""
    split = video(length=8, labels=tuple(range(8))).with_key_frames(1, 3)

    assert split.key_frames == (1, 4, 7)
    assert tuple(split.truth) == (0, 2, 3, 5, 6)
    assert split.labels[4] == Path("label4.png")


def test_truth_can_be_handed_out_and_taken_back() -> None:
    """Which labels were held back before makes no difference to a new choice."""
    once = video(length=8, labels=(2, 3), truth=(0, 5)).with_key_frames(0, 5)

    assert once.key_frames == (0, 5)
    assert tuple(once.truth) == (2, 3)
    assert once.with_key_frames(2, 1).key_frames == (2, 3, 5)


def test_a_choice_without_any_label_is_refused() -> None:
    """Frames that nobody labelled cannot be key frames."""
    with pytest.raises(
        KeyFrameError, match=r"video 'v': none of the frames 1::2 of its 6 is labelled; choose"
    ):
        video(labels=(0, 2)).with_key_frames(1, 2)


def test_the_labels_of_a_video_do_not_change() -> None:
    """A video describes what lies on disk; nobody can slip a label in."""
    with pytest.raises(TypeError, match="does not support item assignment"):
        video(labels=(0,)).labels[3] = Path("forged.png")  # type: ignore[index]


def test_a_video_can_be_sent_to_another_process() -> None:
    """What arrives there is equal, corrections and all, and its labels cannot be altered either."""
    paths = [Path(f"{k}.jpg") for k in range(4)]
    labels, truth = {0: Path("0.png")}, {2: Path("2.png")}
    video = Video(name="drive", stems="0123", frame_paths=paths, labels=labels, truth=truth)
    corrected = video.with_corrections({1: Path("corrected.png")})

    arrived = pickle.loads(pickle.dumps(corrected))

    assert arrived == corrected
    assert arrived.of_data == video
    with pytest.raises(TypeError, match="does not support item assignment"):
        arrived.labels[3] = Path("3.png")


def test_videos_of_a_data_set_have_names_of_their_own() -> None:
    """Two videos of one name would overwrite each other's labels."""
    with pytest.raises(ValueError, match=r"video names occur twice in data: .*'a', 'a'"):
        Dataset(root=Path("data"), classes=CLASSES, videos=(video(name="a"), video(name="a")))


def test_a_data_set_hands_out_key_frames_in_every_video() -> None:
    """The same choice is made in each video."""
    dataset = Dataset(
        root=Path("data"),
        classes=CLASSES,
        videos=(video(name="a", labels=(0, 1, 2)), video(name="b", labels=(1, 2, 3, 4))),
    )

    assert [v.key_frames for v in dataset.with_key_frames(1, 2).videos] == [(1,), (1, 3)]


def test_a_video_without_labels_does_not_stand_in_the_way_of_others() -> None:
    """It has nothing to choose from, and the key frames of the others are chosen."""
    videos = (video(name="a", labels=(0, 1, 2)), video(name="b", labels=()))

    chosen = Dataset(root=Path("data"), classes=CLASSES, videos=videos).with_key_frames(1, 2)

    assert [v.key_frames for v in chosen.videos] == [(1,), ()]


def test_corrections_make_key_frames_and_can_be_taken_back() -> None:
    """Corrected label maps replace those of key frames, and truth; without them the video is as it was."""
    own = video(labels=(0, 2), truth=(1, 3))
    corrected = own.with_corrections({1: Path("one.png"), 2: Path("two.png")})

    assert corrected.key_frames == (0, 1, 2)
    assert corrected.corrected == (1, 2)
    assert (corrected.labels[2], [*corrected.truth]) == (Path("two.png"), [3])
    assert corrected.of_data == own.of_data == own
    assert own.corrected == ()
    assert corrected.with_corrections({3: Path("three.png")}).corrected == (3,)
    assert corrected.with_corrections({}) == own


def test_stretches_end_at_cuts_and_around_blank_and_damaged_frames() -> None:
    """A cut lies between two frames that can be used; blank and damaged frames are in no stretch."""
    film = replace(
        video(length=10),
        damaged=frozenset({2}),
        continuity=Continuity(cuts=(5, 8), blank=(6, 9), repeated=(1,), exposure_jumps=(4,)),
    )

    assert film.stretches == (range(2), range(3, 5), range(5, 6), range(7, 8), range(8, 9))
    assert film.stretch(4) == range(3, 5)
    assert film.stretch(5) == range(5, 6)
    assert not film.stretch(6)
    assert replace(film, damaged=frozenset(), continuity=Continuity()).stretches == (range(10),)


def test_a_cut_at_either_end_of_a_video_divides_nothing() -> None:
    """There are no empty stretches."""
    assert replace(video(length=3), continuity=Continuity(cuts=(0,))).stretches == (range(3),)
    assert replace(video(length=3), continuity=Continuity(blank=(0, 1, 2))).stretches == ()


def test_what_was_found_is_counted_in_words() -> None:
    """One of a kind has no plural, and nothing is said of what there is none of."""
    assert str(Continuity()) == "no cuts"
    assert not Continuity()
    assert str(Continuity(cuts=(3,), blank=(5, 6))) == "1 cut, 2 blank frames"
    assert str(Continuity(exposure_jumps=(1,), repeated=(2,))) == "1 repeated frame, 1 exposure jump"


def test_each_kind_has_a_line_with_what_becomes_of_it() -> None:
    """Frames are named as ranges; cuts and jumps lie before a frame."""
    found = Continuity(cuts=(8,), blank=(1, 2), repeated=(4,), exposure_jumps=(6, 9))

    assert [*found.notes("drive")] == [
        "drive has 1 cut (before 8); labels are not carried across",
        "drive has 2 blank frames (1 to 2); no labels there, and none are carried across",
        "drive has 2 exposure jumps (before 6, 9); labels are carried across",
        "drive has 1 repeated frame (4); labels are carried across",
    ]
    assert [*Continuity().notes("drive")] == []
