"""Tests of propagation/engine.py: labels walk through a video whose motion is known to the pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import LabelError
from warprefine.core.pseudolabel import PseudoLabel
from warprefine.core.tensors import VOID
from warprefine.io.images import write_labels
from warprefine.ops.label_vote import vote_labels
from warprefine.propagation.engine import read_key_labels, walk
from warprefine.propagation.methods import ORACLE, STEPS, Setting
from warprefine.propagation.schedule import plan

TAU = 0.05


def walked(drive: Any, video: Any, *methods: str, models: Any = None) -> dict[tuple[str, int], PseudoLabel]:
    """Walk every unit of a video and return the pseudo-labels by method and frame."""
    setting = Setting(tau=TAU, refiner=drive.refiner())
    evidence = drive.evidence(video, models)
    return {
        (pseudo.provenance.method, frame): pseudo
        for unit in plan(video, horizon=9)
        for frame, pseudo in walk(evidence, unit, drive.classes, methods, setting)
    }


@pytest.mark.parametrize("step", [(2, 1), (-3, 0), (1, -2)])
@pytest.mark.parametrize("key", [0, 3, 5])
def test_labels_are_carried_exactly_both_ways(
    film: Callable[..., Any], step: tuple[int, int], key: int
) -> None:
    """With whole-pixel motion a person's labels reach every frame they are in view in, to the pixel."""
    drive = film(step=step)

    found = walked(drive, drive.video([key]), "warp-inpaint")

    assert sorted(frame for _, frame in found) == [t for t in range(drive.length) if t != key]
    for (_, frame), pseudo in found.items():
        carried = drive.in_view([key], of=frame)
        assert torch.equal(pseudo.labels, torch.where(carried, drive.hand(frame), drive.seen(frame)))
        assert bool((pseudo.confidence[carried] == 1).all())


def test_the_refiner_mends_every_step(drive: Any) -> None:
    """What the refiner repaired is what the next step starts from: no VOID is carried on."""
    found = walked(drive, drive.video([0]), "warp-refine", "warp-inpaint")

    for frame in range(1, drive.length):
        carried = drive.in_view([0], of=frame) & (drive.hand(frame) != VOID)
        refined = found["warp-refine", frame].labels
        assert torch.equal(refined, torch.where(carried, drive.hand(frame), drive.seen(frame)))
        assert bool((found["warp-inpaint", frame].labels == VOID).any())


def test_motion_alone_is_warping_step_by_step(drive: Any) -> None:
    """Motion-only is nothing but the labels before, warped once more, border labels repeated."""
    video = drive.video([0])
    found = walked(drive, video, "motion-only")
    evidence = drive.evidence(video)

    labels: Tensor = drive.hand(0)
    for frame in range(1, drive.length):
        labels, _ = vote_labels(labels, evidence.flow(frame, frame - 1), outside="replicate")
        assert torch.equal(found["motion-only", frame].labels, labels)


def test_motion_alone_asks_no_segmenter(drive: Any) -> None:
    """A run of motion-only works before any network was trained."""
    models = drive.models()

    walked(drive, drive.video([0]), "motion-only", "oracle", models=models)

    assert models.segmenter.asked == 0
    assert models.motion.asked == drive.length - 1


def test_semantic_only_starts_anew_in_every_frame(drive: Any) -> None:
    """Semantic-only is the segmenter's word, whatever the key frame says."""
    found = walked(drive, drive.video([2]), "semantic-only")

    assert all(torch.equal(pseudo.labels, drive.seen(frame)) for (_, frame), pseudo in found.items())


def test_the_oracle_is_the_truth_where_there_is_some(drive: Any) -> None:
    """The oracle copies the labels that were held back, and has none where there are none."""
    models = drive.models()
    found = walked(drive, drive.video([0], truth=[1, 4]), "oracle", models=models)

    assert sorted(found) == [("oracle", 1), ("oracle", 4)]
    assert torch.equal(found["oracle", 4].labels, drive.hand(4))
    assert bool((found["oracle", 4].confidence == 1).all())
    assert models.motion.asked == 0


def test_methods_do_not_disturb_each_other(drive: Any) -> None:
    """A method gives the same labels alone and beside all others."""
    video = drive.video([1], truth=[3])
    methods = (*STEPS, ORACLE)
    together = walked(drive, video, *methods)

    for method in methods:
        alone = walked(drive, video, method)
        assert sorted(alone) == sorted(key for key in together if key[0] == method)
        assert all(torch.equal(together[key].labels, pseudo.labels) for key, pseudo in alone.items())
        assert all(torch.equal(together[key].confidence, pseudo.confidence) for key, pseudo in alone.items())


def test_pseudo_labels_say_where_they_came_from(drive: Any) -> None:
    """Each pseudo-label names its method, its key frame and how far away that is."""
    found = walked(drive, drive.video([1, 4]), "motion-only")

    origins = {frame: (p.provenance.key_frames, p.provenance.distance) for (_, frame), p in found.items()}
    assert origins == {0: ((1,), 1), 2: ((1,), 1), 3: ((4,), 1), 5: ((4,), 1)}


def test_confidence_never_leaves_its_range(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A confidence that rounding lifted above 1 is 1."""
    monkeypatch.setattr(
        "warprefine.propagation.engine.known",
        lambda labels: replace_confidence(labels, 1 + 1e-6),
    )

    found = walked(drive, drive.video([0]), "motion-only")

    assert max(float(pseudo.confidence.amax()) for pseudo in found.values()) == 1


def replace_confidence(labels: Tensor, value: float) -> Any:
    from warprefine.propagation.step import known

    return replace(known(labels), confidence=torch.full(labels.shape, value))


def test_labels_of_a_key_frame_have_its_size(drive: Any, tmp_path: Path) -> None:
    """A label map of another size than its frame is refused, with both sizes."""
    write_labels(tmp_path / "small.png", drive.hand(0)[:, 1:], drive.classes)
    video = replace(drive.video([0]), labels={0: tmp_path / "small.png"})

    with pytest.raises(LabelError, match=r"small\.png is 31 x 40 \(h x w\), but its frame is 32 x 40"):
        read_key_labels(drive.evidence(video), 0, drive.classes)
