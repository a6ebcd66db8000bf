"""Tests of propagation/stepwise/walk.py: labels walk through a video whose motion is known to the pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.tensors import VOID
from warprefine.io.images import write_labels
from warprefine.ops.label_vote import vote_labels
from warprefine.propagation.methods import PAPER_METHODS
from warprefine.propagation.stepwise.step import Labelling, Pair, from_hand_labels
from warprefine.propagation.stepwise.walk import STEPS, StepSettings
from warprefine.propagation.units import stepwise_units
from warprefine.recipe.recipe import Recipe


def settings(*, tau: float, threshold: float = 0.9, **refiner: Any) -> StepSettings:
    return StepSettings(tau=tau, threshold=threshold, **refiner)


@pytest.fixture
def pair(drive: Any) -> Pair:
    """The first step of a drive, its motion known."""
    flow = torch.tensor([-2.0, -1.0]).view(1, 2, 1, 1).repeat(1, 1, *drive.size)
    return Pair.of(drive.frame(0), drive.frame(1), flow, drive.segmenter()(drive.frame(1)))


def test_motion_only_repeats_the_border(drive: Any, pair: Pair) -> None:
    """Motion alone has nothing to inpaint with, so what comes into view gets the label of the border."""
    after = STEPS["motion-only"](from_hand_labels(drive.hand_labels(0)), pair, settings(tau=0.0))

    inside = drive.in_view([0], of=1)
    assert torch.equal(after.labels[inside], drive.hand_labels(1)[inside])
    assert torch.equal(after.labels[0, 1:, 0], drive.hand_labels(0)[0, :-1, 0])
    assert torch.equal(after.labels[0, 1:, 1], drive.hand_labels(0)[0, :-1, 0])


def test_semantic_only_forgets_the_labels_before(drive: Any, pair: Pair) -> None:
    """Semantic-only takes the segmenter's labels where they are confident enough, and VOID elsewhere."""
    anything = from_hand_labels(torch.zeros(1, *drive.size, dtype=torch.uint8))

    sure = STEPS["semantic-only"](anything, pair, settings(tau=0.1, threshold=0.9))
    never = STEPS["semantic-only"](anything, pair, settings(tau=0.1, threshold=1.0))

    assert torch.equal(sure.labels, drive.segmented(1))
    assert never.labels.unique().tolist() == [VOID]


def test_semantic_only_keeps_what_is_above_nine_tenths(drive: Any) -> None:
    """By default, a label is kept if its probability is above 0.9 (the paper, section 4.2)."""
    probability = torch.tensor([0.9 - 1e-4, 0.9 + 1e-4])
    logits = torch.stack((probability.log(), (1 - probability).log()))[None, :, None]
    segmentation = drive.segmenter()(drive.frame(0))
    object.__setattr__(segmentation, "logits", logits)
    frame = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
    pair = Pair.of(frame, frame, torch.zeros(1, 2, 1, 2), segmentation)
    by_default = settings(tau=0.1, threshold=Recipe().propagation.semantic_threshold)

    after = STEPS["semantic-only"](from_hand_labels(frame[:, 0]), pair, by_default)

    assert after.labels.tolist() == [[[VOID, 0]]]


def test_warp_refine_is_warp_inpaint_refined(drive: Any, pair: Pair) -> None:
    """The refiner works on the labels of warp-inpaint."""
    with_refiner = settings(tau=0.05, refiner=drive.refiner())
    start = from_hand_labels(drive.hand_labels(0))

    inpainted = STEPS["warp-inpaint"](start, pair, with_refiner)
    refined = STEPS["warp-refine"](start, pair, with_refiner)

    void = inpainted.labels == VOID
    assert bool(void.any())
    assert torch.equal(refined.labels, torch.where(void, drive.segmented(1), inpainted.labels))


def test_warp_refine_without_a_refiner_is_our_own_mistake(drive: Any, pair: Pair) -> None:
    """Unrefined labels never go by the name of refined ones."""
    with pytest.raises(ValueError, match="warp-refine needs a refiner"):
        STEPS["warp-refine"](from_hand_labels(drive.hand_labels(0)), pair, settings(tau=0.1))


