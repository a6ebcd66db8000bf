"""Tests of propagation/evidence.py: frames, labels, flow and segmentations, each computed once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from warprefine.core.errors import FrameError, LabelError
from warprefine.io import images
from warprefine.io.array_cache import ArrayCache
from warprefine.io.frames import PictureFrames
from warprefine.io.images import write_gray, write_labels
from warprefine.motion.dis import DISFlow
from warprefine.propagation import evidence as evidence_module
from warprefine.propagation.evidence import KEY_LABELS_IN_MEMORY, Evidence, Models, open_evidence


def test_evidence_is_what_the_networks_compute(drive: Any) -> None:
    """Frames are those of the video, flow lives on its first frame, a segmentation on its own."""
    evidence = drive.evidence(drive.video([0]))

    assert torch.equal(evidence.frame(3), drive.frame(3))
    assert evidence.flow(3, 2)[0, :, 5, 7].tolist() == [-2, -1]
    assert evidence.flow(2, 3)[0, :, 5, 7].tolist() == [2, 1]
    assert torch.equal(evidence.segmentation(4).logits.argmax(dim=1), drive.segmented(4).long())


def test_nothing_is_computed_twice(drive: Any) -> None:
    """Key frames, methods and cycles share what is computed once, in this process and the next."""
    video, models = drive.video([0]), drive.models()
    for evidence in (drive.evidence(video, models), drive.evidence(video, models)):
        for _ in range(2):
            evidence.flow(2, 1)
            evidence.flow(1, 2)
            evidence.segmentation(2)

    assert models.motion.calls == 2
    assert models.segmenter.calls == 1


def test_what_was_read_from_disk_equals_what_was_computed(drive: Any) -> None:
    """A resumed run has the same numbers as an undisturbed one, to the bit."""
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


def test_other_weights_segment_again(drive: Any) -> None:
    """The outputs of one segmenter are not taken for those of another."""
    video, first = drive.video([0]), drive.models()
    second = Models(
        motion=first.motion, segmenter=drive.segmenter(sharpness=5e-4), segmenter_fingerprint="colour-2"
    )
    drive.evidence(video, first).segmentation(1)

    drive.evidence(video, second).segmentation(1)

    assert second.segmenter.calls == 1


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


def test_without_a_segmenter_there_is_no_segmentation(drive: Any) -> None:
    """A run of motion alone has no segmenter, and a step that needs one is our own mistake."""
    evidence: Evidence = drive.evidence(drive.video([0]), Models(motion=drive.motion()))

    assert evidence.flow(1, 0).shape == (1, 2, *drive.size)
    with pytest.raises(ValueError, match="a segmentation is needed, but there is no segmenter"):
        evidence.segmentation(1)


def test_networks_can_be_trained_on_segmentations(drive: Any) -> None:
    """Segmentations may take part in a training, whether they were just computed or read."""
    for evidence in (drive.evidence(drive.video([0])), drive.evidence(drive.video([0]))):
        segmentation = evidence.segmentation(1)
        weight = torch.ones(1, requires_grad=True)
        (segmentation.logits * weight).square().mean().backward()
        assert weight.grad is not None
        assert not segmentation.logits.is_inference()


def test_three_frame_motion_gets_the_frame_before(drive: Any) -> None:
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


def test_labels_of_a_key_frame_are_those_on_disk(drive: Any) -> None:
    """Labels are read by the number of their key frame."""
    evidence = drive.evidence(drive.video([1, 4]))

    assert torch.equal(evidence.key_labels(4), drive.hand_labels(4))
    assert torch.equal(evidence.key_labels(1), drive.hand_labels(1))
    with pytest.raises(KeyError):
        evidence.key_labels(2)


def test_labels_of_a_key_frame_are_read_once(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are needed for many frames, and stay in memory beside a number of others, but not all."""
    read: list[Path] = []

    def counting(path: Path, *args: Any, **named: Any) -> torch.Tensor:
        read.append(path)
        return images.read_labels(path, *args, **named)

    monkeypatch.setattr(evidence_module, "read_labels", counting)
    video = drive.video([0])
    same = dict.fromkeys(range(drive.length), video.labels[0])
    evidence = drive.evidence(replace(video, labels=same))
    for _ in range(2):
        for k in same:
            evidence.key_labels(k)
    assert len(read) == len(same) < KEY_LABELS_IN_MEMORY

    monkeypatch.setattr(evidence_module, "KEY_LABELS_IN_MEMORY", 2)
    read.clear()
    small = drive.evidence(replace(video, labels=same))
    for k in (0, 1, 0, 2, 0, 1):
        small.key_labels(k)
    assert len(read) == 4


