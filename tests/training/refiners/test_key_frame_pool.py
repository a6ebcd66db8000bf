"""Tests of training/refiners/key_frame_pool.py: key frames on cycles, and labelled from other key frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_frame, read_labels, write_labels
from warprefine.motion.dis import DISFlow
from warprefine.propagation.evidence import Models, open_evidence
from warprefine.propagation.two_sided.carry import LabelCarrier
from warprefine.propagation.two_sided.trajectories import Trajectories, Trajectory
from warprefine.recipe.plus import CarrySettings
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import Side
from warprefine.training.refiners.key_frame_pool import KeyFramePool
from warprefine.training.refiners.sample_store import SampleSettings
from warprefine.training.refiners.samples import Sample, SamplePool


class Constant:
    """A segmenter whose output is the same number everywhere."""

    name = "constant"
    class_count = 3
    feature_channels = 1

    def __init__(self, number: float) -> None:
        self._number = number

    def __call__(self, frames: Tensor) -> Segmentation:
        b, _, h, w = frames.shape
        logits = torch.full((b, 3, h // 4, w // 4), float(self._number))
        return Segmentation(logits=logits, features=logits[:, :1])


class Unused:
    """Motion that may not be used."""

    name = "unused"

    def __call__(self, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        raise AssertionError("motion of the paper's method was used")


def models(number: float = 0) -> Models:
    return Models(motion=Unused(), segmenter=Constant(number), segmenter_fingerprint=f"{number}")


Pools = Callable[..., KeyFramePool]


@pytest.fixture
def make_pool(tmp_path: Path) -> Pools:
    """Return pools of the key frames of data sets, with cycles up to 2 frames long."""

    def make(
        dataset: Dataset,
        *,
        models_of: Any = lambda video, frame: models(),
        cache: str = "cache",
        longest_cycle: int = 2,
        **recipe: float,
    ) -> KeyFramePool:
        settings = SampleSettings(
            cache=ArrayCache(tmp_path / cache),
            models=Models(motion=DISFlow("ultrafast")),
            carry=CarrySettings(),
            training=TwoSidedRefinerRecipe(longest_cycle=longest_cycle, **recipe),
        )
        return KeyFramePool(dataset, settings, models_of)

    return make


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every side that is computed, neither found in memory nor on disk, in order."""
    calls: list[tuple[Any, ...]] = []
    for name in ("cycle", "side"):
        original = getattr(LabelCarrier, name)

        def watched(self: LabelCarrier, *given: Any, name: str = name, original: Any = original) -> Side:
            calls.append((name, *given))
            return original(self, *given)  # type: ignore[no-any-return]

        monkeypatch.setattr(LabelCarrier, name, watched)
    return calls


def draws(pool: KeyFramePool, count: int = 20) -> list[Sample[TwoSidedInput]]:
    """Draw some samples, each from numbers of its own."""
    return [pool.draw(np.random.default_rng(seed)) for seed in range(count)]


def distances(sample: Sample[TwoSidedInput]) -> list[float]:
    """Return how far the sides are away that are not missing."""
    return [float(side.distance) for side in sample.inputs.sides if not side.is_missing]


def tensors(sample: Sample[TwoSidedInput]) -> list[Tensor]:
    found = [sample.target, sample.inputs.frame, sample.inputs.segmentation.logits]
    for side in sample.inputs.sides:
        found += [side.soft.labels, side.soft.shares, side.trust, side.warped_frame, side.distance]
    return found


def test_draws_follow_from_the_random_numbers_alone(dataset: Dataset, make_pool: Pools) -> None:
    """Computed now or before, in whatever order, the same numbers give the same sample, to the bit."""
    pool = make_pool(dataset)
    assert isinstance(pool, SamplePool)
    pool.prepare()
    other = make_pool(dataset, cache="elsewhere")
    draws(other, 3)

    samples, again = (
        draws(pool),
        list(reversed([other.draw(np.random.default_rng(s)) for s in range(19, -1, -1)])),
    )

    for one, same in zip(samples, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(same), strict=True))
    assert len({one.target.float().mean().item() for one in samples}) == 2, "both key frames are drawn"


