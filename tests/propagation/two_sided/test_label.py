"""Tests of propagation/two_sided/label.py: frames labelled from both sides, and smoothed over time."""

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
from warprefine.io.images import write_labels
from warprefine.propagation.methods import PLUS
from warprefine.propagation.two_sided import trajectories as trajectories_module
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.propagation.two_sided.label import refine_sides
from warprefine.propagation.two_sided.trajectories import Trajectories, Trajectory
from warprefine.propagation.two_sided.vote import vote
from warprefine.propagation.units import two_sided_units
from warprefine.recipe.plus import FARTHEST, ChooseSettings, PlusRecipe, SmoothSettings
from warprefine.refinement.interface import TwoSidedInput, TwoSidedRefiner

SMOOTHED = PlusRecipe()
RAW = PlusRecipe(smooth=SmoothSettings(decay=0.0))
CLASS_COUNT = 4


class Filler:
    """Take the nearer side's labels where it is trusted, else the segmenter's; record the inputs."""

    name = "filler"
    class_count = CLASS_COUNT

    def __init__(self) -> None:
        self.inputs: list[TwoSidedInput] = []

    def __call__(self, inputs: TwoSidedInput) -> Tensor:
        self.inputs.append(inputs)
        near, semantic = inputs.sides[0], inputs.segmentation.logits.argmax(dim=1)
        labels = torch.where(near.trust > 0.5, near.soft.labels[:, 0].long(), semantic)
        plane = labels.masked_fill(labels == VOID, CLASS_COUNT)
        return functional.one_hot(plane, CLASS_COUNT + 1).permute(0, 3, 1, 2) * 99.0


class Stubborn(Filler):
    """Label every pixel as class 0, with probability 1."""

    def __call__(self, inputs: TwoSidedInput) -> Tensor:
        scores = torch.zeros(1, CLASS_COUNT + 1, *inputs.frame.shape[-2:])
        scores[:, 0] = 200
        return scores


def choosing(recipe: PlusRecipe = SMOOTHED, **choose: Any) -> PlusRecipe:
    return recipe.model_copy(update={"choose": ChooseSettings(**choose)})


def labelled(
    drive: Any, key_frames: list[int], recipe: PlusRecipe, *, refiner: Any = None, horizon: int = 99
) -> dict[int, PseudoLabel]:
    """Label all units of a drive and return the pseudo-labels by frame, in the order of their computation."""
    video, labeller = drive.video(key_frames), drive.two_sided(recipe, refiner=refiner)
    evidence = drive.evidence(video, labeller.models)
    found = [
        pseudo for unit in labeller.units(video, horizon) for pseudo in labeller.label(evidence, unit, [PLUS])
    ]
    by_frame = {pseudo.frame: pseudo for pseudo in found}
    assert len(by_frame) == len(found)
    return by_frame


def inputs_by_frame(drive: Any, key_frames: list[int], recipe: PlusRecipe = RAW) -> dict[int, TwoSidedInput]:
    """Return the input that a refiner gets for each frame of a drive."""
    refiner = Filler()
    found = labelled(drive, key_frames, recipe, refiner=refiner)
    return dict(zip(found, refiner.inputs, strict=True))


def in_view_of_any(drive: Any, key_frames: list[int], frame: int) -> Tensor:
    return torch.stack([drive.in_view([key], of=frame) for key in key_frames]).any(dim=0)


@pytest.mark.parametrize("recipe", [SMOOTHED, RAW], ids=["smoothed", "raw"])
@pytest.mark.parametrize("key_frames", [[0, 5], [3], [0], [5], [1, 3]], ids=str)
def test_labels_come_from_both_sides(drive: Any, key_frames: list[int], recipe: PlusRecipe) -> None:
    """Whatever is in view in any key frame has that one's label; the rest has the segmenter's.

    Frames before the first and after the last key frame are no exception.
    """
    found = labelled(drive, key_frames, recipe)

    assert list(found) == [t for t in range(drive.length) if t not in key_frames]
    for frame, pseudo in found.items():
        reached, named = in_view_of_any(drive, key_frames, frame), drive.hand_labels(frame) != VOID
        expected = torch.where(reached, drive.hand_labels(frame), drive.segmented(frame))
        assert torch.equal(pseudo.labels[named], expected[named]), frame


