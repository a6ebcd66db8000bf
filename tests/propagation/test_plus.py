"""Tests of propagation/plus.py: stretches of frames labelled from both sides, and smoothed over time."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.tensors import VOID
from warprefine.propagation.methods import PLUS
from warprefine.propagation.plus import PlusSetting, label_stretch
from warprefine.propagation.schedule import plan_stretches
from warprefine.propagation.sides import SideMaker, Ways, vote
from warprefine.propagation.trajectories import Trajectories, Trajectory
from warprefine.refinement.sides import SideRefiner, SidesInput

RAW = PlusSetting(smoothing=0.0)
CLASS_COUNT = 4


class Filler:
    """Say what the nearer side says, or else the segmenter; note what was seen."""

    name = "filler"
    class_count = CLASS_COUNT

    def __init__(self) -> None:
        self.seen: list[SidesInput] = []

    def __call__(self, seen: SidesInput) -> Tensor:
        self.seen.append(seen)
        said = seen.segmentation.logits.argmax(dim=1)
        labels = torch.where(seen.sides[0].trust > 0.5, seen.sides[0].soft.labels[:, 0].long(), said)
        plane = labels.masked_fill(labels == VOID, CLASS_COUNT)
        return functional.one_hot(plane, CLASS_COUNT + 1).permute(0, 3, 1, 2) * 99.0


class Stubborn(Filler):
    """Say class 0 everywhere, without a doubt."""

    def __call__(self, seen: SidesInput) -> Tensor:
        scores = torch.zeros(1, CLASS_COUNT + 1, *seen.frame.shape[-2:])
        scores[:, 0] = 200
        return scores


def labelled(
    drive: Any, key_frames: list[int], setting: PlusSetting, *, horizon: int = 99
) -> dict[int, PseudoLabel]:
    """Label all stretches of a drive and return what was yielded, in order."""
    video = drive.video(key_frames)
    evidence = drive.evidence(video)
    stretches = plan_stretches(video, horizon, reach=max(setting.ways.reach, horizon))
    found = [pair for s in stretches for pair in label_stretch(evidence, s, drive.classes, setting)]
    assert len(dict(found)) == len(found)
    return dict(found)


def in_view_of_any(drive: Any, key_frames: list[int], frame: int) -> Tensor:
    return torch.stack([drive.in_view([key], of=frame) for key in key_frames]).any(dim=0)


@pytest.mark.parametrize("setting", [PlusSetting(), RAW], ids=["smoothed", "raw"])
@pytest.mark.parametrize("key_frames", [[0, 5], [3], [0], [5], [1, 3]], ids=str)
def test_labels_come_from_both_sides(drive: Any, key_frames: list[int], setting: PlusSetting) -> None:
    """Whatever is in view in any key frame has that one's label; the rest has the segmenter's.

    Frames before the first and behind the last key frame are no exception.
    """
    found = labelled(drive, key_frames, setting)

    assert list(found) == [t for t in range(drive.length) if t not in key_frames]
    for frame, pseudo in found.items():
        reached, named = in_view_of_any(drive, key_frames, frame), drive.hand(frame) != VOID
        expected = torch.where(reached, drive.hand(frame), drive.seen(frame))
        assert torch.equal(pseudo.labels[named], expected[named]), frame


def test_what_a_person_left_out_is_named_by_the_segmenter(drive: Any) -> None:
    """A vote for VOID counts for little: a segmenter that is sure of a class outvotes it."""
    for frame, pseudo in labelled(drive, [0, 5], RAW).items():
        left_out = drive.hand(frame) == VOID
        assert left_out.any()
        assert torch.equal(pseudo.labels[left_out], drive.seen(frame)[left_out])


def test_provenance_names_all_who_were_asked(drive: Any) -> None:
    """The side of the nearest key frame comes first, each side from near to far."""
    found = {frame: pseudo.provenance for frame, pseudo in labelled(drive, [0, 1, 5], PlusSetting()).items()}

    assert {frame: said.key_frames for frame, said in found.items()} == {
        2: (1, 0, 5),
        3: (1, 0, 5),
        4: (5, 1, 0),
    }
    assert {frame: said.distance for frame, said in found.items()} == {2: 1, 3: 2, 4: 1}
    assert {said.method for said in found.values()} == {PLUS}


@pytest.mark.parametrize(
    ("ways", "asked"),
    [
        (Ways(sides=1), {2: (1, 0), 3: (1, 0), 4: (5,)}),
        (Ways(reach=2), {2: (1, 0), 3: (1, 5), 4: (5,)}),
    ],
)
def test_provenance_does_not_name_who_was_not_asked(drive: Any, ways: Ways, asked: dict[int, Any]) -> None:
    """Neither the other side where one is asked, nor who is out of reach."""
    found = labelled(drive, [0, 1, 5], PlusSetting(ways=ways))

    assert {frame: pseudo.provenance.key_frames for frame, pseudo in found.items()} == asked


def test_the_nearest_key_frame_is_asked_however_far_it_is(drive: Any) -> None:
    """The reach keeps away those that are further than another, and never leaves a frame with nobody."""
    near, far = (labelled(drive, [0], PlusSetting(ways=Ways(reach=reach))) for reach in (1, 9))

    assert all(pseudo.provenance.key_frames == (0,) for pseudo in near.values())
    assert all(torch.equal(near[frame].labels, far[frame].labels) for frame in far)


@pytest.mark.parametrize("setting", [PlusSetting(), RAW, PlusSetting(refiner=Stubborn())])
def test_confidence_is_a_share(drive: Any, setting: PlusSetting) -> None:
    """It lies between 0 and 1, and is less where fewer agree."""
    for frame, pseudo in labelled(drive, [0, 5], setting).items():
        assert pseudo.confidence.shape == pseudo.labels.shape
        assert pseudo.confidence.min() >= 0, frame
        assert pseudo.confidence.max() <= 1, frame


def test_without_smoothing_each_frame_says_what_its_sides_say(drive: Any) -> None:
    """The labels and their shares are those of the vote, to the bit."""
    found = labelled(drive, [0, 5], RAW)

    evidence = drive.evidence(drive.video([0, 5]))
    maker = SideMaker(evidence, RAW.ways, drive.hand)
    for frame, pseudo in found.items():
        seen = SidesInput(
            frame=drive.frame(frame),
            sides=maker.around(frame, (0, 5)),
            segmentation=evidence.segmentation(frame),
        )
        labels, share = vote(seen).harden()
        assert torch.equal(pseudo.labels, labels)
        assert torch.equal(pseudo.confidence, share.clamp(max=1))


def test_key_frames_beside_a_stretch_take_part_in_the_average(drive: Any) -> None:
    """Two key frames outvote a refiner that is wrong between them, one alone does not."""
    setting = PlusSetting(refiner=Stubborn(), smoothing=0.9, smoothed=1)

    averaged = labelled(drive, [0, 2], setting)[1]
    alone = labelled(drive, [0, 2], replace(setting, smoothing=0.0))[1]

    both = drive.in_view([0, 2], of=1)
    assert not alone.labels.any()
    assert torch.equal(averaged.labels, drive.hand(1).masked_fill(~both, 0))
    outvoted = both & (drive.hand(1) != 0)
    torch.testing.assert_close(
        averaged.confidence[outvoted], torch.full((int(outvoted.sum()),), 1.8 / 2.8), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(("smoothed", "share"), [(1, 0.0), (2, 0.5**2 / (1 + 0.5 + 0.5**2))])
def test_neighbours_count_less_the_further_away_they_are(drive: Any, smoothed: int, share: float) -> None:
    """The neighbour at distance k counts `smoothing` to the power of k; beyond `smoothed` none counts."""
    setting = PlusSetting(refiner=Stubborn(), smoothing=0.5, smoothed=smoothed)

    pseudo = labelled(drive, [0], setting, horizon=2)[2]  # frame 1 says what this one says, the key frame not

    certain = drive.in_view([0], of=2) & (drive.hand(2) != 0)
    assert not pseudo.labels.any()
    expected = torch.full((int(certain.sum()),), 1 - share)
    torch.testing.assert_close(pseudo.confidence[certain], expected, atol=1e-4, rtol=0)


def test_a_refiner_is_asked_once_for_each_frame(drive: Any) -> None:
    """It sees the frame, the nearer side first, and the segmenter; what it says are the labels."""
    refiner = Filler()
    assert isinstance(refiner, SideRefiner)

    found = labelled(drive, [0, 5], PlusSetting(refiner=refiner, smoothing=0.0))

    assert [seen.sides[0].distance.tolist() for seen in refiner.seen] == [[1], [2], [2], [1]]
    for (frame, pseudo), seen in zip(found.items(), refiner.seen, strict=True):
        assert torch.equal(seen.frame, drive.frame(frame))
        assert torch.equal(seen.segmentation.logits.argmax(dim=1), drive.seen(frame).long())
        near = drive.in_view([0 if frame < 3 else 5], of=frame)
        assert torch.equal(pseudo.labels, torch.where(near, drive.hand(frame), drive.seen(frame)))
        assert pseudo.confidence.min() > 0.99


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Trajectory]:
    """All trajectories that somebody still holds."""
    held: weakref.WeakSet[Trajectory] = weakref.WeakSet()
    original = Trajectories._extended

    def watched(self: Trajectories, frame: int, origin: int, step: int) -> Trajectory:
        way = original(self, frame, origin, step)
        held.add(way)
        return way

    monkeypatch.setattr(Trajectories, "_extended", watched)
    return held


def test_what_lies_behind_is_dropped(film: Callable[..., Any], alive: weakref.WeakSet[Trajectory]) -> None:
    """The ways to a key frame ahead are held until their frame has come, and none that has passed is."""
    held = []
    for length in (14, 22):
        drive = film(step=(1, 0), size=(12, 40), length=length, name=f"{length} frames")
        video = drive.video([0, length - 1])
        (stretch,) = plan_stretches(video, 99, reach=99)
        at_work = label_stretch(drive.evidence(video), stretch, drive.classes, PlusSetting())
        held.append([len(alive) for _ in at_work])

    assert held[0][-1] == held[1][-1] < held[1][0]


def test_ways_through_frames_outside_a_stretch_are_not_held(
    film: Callable[..., Any], alive: weakref.WeakSet[Trajectory]
) -> None:
    """On the way to a far key frame lie frames that nobody asks about again."""
    drive = film(step=(1, 0), size=(12, 40), length=13)
    video = drive.video([0, 4, 8, 12])
    (stretch,) = (s for s in plan_stretches(video, 9, reach=9) if s.frames == (5, 6, 7))
    setting = PlusSetting(ways=Ways(reach=9), smoothing=0.0, smoothed=1)

    at_work = label_stretch(drive.evidence(video), stretch, drive.classes, setting)

    assert next(iter(at_work))[0] == 5
    # While 6 is being labelled: its ways to both key frames before, and those of 6 and 7 to both after.
    assert len(alive) <= 2 + 2 * 2