def test_labels_of_a_key_frame_have_its_size(drive: Any, tmp_path: Path) -> None:
    """A label map of another size than its frame is refused, with both sizes."""
    write_labels(tmp_path / "small.png", drive.hand_labels(0)[:, 1:], drive.classes)
    video = replace(drive.video([0]), labels={0: tmp_path / "small.png"})

    with pytest.raises(LabelError, match=r"small\.png is 31 x 40 \(h x w\), but its frame is 32 x 40"):
        drive.evidence(video).key_labels(0)


def test_labels_of_a_key_frame_are_of_its_classes(drive: Any, tmp_path: Path) -> None:
    """A label map with ids of no class is refused."""
    write_gray(tmp_path / "strange.png", torch.full((1, *drive.size), 9 / 255))
    video = replace(drive.video([0]), labels={0: tmp_path / "strange.png"})

    with pytest.raises(LabelError, match=r"strange\.png holds ids that are no class: 9 \(1280 px\)"):
        drive.evidence(video).key_labels(0)


def test_a_video_is_opened_and_closed_again(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its frames are there inside the context; the arguments are those of `Evidence`."""
    video, models, cache = drive.video([0]), drive.models(), ArrayCache(drive.folder / "cache")
    with open_evidence(video, drive.classes, models, cache, kept_in_memory=1) as evidence:
        assert torch.equal(evidence.frame(2), drive.frame(2))
        assert torch.equal(evidence.key_labels(0), drive.hand_labels(0))
        evidence.flow(1, 0)
    assert models.motion.calls == 1

    gone = replace(video, frame_paths=(), container=drive.folder / "gone.mp4")
    with (
        pytest.raises(FrameError, match=r"gone\.mp4"),
        open_evidence(gone, drive.classes, models, cache),
    ):
        pytest.fail("there is no such file")


def test_evidence_is_on_the_device_of_the_models(drive: Any) -> None:
    """Frames, key labels, segmentations and flow are where labels are computed, whatever computed them."""
    video, models = drive.video([0]), replace(drive.models(), motion=DISFlow("medium"))
    here = drive.evidence(video, models)
    segmentation = here.segmentation(1)  # from the cache: the network of this test cannot run elsewhere

    there = drive.evidence(video, replace(models, device=torch.device("meta")))

    assert there.frame(1).device.type == there.key_labels(0).device.type == "meta"
    assert there.flow(1, 0).device.type == "meta"
    assert there.segmentation(1).logits.device.type == "meta"
    assert there.segmentation(1).logits.shape == segmentation.logits.shape
    assert there.device.type == "meta"


def test_what_a_device_keeps_is_bounded_by_its_bytes(drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory there does not grow with the length of the video, and what is kept is not read again."""
    read: list[int] = []
    original = PictureFrames.__getitem__

    def watched(self: PictureFrames, number: int) -> Tensor:
        read.append(number)
        return original(self, number)

    monkeypatch.setattr(PictureFrames, "__getitem__", watched)
    monkeypatch.setattr(evidence_module, "KEPT_ON_DEVICE", 3 * drive.frame(0).nbytes)
    models = replace(drive.models(), device=torch.device("meta"))
    evidence = drive.evidence(drive.video([0]), models, kept_in_memory=1)

    for k in (0, 1, 2, 0, 1, 2, 3, 0):
        evidence.frame(k)

    assert read == [0, 1, 2, 3, 0]