def test_the_target_is_a_key_frame_with_its_hand_made_labels(dataset: Dataset, make_pool: Pools) -> None:
    """Picture and labels of a sample are those of a key frame, untouched."""
    (video,) = dataset.videos
    by_hand = {key: read_labels(path, dataset.classes) for key, path in video.labels.items()}

    for sample in draws(make_pool(dataset), 6):
        (key,) = (key for key, labels in by_hand.items() if torch.equal(labels, sample.target))
        assert torch.equal(sample.inputs.frame, read_frame(video.frame_paths[key]))


def test_cycles_of_all_lengths_are_drawn(dataset: Dataset, make_pool: Pools) -> None:
    """Without other key frames both sides are cycles, from one frame to the longest, the nearer first."""
    found = [tuple(distances(sample)) for sample in draws(make_pool(dataset, real_share=0.0, one_sided=0.0))]

    assert set(found) == {(1, 1), (1, 2)}, "one key frame has a single frame on each of its sides"


def test_cycles_stay_inside_the_video(make_dataset: Callable[..., Dataset], make_pool: Pools) -> None:
    """The first frame has no past: its samples have one side."""
    pool = make_pool(make_dataset(videos=[(0,)]), one_sided=0.0)

    assert {tuple(distances(sample)) for sample in draws(pool)} == {(1,), (2,)}