@pytest.mark.parametrize("method", sorted(STEPS))
def test_confidence_is_a_probability(drive: Any, pair: Pair, method: str) -> None:
    """Every method returns a confidence for every pixel, from 0 to 1."""
    with_refiner = settings(tau=0.05, refiner=drive.refiner())
    start = Labelling(labels=drive.hand_labels(0), confidence=torch.rand(1, *drive.size))

    confidence = STEPS[method](start, pair, with_refiner).confidence

    assert confidence.shape == (1, *drive.size)
    assert 0 <= confidence.amin() <= confidence.amax() <= 1 + 1e-6


def walked(drive: Any, video: Any, *methods: str, models: Any = None) -> dict[tuple[str, int], PseudoLabel]:
    """Walk every unit of a video and return the pseudo-labels by method and frame."""
    labeller = drive.stepwise(*methods, models=models)
    evidence = drive.evidence(video, labeller.models)
    units = labeller.units(video, horizon=9)
    assert units == stepwise_units(video, 9)
    return {
        (pseudo.provenance.method, pseudo.frame): pseudo
        for unit in units
        for pseudo in labeller.label(evidence, unit, methods)
    }


@pytest.mark.parametrize("step", [(2, 1), (-3, 0), (1, -2)])
@pytest.mark.parametrize("key", [0, 3, 5])
def test_labels_are_carried_exactly_both_ways(
    film: Callable[..., Any], step: tuple[int, int], key: int
) -> None:
    """With whole-pixel motion hand-made labels reach every frame they are in view in, to the pixel."""
    drive = film(step=step)

    found = walked(drive, drive.video([key]), "warp-inpaint")

    assert sorted(frame for _, frame in found) == [t for t in range(drive.length) if t != key]
    for (_, frame), pseudo in found.items():
        carried = drive.in_view([key], of=frame)
        expected = torch.where(carried, drive.hand_labels(frame), drive.segmented(frame))
        assert torch.equal(pseudo.labels, expected)
        assert bool((pseudo.confidence[carried] == 1).all())


def test_the_refiner_mends_every_step(drive: Any) -> None:
    """The next step starts from refined labels: no VOID is carried on."""
    found = walked(drive, drive.video([0]), "warp-refine", "warp-inpaint")

    for frame in range(1, drive.length):
        carried = drive.in_view([0], of=frame) & (drive.hand_labels(frame) != VOID)
        refined = found["warp-refine", frame].labels
        assert torch.equal(refined, torch.where(carried, drive.hand_labels(frame), drive.segmented(frame)))
        assert bool((found["warp-inpaint", frame].labels == VOID).any())


def test_motion_alone_is_warping_step_by_step(drive: Any) -> None:
    """Motion-only is nothing but the labels before, warped once more, border labels repeated."""
    video = drive.video([0])
    found = walked(drive, video, "motion-only")
    evidence = drive.evidence(video)

    labels: Tensor = drive.hand_labels(0)
    for frame in range(1, drive.length):
        labels, _ = vote_labels(labels, evidence.flow(frame, frame - 1), outside="replicate")
        assert torch.equal(found["motion-only", frame].labels, labels)


def test_motion_alone_uses_no_segmenter(drive: Any) -> None:
    """A run of motion-only works before any network was trained."""
    models = drive.models()

    walked(drive, drive.video([0]), "motion-only", models=models)

    assert models.segmenter.calls == 0
    assert models.motion.calls == drive.length - 1


def test_semantic_only_estimates_no_motion(drive: Any) -> None:
    """Alone it warps nothing; beside another method its labels are the same."""
    models = drive.models()
    both = walked(drive, drive.video([0]), "motion-only", "semantic-only")

    alone = walked(drive, drive.video([0]), "semantic-only", models=models)

    assert models.motion.calls == 0
    assert alone.keys() == {key for key in both if key[0] == "semantic-only"}
    assert all(torch.equal(pseudo.labels, both[key].labels) for key, pseudo in alone.items())


def test_semantic_only_starts_anew_in_every_frame(drive: Any) -> None:
    """Semantic-only is the segmenter's output, whatever the labels of the key frame."""
    found = walked(drive, drive.video([2]), "semantic-only")

    assert all(torch.equal(pseudo.labels, drive.segmented(frame)) for (_, frame), pseudo in found.items())


