"""Check which frames are shown, and that they are shown as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from warprefine.core.errors import RunFolderError
from warprefine.core.video import Video
from warprefine.io.images import read_frame
from warprefine.propagation.units import stepwise_units
from warprefine.report.gallery import View, milestones, read_views, showcase, surroundings


def video_of(length: int, *, keys: list[int], truth: list[int]) -> Video:
    paths = [Path(f"{i}.png") for i in range(length)]
    label_maps = {i: Path(f"{i}.label.png") for i in range(length)}
    return Video(
        name="clip",
        stems=[str(i) for i in range(length)],
        frame_paths=paths,
        labels={i: label_maps[i] for i in keys},
        truth={i: label_maps[i] for i in truth},
    )


def test_the_showcase_has_truth_before_it_is_long():
    """A short walk with truth tells more than a long one without."""
    video = video_of(20, keys=[3, 12], truth=[1, 2])

    unit = showcase(video, 5)

    assert (unit.key_frames, unit.frames) == ((3,), (2, 1, 0))


def test_without_truth_the_longest_walk_is_shown():
    """The first of the longest, so that the choice never changes."""
    unit = showcase(video_of(20, keys=[1, 10], truth=[]), 5)

    assert (unit.key_frames, unit.frames) == ((10,), (11, 12, 13, 14, 15))


def test_a_video_that_is_labelled_throughout_has_nothing_to_show():
    """Nothing was propagated."""
    assert showcase(video_of(2, keys=[0, 1], truth=[]), 5) is None


@pytest.mark.parametrize(
    ("horizon", "truth", "expected"),
    [
        (10, [], [1, 5, 10]),
        (6, [], [1, 3, 6]),
        (1, [], [1]),
        (10, [2, 9], [2, 9]),
        (10, [4], [4]),
    ],
)
def test_milestones_are_near_halfway_and_far(horizon, truth, expected):
    """The frames of the panel; where only some frames have truth, the nearest of those."""
    video = video_of(30, keys=[0], truth=truth)

    assert milestones(video, stepwise_units(video, horizon)[0], horizon) == expected


def test_milestones_walk_away_from_the_key_frame():
    """Backwards, the near frame has the higher number."""
    video = video_of(12, keys=[11], truth=[])

    assert milestones(video, stepwise_units(video, 8)[0], 8) == [10, 7, 3]


def test_the_surroundings_are_those_of_every_key_frame():
    """All that is labelled, by hand and not; what is out of reach has nothing to show."""
    video = video_of(40, keys=[10, 31], truth=[])

    assert surroundings(video, 2, most=99) == [8, 9, 10, 11, 12, 29, 30, 31, 32, 33]


def test_many_frames_are_thinned_evenly_and_key_frames_stay():
    """A third are key frames, and both ends of the video are among the others."""
    video = video_of(400, keys=list(range(5, 400, 10)), truth=[])

    shown = surroundings(video, 10, most=24)

    keys = [frame for frame in shown if frame % 10 == 5]
    assert (len(shown), len(keys)) == (24, 8)
    assert (shown[0], shown[-1]) == (0, 399)
    assert (keys[0], keys[-1]) == (5, 395)
    assert shown == sorted(set(shown))


def test_distances_are_those_to_the_nearest_key_frame(run, dataset, world):
    """Whichever key frame that is."""
    views = read_views(run, dataset, dataset.videos[0], frames=[0, 2, 6], methods=world.methods, most_w=100)

    assert [view.distance for view in views] == [2, 0, 4]


def test_views_hold_what_lies_on_disk(run, dataset, world):
    """Frame, truth, labels and confidence of the frames asked for, untouched when they fit."""
    video = dataset.videos[1]

    first, second = read_views(run, dataset, video, frames=[4, 5], methods=world.methods, most_w=100)

    assert (first.stem, first.number, first.distance) == ("004", 4, 2)
    assert first.frame.equal(read_frame(video.frame_paths[4]))
    assert first.truth.equal(world.truth(4))
    assert first.predictions["motion-only"].equal(world.motion_only(4, 2))
    assert list(first.confidences) == ["warp-refine"]
    assert second.truth is None


def test_a_key_frame_shows_the_labels_made_by_hand(run, dataset, world):
    """No method labels it, so there is nothing else to show."""
    (view,) = read_views(run, dataset, dataset.videos[0], frames=[2], methods=world.methods, most_w=100)

    assert view.distance == 0
    assert view.truth.equal(world.truth(2))
    assert (dict(view.predictions), dict(view.confidences)) == ({}, {})


def test_a_frame_that_is_not_labelled_yet_is_named(run, dataset, world):
    """A report of an unfinished run says what is missing."""
    run.labels_path("motion-only", "near", "003").unlink()

    with pytest.raises(RunFolderError, match=r"no label map .*motion-only/near/003\.png"):
        read_views(run, dataset, dataset.videos[0], frames=[3], methods=world.methods, most_w=100)


def test_a_large_view_is_divided_by_a_whole_number():
    """Frames are averaged; label maps keep labels that were there, at the same place."""
    labels = torch.arange(7 * 9, dtype=torch.uint8).reshape(1, 7, 9)
    frame = labels[:, None].repeat(1, 3, 1, 1)
    view = View(
        stem="0",
        number=0,
        distance=1,
        frame=frame,
        truth=labels,
        predictions={"warp-refine": labels},
        confidences={"warp-refine": labels.float() / 255},
    )

    small = view.shrunk(3)

    assert small.frame.shape == (1, 3, 2, 3)
    assert small.truth.tolist() == [[[10, 13, 16], [37, 40, 43]]]
    # The middle of a block of 3 x 3 is also the mean of this ramp: nothing has moved.
    assert small.frame[:, 0].equal(small.truth)
    assert small.predictions["warp-refine"].equal(small.truth)
    assert torch.allclose(small.confidences["warp-refine"] * 255, small.truth.float())
    assert view.shrunk(9) is view
    assert view.shrunk(8).frame.shape == (1, 3, 3, 4)


def test_views_are_read_no_wider_than_asked(run, dataset, world):
    """A report of large video stays small."""
    (view,) = read_views(run, dataset, dataset.videos[0], frames=[3], methods=world.methods, most_w=10)

    shapes = {view.frame.shape[2:], view.truth.shape[1:], view.predictions["warp-refine"].shape[1:]}
    assert shapes == {(6, 10)}
    assert replace(view, truth=None).shrunk(5).truth is None
