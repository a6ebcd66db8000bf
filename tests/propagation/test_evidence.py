"""Tests of propagation/evidence.py: frames, flow and segmentations, each computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from warprefine.io.frames import PictureFrames
from warprefine.propagation.evidence import Evidence, Models


def test_evidence_is_what_the_networks_say(drive: Any) -> None:
    """Frames are those of the video, flow lives on its first frame, a segmentation on its own."""
    evidence = drive.evidence(drive.video([0]))

    assert torch.equal(evidence.frame(3), drive.frame(3))
    assert evidence.flow(3, 2)[0, :, 5, 7].tolist() == [-2, -1]
    assert evidence.flow(2, 3)[0, :, 5, 7].tolist() == [2, 1]
    assert torch.equal(evidence.segmentation(4).logits.argmax(dim=1), drive.seen(4).long())


def test_nothing_is_computed_twice(drive: Any) -> None:
    """Every key frame, method and cycle asks; the networks are asked once, this time and the next."""
    video, models = drive.video([0]), drive.models()
    for evidence in (drive.evidence(video, models), drive.evidence(video, models)):
        for _ in range(2):
            evidence.flow(2, 1)
            evidence.flow(1, 2)
            evidence.segmentation(2)

    assert models.motion.asked == 2
    assert models.segmenter.asked == 1


def test_what_was_read_from_disk_equals_what_was_computed(drive: Any) -> None:
    """A resumed run sees the same numbers as an undisturbed one, to the bit."""
    video = drive.video([0])
    computed, read = drive.evidence(video), drive.evidence(video)
    fresh = computed.flow(1, 0), computed.segmentation(1)

    stored = read.flow(1, 0), read.segmentation(1)

    assert torch.equal(fresh[0], stored[0])
    assert torch.equal(fresh[1].logits, stored[1].logits)
    assert torch.equal(fresh[1].features, stored[1].features)
    assert {stored[1].logits.dtype, stored[1].features.dtype, fresh[1].logits.dtype} == {torch.float32}


@pytest.mark.parametrize(
    ("keep", "kinds"), [("all", {"flow", "segmentation"}), ("flow", {"flow"}), ("nothing", set())]
)
def test_only_what_is_to_be_kept_lies_on_disk(drive: Any, keep: Any, kinds: set[str]) -> None:
    """The numbers are the same, rounding included, whatever stays on disk."""
    video = drive.video([0])
    models = replace(drive.models(), keep=keep)
    evidence = drive.evidence(video, models)
    found = evidence.flow(1, 0), evidence.segmentation(1)
    cache = drive.folder / "cache"
    assert ({path.name for path in cache.iterdir()} if cache.exists() else set()) == kinds

    kept = drive.evidence(video)
    assert torch.equal(found[0], kept.flow(1, 0))
    assert torch.equal(found[1].logits, kept.segmentation(1).logits)
    assert torch.equal(found[1].features, kept.segmentation(1).features)


def test_other_weights_are_asked_again(drive: Any) -> None:
    """What one segmenter said is not taken for the word of another."""
    video, first = drive.video([0]), drive.models()
    second = Models(
        motion=first.motion, segmenter=drive.segmenter(sharpness=5e-4), segmenter_fingerprint="colour-2"
    )
    drive.evidence(video, first).segmentation(1)

    drive.evidence(video, second).segmentation(1)

    assert second.segmenter.asked == 1


def test_memory_does_not_grow_with_the_video(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last few frames are kept; a frame from long ago is read again, a recent one is not."""
    read: list[int] = []
    original = PictureFrames.__getitem__

    def counting(self: PictureFrames, number: int) -> torch.Tensor:
        read.append(number)
        return original(self, number)

    monkeypatch.setattr(PictureFrames, "__getitem__", counting)
    evidence = drive.evidence(drive.video([0]), kept_in_memory=2)
    for number in (0, 1, 0, 2, 0, 1):
        evidence.frame(number)

    assert read == [0, 1, 2, 1]


def test_without_a_segmenter_nobody_may_ask_for_one(drive: Any) -> None:
    """A run of motion alone has no segmenter, and a step that wants one is our own mistake."""
    evidence: Evidence = drive.evidence(drive.video([0]), Models(motion=drive.motion()))

    assert evidence.flow(1, 0).shape == (1, 2, *drive.size)
    with pytest.raises(ValueError, match="a segmentation is asked for, but there is no segmenter"):
        evidence.segmentation(1)


def test_what_the_networks_say_can_be_learned_from(drive: Any) -> None:
    """Segmentations may take part in a training, whether they were just computed or read."""
    for evidence in (drive.evidence(drive.video([0])), drive.evidence(drive.video([0]))):
        said = evidence.segmentation(1)
        weight = torch.ones(1, requires_grad=True)
        (said.logits * weight).square().mean().backward()
        assert weight.grad is not None
        assert not said.logits.is_inference()


def test_motion_that_looks_back_sees_the_frame_before(drive: Any) -> None:
    """An estimator for three frames gets the one on the far side of frame a, where the video has one."""

    class Backward:
        name = "backward"
        sides: list[bool]

        def __init__(self) -> None:
            self.sides = []

        def __call__(self, frame_b: torch.Tensor, frame_a: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 2, *frame_b.shape[-2:])

        def from_three(
            self, frame_b: torch.Tensor, frame_a: torch.Tensor, frame_before: torch.Tensor
        ) -> torch.Tensor:
            self.sides += [torch.equal(frame_before, drive.frame(k)) for k in (1, 4)]
            return torch.ones(1, 2, *frame_b.shape[-2:])

    motion = Backward()
    evidence = drive.evidence(drive.video([0]), Models(motion=motion))

    assert evidence.flow(3, 2).max() == 1
    assert evidence.flow(2, 3).max() == 1
    assert motion.sides == [True, False, False, True]
    assert evidence.flow(1, 0).max() == 0