def test_methods_do_not_disturb_each_other(drive: Any) -> None:
    """A method gives the same labels alone and beside all others."""
    video = drive.video([1], truth=[3])
    together = walked(drive, video, *PAPER_METHODS)

    for method in PAPER_METHODS:
        alone = walked(drive, video, method)
        assert sorted(alone) == sorted(key for key in together if key[0] == method)
        assert all(torch.equal(together[key].labels, pseudo.labels) for key, pseudo in alone.items())
        assert all(torch.equal(together[key].confidence, pseudo.confidence) for key, pseudo in alone.items())


def test_pseudo_labels_have_their_provenance(drive: Any) -> None:
    """Each pseudo-label names its method, its key frame and how far away that is."""
    found = walked(drive, drive.video([1, 4]), "motion-only")

    origins = {frame: (p.provenance.key_frames, p.provenance.distance) for (_, frame), p in found.items()}
    assert origins == {0: ((1,), 1), 2: ((1,), 1), 3: ((4,), 1), 5: ((4,), 1)}


def test_confidence_never_leaves_its_range(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A confidence that rounding lifted above 1 is 1."""

    def above_one(labels: Tensor) -> Labelling:
        return replace(from_hand_labels(labels), confidence=torch.full(labels.shape, 1 + 1e-6))

    monkeypatch.setattr("warprefine.propagation.stepwise.walk.from_hand_labels", above_one)

    found = walked(drive, drive.video([0]), "motion-only")

    assert max(float(pseudo.confidence.amax()) for pseudo in found.values()) == 1


def fingerprints(labeller: Any, video: Any) -> dict[tuple[tuple[int, ...], str], str]:
    """Return the fingerprint of each walk and method, by its frames and the method's name."""
    return {
        (unit.frames, method): labeller.fingerprint(video, unit, method)
        for unit in labeller.units(video, 2)
        for method in labeller.methods
    }


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"tau": 0.1}, {"warp-inpaint", "warp-refine"}),
        ({"refiner_fingerprint": "filler-2"}, {"warp-refine"}),
        ({"threshold": 0.5}, {"semantic-only"}),
        ({"segmenter": "colour-2"}, {"semantic-only", "warp-inpaint", "warp-refine"}),
        ({"motion": "other"}, {"motion-only", "warp-inpaint", "warp-refine"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_method_is_redone_when_what_it_uses_changes(
    drive: Any, changes: dict[str, Any], redone: set[str]
) -> None:
    """Labels depend on the networks and settings that their method uses, and on no others."""
    video, models, changes = drive.video([1], truth=[2]), drive.models(), dict(changes)
    models.motion.name = changes.pop("motion", models.motion.name)
    models = replace(models, segmenter_fingerprint=changes.pop("segmenter", models.segmenter_fingerprint))
    first = fingerprints(drive.stepwise(), video)

    second = fingerprints(drive.stepwise(models=models, **changes), video)

    changed = {one for one in first if first[one] != second[one]}
    assert changed == {(frames, method) for frames, method in first if method in redone}


def test_a_walk_is_redone_when_its_key_frame_is_corrected(drive: Any) -> None:
    """Labels of other key frames do not count, nor does the truth, which only the oracle may read."""
    video, labeller = drive.video([0, 5], truth=[1]), drive.stepwise()
    before = fingerprints(labeller, video)
    write_labels(video.truth[1], drive.hand_labels(0), drive.classes)
    assert fingerprints(labeller, video) == before

    write_labels(video.labels[5], drive.hand_labels(0), drive.classes)

    after = fingerprints(labeller, video)
    changed = {one for one in before if before[one] != after[one]}
    assert changed == {((4, 3), method) for method in PAPER_METHODS}


def test_labels_of_another_key_frame_are_others(drive: Any) -> None:
    """A frame is labelled again when it belongs to another key frame, though that has the same labels."""
    video, labeller = drive.video([1, 3]), drive.stepwise()
    video = replace(video, labels=dict.fromkeys((1, 3), video.labels[1]))
    (unit,) = (unit for unit in labeller.units(video, 1) if unit.frames == (2,))

    other = replace(unit, key_frames=(3,))

    for method in PAPER_METHODS:
        assert labeller.fingerprint(video, unit, method) != labeller.fingerprint(video, other, method)
