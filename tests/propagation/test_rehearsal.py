"""Tests of propagation/rehearsal.py: key frames that are labelled as if they were none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.tensors import VOID
from warprefine.core.video import Video
from warprefine.io.array_cache import ArrayCache
from warprefine.propagation.methods import PLUS
from warprefine.propagation.rehearsal import Rehearsal, cycle, hold_out, rehearse


def video_of(frames: int, keys: list[int], *, damaged: frozenset[int] = frozenset()) -> Video:
    """Return a video of which nothing is opened."""
    labels = {k: Path(f"{k}.png") for k in keys}
    return Video(
        name="drive",
        stems=[str(k) for k in range(frames)],
        container=Path("drive.mp4"),
        labels=labels,
        damaged=damaged,
    )


def rehearsed(drive: Any, labeller: Any, one: Rehearsal | None) -> dict[str, Any]:
    """Label the target of a rehearsal; the result by method."""
    assert one is not None
    cache = ArrayCache(drive.folder / "cache")
    found = rehearse(labeller, one, drive.dataset(one.video), cache)
    return {pseudo.provenance.method: pseudo for pseudo in found}


def test_a_held_out_key_frame_is_labelled_from_both_neighbours() -> None:
    """Its own labels are not among the sources; key frames out of reach are neither."""
    one = hold_out(video_of(40, [2, 10, 14, 30]), 10, reach=8)

    assert one is not None
    assert [one.sequence[place] for place in one.sources] == [2, 14]
    assert one.sequence[one.target] == 10
    assert (one.kind, one.distance) == ("hold-out", 4)


def test_the_nearest_key_frame_is_used_at_any_distance() -> None:
    """Otherwise there would be none."""
    one = hold_out(video_of(60, [2, 50]), 2, reach=5)

    assert one is not None
    assert ([one.sequence[k] for k in one.sources], one.distance) == ([50], 48)


def test_a_key_frame_alone_in_its_stretch_cannot_be_held_out() -> None:
    """Labels are not carried across a damaged frame."""
    assert hold_out(video_of(9, [1, 7], damaged=frozenset({4})), 1, reach=20) is None


def test_a_cycle_goes_both_ways_where_it_can() -> None:
    """Each way visits neighbouring frames alone, and ends at the target."""
    video = video_of(9, [4])

    one = cycle(video, 4, 3)

    assert one is not None
    assert one.sequence == (4, 3, 2, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4)
    assert (one.sources, one.target, one.kind) == ((0, 12), 6, "cycle")
    ahead = cycle(video_of(9, [1]), 1, 3)
    assert ahead is not None
    assert [ahead.sequence[k] for k in (ahead.target, *ahead.sources)] == [1, 1]
    assert ahead.sequence == (0, 1, 2, 3, 4, 3, 2, 1)
    assert cycle(video_of(3, [1]), 1, 2) is None


@pytest.mark.parametrize("method", ["motion-only", "warp-inpaint", PLUS])
def test_labels_carried_to_a_held_out_key_frame_are_its_own(drive: Any, method: str) -> None:
    """Motion is exact, so what is in view all the way has the hand-made labels, which were not read."""
    video = drive.video([0, 4])
    labeller = drive.two_sided() if method == PLUS else drive.stepwise(method)
    Path(video.labels[4]).unlink()

    pseudo = rehearsed(drive, labeller, hold_out(video, 4, reach=20))[method]

    seen = drive.in_view(range(5), 4) & (drive.hand_labels(4) != VOID)
    right = (pseudo.labels == drive.hand_labels(4))[seen].float().mean()
    assert right > 0.95
    assert (pseudo.frame, pseudo.provenance.distance) == (4, 4)


def test_labels_that_go_through_a_cycle_come_back(drive: Any) -> None:
    """What stays in view on one of the two ways is as it was."""
    video = drive.video([2])

    pseudo = rehearsed(drive, drive.stepwise("motion-only"), cycle(video, 2, 2))["motion-only"]

    seen = drive.in_view(range(3), 2)
    right = (pseudo.labels == drive.hand_labels(2))[seen].float().mean()
    assert right > 0.95


def test_flow_and_segmentations_are_those_of_the_video(drive: Any) -> None:
    """A cycle back and forth estimates no flow twice, and none anew that is in the cache."""
    video, labeller = drive.video([2]), drive.stepwise("warp-inpaint")

    rehearsed(drive, labeller, cycle(video, 2, 2))
    first = labeller.models.motion.calls, labeller.models.segmenter.calls
    rehearsed(drive, labeller, cycle(video, 2, 2))

    assert (labeller.models.motion.calls, labeller.models.segmenter.calls) == first
    assert first[0] <= 8


def test_semantic_only_segments_the_target_alone(drive: Any) -> None:
    """Its labels depend on no other frame."""
    video, labeller = drive.video([0, 4]), drive.stepwise("semantic-only")

    rehearsed(drive, labeller, hold_out(video, 4, reach=20))

    assert (labeller.models.segmenter.calls, labeller.models.motion.calls) == (1, 0)


def test_a_rehearsal_of_a_video_file_names_it(drive: Any) -> None:
    """The sequence has the names of its frames, and the labels of its sources alone."""
    one = hold_out(video_of(12, [2, 8]), 8, reach=20)

    assert one is not None
    video = one.travelled()
    assert [*video.stems] == [str(k) for k in range(2, 11)]
    assert {k: path.name for k, path in video.labels.items()} == {0: "2.png"}
    assert replace(one, sources=()).travelled().labels == {}


def test_confidence_is_a_probability(drive: Any) -> None:
    """All methods, from both sides."""
    video = drive.video([0, 2, 4])

    for pseudo in rehearsed(drive, drive.stepwise(), hold_out(video, 2, reach=20)).values():
        assert torch.all((pseudo.confidence >= 0) & (pseudo.confidence <= 1))