def test_hand_made_void_gets_the_segmenters_label(drive: Any) -> None:
    """A vote for VOID counts for little: a segmenter that is sure of a class outvotes it."""
    for frame, pseudo in labelled(drive, [0, 5], RAW).items():
        void = drive.hand_labels(frame) == VOID
        assert void.any()
        assert torch.equal(pseudo.labels[void], drive.segmented(frame)[void])


def test_units_have_the_key_frames_in_reach(drive: Any) -> None:
    """The reach of the recipe counts from a unit's frames; it is at least the horizon."""
    video = drive.video([0, 1, 5])

    for reach, horizon, farthest in ((2, 1, 2), (9, 1, 9), (1, 2, 2)):
        units = drive.two_sided(choosing(reach=reach)).units(video, horizon)
        assert units == two_sided_units(video, horizon, reach=farthest)


def test_provenance_names_all_key_frames_that_were_used(drive: Any) -> None:
    """The side of the nearest key frame comes first, each side from near to far."""
    found = {frame: pseudo.provenance for frame, pseudo in labelled(drive, [0, 1, 5], SMOOTHED).items()}

    assert {frame: provenance.key_frames for frame, provenance in found.items()} == {
        2: (1, 0, 5),
        3: (1, 0, 5),
        4: (5, 1, 0),
    }
    assert {frame: provenance.distance for frame, provenance in found.items()} == {2: 1, 3: 2, 4: 1}
    assert {provenance.method for provenance in found.values()} == {PLUS}


@pytest.mark.parametrize(
    ("recipe", "used"),
    [
        (choosing(sides=1), {2: (1, 0), 3: (1, 0), 4: (5,)}),
        (choosing(reach=2), {2: (1, 0), 3: (1, 5), 4: (5,)}),
    ],
    ids=["one-side", "reach"],
)
def test_provenance_names_no_key_frame_that_was_not_used(
    drive: Any, recipe: PlusRecipe, used: dict[int, Any]
) -> None:
    """Neither those of the other side where one is used, nor those out of reach."""
    found = labelled(drive, [0, 1, 5], recipe)

    assert {frame: pseudo.provenance.key_frames for frame, pseudo in found.items()} == used


def test_the_nearest_key_frame_is_used_however_far_it_is(drive: Any) -> None:
    """The reach excludes key frames that are further than another, and never the nearest."""
    near, far = (labelled(drive, [0], choosing(reach=reach)) for reach in (1, 9))

    assert all(pseudo.provenance.key_frames == (0,) for pseudo in near.values())
    assert all(torch.equal(near[frame].labels, far[frame].labels) for frame in far)


@pytest.mark.parametrize(
    ("frame", "key_frames", "distances"),
    [
        (4, [0, 5], [1, 4]),
        (1, [0, 5], [1, 4]),
        (2, [0, 4], [2, 2]),
        (3, [0], [3, FARTHEST]),
        (3, [5], [2, FARTHEST]),
    ],
)
def test_the_nearer_side_comes_first(
    drive: Any, frame: int, key_frames: list[int], distances: list[float]
) -> None:
    """The side of the nearest key frame comes first; where there is no key frame, a side is missing."""
    sides = inputs_by_frame(drive, key_frames)[frame].sides

    assert [float(side.distance) for side in sides] == distances
    assert [bool(side.is_missing) for side in sides] == [away == FARTHEST for away in distances]


def test_on_a_tie_the_earlier_side_comes_first(drive: Any) -> None:
    """Which side is which shows in what is in view."""
    sides = inputs_by_frame(drive, [0, 4])[2].sides

    for side, key in zip(sides, (0, 4), strict=True):
        view = drive.in_view([key], of=2)
        assert torch.equal(side.soft.harden()[0], drive.hand_labels(2).masked_fill(~view, VOID))
        torch.testing.assert_close(side.trust, view.float(), atol=1e-4, rtol=0)