@pytest.mark.parametrize(("real_share", "share"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_key_frames_are_labelled_from_one_another(
    dataset: Dataset, make_pool: Pools, real_share: float, share: float
) -> None:
    """So many samples have a side that comes from the other key frame, three frames away."""
    pool = make_pool(dataset, real_share=real_share, one_sided=0.0)

    found = [3 in distances(sample) for sample in draws(pool, 60)]

    assert abs(np.mean(found) - share) <= 0.15 * (0 < share < 1)


def test_the_other_key_frame_is_the_one_whose_labels_arrive(
    dataset: Dataset, make_pool: Pools, tmp_path: Path
) -> None:
    """Such a side is what the propagation would carry, with motion of its own."""
    (video,) = dataset.videos
    pool = make_pool(dataset, real_share=1.0, one_sided=0.0)
    own = replace(models(), motion=DISFlow("ultrafast"))
    with open_evidence(video, dataset.classes, own, ArrayCache(tmp_path / "elsewhere")) as evidence:
        carrier = LabelCarrier(evidence, CarrySettings(), evidence.key_labels, motion=own.motion)
        expected = {key: carrier.side(key, (other,)) for key, other in ((1, 4), (4, 1))}

    by_hand = {key: read_labels(path, dataset.classes) for key, path in video.labels.items()}
    keys = set()
    for sample in draws(pool, 6):
        (key,) = (key for key, labels in by_hand.items() if torch.equal(labels, sample.target))
        (side,) = (side for side in sample.inputs.sides if side.distance == 3)
        assert torch.equal(side.warped_frame, expected[key].warped_frame)
        torch.testing.assert_close(side.trust, expected[key].trust, atol=0.01, rtol=0)
        torch.testing.assert_close(side.soft.dense(3), expected[key].soft.dense(3), atol=0.01, rtol=0)
        keys.add(key)
    assert keys == {1, 4}


@pytest.mark.parametrize(("away", "used"), [(39, True), (40, False)])
def test_key_frames_too_far_apart_are_not_labelled_from_one_another(
    make_dataset: Callable[..., Dataset], make_pool: Pools, away: int, used: bool, computed: list[Any]
) -> None:
    """Beyond 40 frames two key frames share too little; nothing takes their place but cycles."""
    pool = make_pool(make_dataset(videos=[(0, away)], length=away + 1), longest_cycle=1, real_share=1.0)

    pool.prepare()

    assert [given for given in computed if given[0] == "side"] == [
        ("side", 0, (away,)),
        ("side", away, (0,)),
    ] * used


@pytest.mark.parametrize(("one_sided", "count"), [(1.0, {1}), (0.0, {2}), (0.5, {1, 2})])
def test_one_of_two_sides_may_be_dropped(
    dataset: Dataset, make_pool: Pools, one_sided: float, count: set[int]
) -> None:
    """A refiner learns from frames with a key frame on one side only, as often as the recipe says."""
    found = draws(make_pool(dataset, one_sided=one_sided))

    assert {len(distances(sample)) for sample in found} == count


def test_each_key_frame_has_its_own_segmenter(dataset: Dataset, make_pool: Pools) -> None:
    """The segmentation of a key frame comes from the segmenter that is given for that very frame."""

    def models_of(video: Video, frame: int) -> Models:
        assert video.name == "video0"
        return models(frame)

    (video,) = dataset.videos
    by_hand = {key: read_labels(path, dataset.classes) for key, path in video.labels.items()}

    for sample in draws(make_pool(dataset, models_of=models_of), 6):
        (number,) = sample.inputs.segmentation.logits.unique().tolist()
        assert torch.equal(sample.target, by_hand[int(number)])


def test_everything_can_be_computed_beforehand(
    make_dataset: Callable[..., Dataset], make_pool: Pools, computed: list[Any]
) -> None:
    """All sides of the key frames of all videos are computed, once; draws find them, here or later."""
    dataset = make_dataset(videos=[(1, 4), (0,)])
    reported: list[Any] = []

    make_pool(dataset).prepare(progress=lambda _, done, total, note="": reported.append((done, total, note)))

    expected = [("cycle", 1, 2), ("cycle", 1, 3), ("side", 1, (4,)), ("cycle", 1, 0)]
    expected += [("cycle", 4, 5), ("cycle", 4, 3), ("cycle", 4, 2), ("side", 4, (1,))]
    assert computed == [*expected, ("cycle", 0, 1), ("cycle", 0, 2)]
    assert reported == [(1, 3, "video0 1"), (2, 3, "video0 4"), (3, 3, "video1 0")]
    computed.clear()
    pool = make_pool(dataset)
    pool.prepare()
    draws(pool)
    assert computed == []
    assert len(pool) == 3


def test_the_way_out_of_a_cycle_extends_that_of_the_shorter_one(
    make_dataset: Callable[..., Dataset], make_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cycles of 1 to 4 frames take 4 steps out, and 1 + 2 + 3 + 4 back, in each direction."""
    steps: list[tuple[int, int]] = []
    original = Trajectories._extended

    def watched(self: Trajectories, frame: int, before: int, rest: Trajectory | None) -> Trajectory:
        steps.append((frame, before))
        return original(self, frame, before, rest)

    monkeypatch.setattr(Trajectories, "_extended", watched)
    pool = make_pool(make_dataset(videos=[(5,)], length=11), longest_cycle=4)

    pool.prepare()

    assert len([step for step in steps if step[0] > step[1]]) == 4 + (1 + 2 + 3 + 4)
    assert len(steps) == 2 * (4 + 10)


def test_corrected_labels_are_not_taken_from_the_cache(
    dataset: Dataset, make_pool: Pools, computed: list[Any]
) -> None:
    """Sides with a corrected key frame's labels are computed anew, of cycles and others; the rest stays."""
    make_pool(dataset).prepare()
    computed.clear()
    (video,) = dataset.videos
    write_labels(video.labels[4], torch.full((1, 48, 64), 2, dtype=torch.uint8), dataset.classes)
    pool = make_pool(dataset, real_share=1.0, one_sided=0.0)

    pool.prepare()

    assert computed == [("side", 1, (4,)), ("cycle", 4, 5), ("cycle", 4, 3), ("cycle", 4, 2)]
    for sample in draws(pool, 6):
        corrected = bool((sample.target == 2).all())
        for side in sample.inputs.sides:
            from_other = side.distance == 3
            twos = (side.soft.labels[:, 0][side.trust > 0.5] == 2).float().mean()
            assert (twos == 1) == (corrected != bool(from_other))


def test_pixels_of_the_key_frames_are_counted(dataset: Dataset, make_pool: Pools) -> None:
    """Each key frame counts once, however many cycles lead through it."""
    (video,) = dataset.videos
    labels = torch.cat([read_labels(path, dataset.classes) for path in video.labels.values()])

    pixels = make_pool(dataset).class_pixels()

    assert [int(pixels[label]) for label in (0, 1, 2, VOID)] == [
        int((labels == label).sum()) for label in (0, 1, 2, VOID)
    ]
