"""Tests of training/refiners/cycles.py: the refiner's samples, each computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.frames import open_frames
from warprefine.io.images import read_frame, read_labels, write_labels
from warprefine.motion.dis import DISFlow
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.stepwise.cycle import Cycle, run_cycle
from warprefine.segmentation.compact import CompactSegmenter
from warprefine.training.losses import balanced_weights
from warprefine.training.refiners.cycles import Cycles
from warprefine.training.refiners.kind import channel_weights

TAU = 0.1


def models(fingerprint: str = "untrained") -> Models:
    segmenter = CompactSegmenter(3, widths=(4, 4, 4, 4, 4)).eval()
    return Models(motion=DISFlow("ultrafast"), segmenter=segmenter, segmenter_fingerprint=fingerprint)


@pytest.fixture
def make_cycles(tmp_path: Path) -> Callable[..., Cycles]:
    """Make the cycles of a data set, all with the same networks unless others are given."""
    always = models()

    def make(dataset: Dataset, models_of: Any = lambda video, frame: always, longest: int = 2) -> Cycles:
        return Cycles(dataset, ArrayCache(tmp_path / "cache"), longest=longest, models_of=models_of)

    return make


def test_every_key_frame_has_its_cycles(
    make_dataset: Callable[..., Dataset], make_cycles: Callable[..., Cycles]
) -> None:
    """Cycles of all videos are listed, as long as is requested for."""
    cycles = make_cycles(make_dataset(videos=[(1,), (5,)]))

    assert [(c.video, c.key_frame, c.reach) for c in cycles.members] == [
        ("video0", 1, 1),
        ("video0", 1, -1),
        ("video0", 1, 2),
        ("video1", 5, -1),
        ("video1", 5, -2),
    ]
    assert len(cycles) == 5


def test_a_sample_is_the_returned_labels_and_the_hand_made_ones(
    tmp_path: Path, dataset: Dataset, make_cycles: Callable[..., Cycles]
) -> None:
    """The refiner gets the returned labels of a cycle as input, and the hand-made ones as target."""
    cycles = make_cycles(dataset)
    cycles.prepare(TAU)
    index = cycles.members.index(Cycle(video="video0", key_frame=4, reach=-2))

    sample = cycles[index]

    (video,) = dataset.videos
    hand_made = read_labels(video.labels[4], dataset.classes)
    with open_evidence(video, dataset.classes, models(), ArrayCache(tmp_path / "cache")) as evidence:
        returned = run_cycle(evidence, cycles.members[index], hand_made, tau=TAU)
        segmentation = evidence.segmentation(4)
    assert torch.equal(sample.target, hand_made)
    assert torch.equal(sample.inputs.labels, returned.labelling.labels)
    assert not torch.equal(sample.inputs.labels, sample.target)
    assert torch.equal(sample.inputs.frame, read_frame(video.frame_paths[4]))
    assert torch.equal(sample.inputs.warped_frame, returned.pair.warped_frame.round().to(torch.uint8))
    assert torch.equal(sample.inputs.segmentation.logits, segmentation.logits)


def test_cycles_are_run_once(
    dataset: Dataset, make_cycles: Callable[..., Cycles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed training finds the cycles on disk; with another tau they are run anew."""
    ran: list[Cycle] = []
    original = Cycles._run

    def counting(self: Cycles, cycles: list[Cycle]) -> None:
        ran.extend(cycles)
        original(self, cycles)

    monkeypatch.setattr(Cycles, "_run", counting)
    make_cycles(dataset).prepare(TAU)
    assert ran == list(make_cycles(dataset).members)

    make_cycles(dataset).prepare(TAU)
    assert len(ran) == 6

    make_cycles(dataset).prepare(2 * TAU)
    assert len(ran) == 12


def test_cycles_of_a_corrected_key_frame_are_run_again(
    dataset: Dataset, make_cycles: Callable[..., Cycles]
) -> None:
    """When a person corrects a label map, its cycles start from the new one."""
    make_cycles(dataset).prepare(TAU)
    (video,) = dataset.videos
    write_labels(video.labels[4], torch.full((1, 48, 64), 2, dtype=torch.uint8), dataset.classes)
    cycles = make_cycles(dataset)
    cycles.prepare(TAU)

    sample = cycles[cycles.members.index(Cycle(video="video0", key_frame=4, reach=1))]

    assert sample.target.unique().tolist() == [2]
    assert (sample.inputs.labels == 2).float().mean() > 0.5


def test_each_key_frame_has_its_own_segmenter(
    make_dataset: Callable[..., Dataset], make_cycles: Callable[..., Cycles]
) -> None:
    """Cycles at a key frame are run with the networks that are given for that very key frame."""
    requested: set[tuple[str, int]] = set()
    by_frame = {1: models("first"), 4: models("second")}

    def models_of(video: Video, frame: int) -> Models:
        requested.add((video.name, frame))
        return by_frame[frame]

    cycles = make_cycles(make_dataset(), models_of)
    cycles.prepare(TAU)

    logits = [
        cycles[i].inputs.segmentation.logits for i in range(len(cycles)) if cycles.members[i].reach == 1
    ]
    assert requested == {("video0", 1), ("video0", 4)}
    assert not torch.equal(*logits)
    with open_frames(make_dataset().videos[0]) as frames, torch.inference_mode():
        expected = by_frame[4].segmenter(frames[4]).logits  # type: ignore[misc]
    torch.testing.assert_close(logits[1], expected, atol=0.02, rtol=0.02)


def test_progress_counts_cycles(dataset: Dataset, make_cycles: Callable[..., Cycles]) -> None:
    """Progress reports which cycle is done, of how many."""
    reported: list[Any] = []

    make_cycles(dataset, longest=1).prepare(
        TAU, progress=lambda task, done, total, note="": reported.append((task, done, total, note))
    )

    assert reported == [
        ("cycling", 1, 4, "video0 1+1"),
        ("cycling", 2, 4, "video0 1-1"),
        ("cycling", 3, 4, "video0 4+1"),
        ("cycling", 4, 4, "video0 4-1"),
    ]


def test_class_weights_follow_the_hand_made_labels(
    dataset: Dataset, make_cycles: Callable[..., Cycles]
) -> None:
    """The rarer a class is on the key frames, the more its pixels weigh; VOID is the last class."""
    (video,) = dataset.videos
    labels = torch.cat([read_labels(path, dataset.classes) for path in video.labels.values()])
    pixels = [int((labels == label).sum()) for label in (0, 1, 2, 255)]

    weights = channel_weights(make_cycles(dataset).class_pixels(), 3, 0.5)

    torch.testing.assert_close(weights, balanced_weights(pixels, 0.5))
    assert weights.argmax() == pixels.index(min(pixels))