def test_key_frames_out_of_reach_are_not_used(drive: Any) -> None:
    """A side whose key frames are all further away than the reach is missing."""
    sides = inputs_by_frame(drive, [0, 5], choosing(RAW, reach=2))[2].sides

    assert [bool(side.is_missing) for side in sides] == [False, True]


def test_one_side_is_the_nearer_one(drive: Any) -> None:
    """Where only one side is used, it is that of the nearest key frame, and the other is missing."""
    nearer, farther = inputs_by_frame(drive, [0, 5], choosing(RAW, sides=1))[4].sides

    view = drive.in_view([5], of=4)
    assert torch.equal(nearer.soft.harden()[0], drive.hand_labels(4).masked_fill(~view, VOID))
    assert nearer.distance.tolist() == [1]
    assert farther.is_missing.all()


@pytest.mark.parametrize(
    ("recipe", "refiner"), [(SMOOTHED, None), (RAW, None), (SMOOTHED, Stubborn())], ids=["", "raw", "refined"]
)
def test_confidence_is_a_share(drive: Any, recipe: PlusRecipe, refiner: Any) -> None:
    """It lies between 0 and 1."""
    for frame, pseudo in labelled(drive, [0, 5], recipe, refiner=refiner).items():
        assert pseudo.confidence.shape == pseudo.labels.shape
        assert pseudo.confidence.min() >= 0, frame
        assert pseudo.confidence.max() <= 1, frame


def test_without_smoothing_the_labels_of_a_frame_are_those_of_its_sides(drive: Any) -> None:
    """The labels and their shares are those of the vote, to the bit."""
    found = labelled(drive, [0, 5], RAW)

    evidence = drive.evidence(drive.video([0, 5]))
    carrier = LabelCarrier(evidence, RAW.carry, drive.hand_labels, motion=drive.motion())
    for frame, pseudo in found.items():
        near, far = (0, 5) if frame < 3 else (5, 0)
        inputs = TwoSidedInput(
            frame=drive.frame(frame),
            sides=(carrier.side(frame, (near,)), carrier.side(frame, (far,))),
            segmentation=evidence.segmentation(frame),
        )
        labels, share = vote(inputs).harden()
        assert torch.equal(pseudo.labels, labels)
        assert torch.equal(pseudo.confidence, share.clamp(max=1))


def test_key_frames_beside_a_unit_take_part_in_the_average(drive: Any) -> None:
    """Two key frames outvote a refiner that is wrong between them; without the average they do not."""
    smooth = SmoothSettings(decay=0.9, frames=1)

    averaged = labelled(drive, [0, 2], PlusRecipe(smooth=smooth), refiner=Stubborn())[1]
    alone = labelled(drive, [0, 2], RAW, refiner=Stubborn())[1]

    both = drive.in_view([0, 2], of=1)
    assert not alone.labels.any()
    assert torch.equal(averaged.labels, drive.hand_labels(1).masked_fill(~both, 0))
    outvoted = both & (drive.hand_labels(1) != 0)
    torch.testing.assert_close(
        averaged.confidence[outvoted], torch.full((int(outvoted.sum()),), 1.8 / 2.8), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(("frames", "share"), [(1, 0.0), (2, 0.5**2 / (1 + 0.5 + 0.5**2))])
def test_neighbours_count_less_the_further_away_they_are(drive: Any, frames: int, share: float) -> None:
    """The neighbour at distance k counts `decay` to the power of k; beyond `frames` none counts."""
    recipe = PlusRecipe(smooth=SmoothSettings(decay=0.5, frames=frames))

    # The labels of frame 1 are those of frame 2; the labels of the key frame are others.
    pseudo = labelled(drive, [0], recipe, refiner=Stubborn(), horizon=2)[2]

    certain = drive.in_view([0], of=2) & (drive.hand_labels(2) != 0)
    assert not pseudo.labels.any()
    expected = torch.full((int(certain.sum()),), 1 - share)
    torch.testing.assert_close(pseudo.confidence[certain], expected, atol=1e-4, rtol=0)


def test_the_refiner_runs_once_for_each_frame(drive: Any) -> None:
    """Its input is the frame, both sides, the nearer first, and the segmenter's output."""
    refiner = Filler()
    assert isinstance(refiner, TwoSidedRefiner)

    found = labelled(drive, [0, 5], RAW, refiner=refiner)

    assert [inputs.sides[0].distance.tolist() for inputs in refiner.inputs] == [[1], [2], [2], [1]]
    for (frame, pseudo), inputs in zip(found.items(), refiner.inputs, strict=True):
        assert torch.equal(inputs.frame, drive.frame(frame))
        assert torch.equal(inputs.segmentation.logits.argmax(dim=1), drive.segmented(frame).long())
        near = drive.in_view([0 if frame < 3 else 5], of=frame)
        expected = torch.where(near, drive.hand_labels(frame), drive.segmented(frame))
        assert torch.equal(pseudo.labels, expected)
        assert pseudo.confidence.min() > 0.99


def test_refined_labels_are_soft(drive: Any) -> None:
    """The refiner's probabilities are the shares; its last channel is VOID."""

    class Torn(Filler):
        def __call__(self, inputs: TwoSidedInput) -> Tensor:
            probabilities = torch.tensor([0.5, 0.0, 0.2, 0.0, 0.3]).clamp(min=1e-9)
            return probabilities.log().view(1, -1, 1, 1).repeat(1, 1, *inputs.frame.shape[-2:])

    inputs = inputs_by_frame(drive, [0, 5])[1]

    dense = refine_sides(inputs, Torn()).dense(CLASS_COUNT)

    torch.testing.assert_close(dense[0, :, 3, 4], torch.tensor([0.5, 0.0, 0.2, 0.0, 0.3]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "changed", ["motion", "segmenter", "refiner", "carry", "choose", "smooth", "key labels", "key frames"]
)
def test_a_unit_is_redone_when_what_it_uses_changes(drive: Any, changed: str) -> None:
    """Labels depend on the networks, on the settings of labelling and on all key frames in reach."""
    video, models = drive.video([0, 5]), drive.models()
    first = drive.two_sided(models=models)
    (unit,) = first.units(video, 9)
    before = first.fingerprint(video, unit, PLUS)
    assert drive.two_sided(models=drive.models()).fingerprint(video, unit, PLUS) == before

    second = first
    if changed == "motion":
        models.motion.name = "another"
    elif changed == "key labels":
        write_labels(video.labels[5], drive.hand_labels(0), drive.classes)
    elif changed == "key frames":
        unit = replace(unit, key_frames=(0,))
    else:
        second = {
            "segmenter": drive.two_sided(models=replace(models, segmenter_fingerprint="colour-2")),
            "refiner": drive.two_sided(models=models, refiner_fingerprint="filler-2"),
            "carry": drive.two_sided(SMOOTHED.changed(("carry", "slack"), 2.0), models=models),
            "choose": drive.two_sided(choosing(reach=4), models=models),
            "smooth": drive.two_sided(RAW, models=models),
        }[changed]

    assert second.fingerprint(video, unit, PLUS) != before


@pytest.mark.parametrize(
    ("path", "value"),
    [(("rounds", "count"), 2), (("refiner", "mirrored"), False), (("refiner", "synthetic", "share"), 0.25)],
)
def test_a_unit_does_not_depend_on_how_networks_were_trained(
    drive: Any, path: tuple[str, ...], value: object
) -> None:
    """Training shows in the fingerprints of the weights, and the truth is never read."""
    video = drive.video([0, 5], truth=[1])
    first, other = drive.two_sided(), SMOOTHED.changed(path, value)
    assert other != SMOOTHED
    (unit,) = first.units(video, 9)
    before = first.fingerprint(video, unit, PLUS)
    write_labels(video.truth[1], drive.hand_labels(0), drive.classes)

    assert drive.two_sided(other).fingerprint(video, unit, PLUS) == before


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Trajectory]:
    """All trajectories that are still held."""
    held: weakref.WeakSet[Trajectory] = weakref.WeakSet()
    original = Trajectories._extended

    def watched(self: Trajectories, frame: int, before: int, rest: Trajectory | None) -> Trajectory:
        trajectory = original(self, frame, before, rest)
        held.add(trajectory)
        return trajectory

    monkeypatch.setattr(Trajectories, "_extended", watched)
    return held


def test_memory_does_not_grow_with_the_distance_of_the_key_frame_ahead(
    film: Callable[..., Any], alive: weakref.WeakSet[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a video without a key frame but the last, the first frames hold no more than the last ones."""
    monkeypatch.setattr(trajectories_module, "IN_MEMORY", 1)
    drive = film(step=(1, 0), size=(12, 40), length=40, name="long")
    video, labeller = drive.video([39]), drive.two_sided()
    (unit,) = labeller.units(video, 99)

    held = [len(alive) for _ in labeller.label(drive.evidence(video), unit, [PLUS])]

    smoothing = 5 * 4
    assert max(held) <= smoothing + 4


def test_labels_do_not_depend_on_what_fits_into_memory(
    film: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether trajectories come from memory or from disk, labels and confidence are the same, to the bit."""
    drive = film(length=12)
    fitting = labelled(drive, [0, 11], SMOOTHED)
    monkeypatch.setattr(trajectories_module, "IN_MEMORY", 1)
    spilled = labelled(drive, [0, 11], SMOOTHED)

    for frame, pseudo in fitting.items():
        assert torch.equal(pseudo.labels, spilled[frame].labels)
        assert torch.equal(pseudo.confidence, spilled[frame].confidence)


def test_the_trust_in_each_step_is_computed_once(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels are carried over the same steps that they are smoothed along."""
    steps: list[tuple[int, int]] = []
    original = trajectories_module.step_trust

    def watched(*given: Any, b: int, a: int) -> Tensor:
        steps.append((b, a))
        return original(*given, b=b, a=a)

    monkeypatch.setattr(trajectories_module, "step_trust", watched)
    labelled(drive, [0, 5], SMOOTHED)

    assert sorted(steps) == sorted({*steps})
    assert len(steps) == 2 * 5 - 2, "none that lives on a key frame"


def test_trajectories_of_labelled_frames_are_dropped(
    film: Callable[..., Any], alive: weakref.WeakSet[Trajectory]
) -> None:
    """What fits into memory is held until its frame is labelled, and not after that."""
    held = []
    for length in (14, 22):
        drive = film(step=(1, 0), size=(12, 40), length=length, name=f"{length} frames")
        video, labeller = drive.video([0, length - 1]), drive.two_sided()
        (unit,) = two_sided_units(video, 99, reach=99)
        labels = labeller.label(drive.evidence(video), unit, [PLUS])
        held.append([len(alive) for _ in labels])

    assert held[0][-1] == held[1][-1] < held[1][0]


def test_trajectories_of_frames_outside_a_unit_are_not_held(
    film: Callable[..., Any], alive: weakref.WeakSet[Trajectory]
) -> None:
    """On the way to a far key frame lie frames that are not labelled."""
    drive = film(step=(1, 0), size=(12, 40), length=13)
    video = drive.video([0, 4, 8, 12])
    (unit,) = (one for one in two_sided_units(video, 9, reach=9) if one.frames == (5, 6, 7))
    recipe = PlusRecipe(choose=ChooseSettings(reach=9), smooth=SmoothSettings(decay=0.0, frames=1))

    labels = drive.two_sided(recipe).label(drive.evidence(video), unit, [PLUS])

    assert next(iter(labels)).frame == 5
    # While 6 is labelled: its trajectories to both key frames before, those of 6 and 7 to both after.
    assert len(alive) <= 2 + 2 * 2
