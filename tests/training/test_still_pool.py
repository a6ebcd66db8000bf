"""Tests of training/still_pool.py: single labelled pictures in clips that are made out of them."""

from __future__ import annotations

from collections.abc import Callable
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
from warprefine.propagation.evidence import Models
from warprefine.propagation.sides import Ways
from warprefine.training.samples import labelled_frames
from warprefine.training.side_recipe import SideRefinerRecipe
from warprefine.training.side_samples import SidePool, SideSample
from warprefine.training.side_store import Making
from warprefine.training.still_pool import StillPool
from warprefine.training.synthetic import SyntheticMotion

AT_REST = SyntheticMotion(zoom=0, shift=0, rotation=0, own_shift=0, jitter=0, gain=0, noise=0, blur=0)
Pools = Callable[..., StillPool]


class Says:
    """A segmenter that says the same number everywhere."""

    name = "says"
    class_count = 3
    feature_channels = 1

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, frames: Tensor) -> Segmentation:
        b, _, h, w = frames.shape
        said = torch.full((b, 3, h // 4, w // 4), float(self._number))
        return Segmentation(logits=said, features=said[:, :1])


def models(number: int = 0) -> Models:
    """Make a segmenter; the motion beside it is not what clips are made with."""
    return Models(motion=DISFlow("medium"), segmenter=Says(number), segmenter_fingerprint=f"says-{number}")


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the motion that was asked for each flow."""
    asked: list[str] = []
    original = DISFlow.__call__

    def watched(self: DISFlow, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        asked.append(self.name)
        return original(self, frame_b, frame_a)

    monkeypatch.setattr(DISFlow, "__call__", watched)
    return asked


@pytest.fixture
def make_pool(tmp_path: Path) -> Pools:
    """Make pools of the key frames of data sets, in clips of up to 4 frames."""

    def make(
        dataset: Dataset,
        *,
        models_of: Any = lambda video, frame: models(),
        cache: str = "cache",
        motion: SyntheticMotion = AT_REST,
        variants: int = 3,
        **recipe: float,
    ) -> StillPool:
        making = Making(
            cache=ArrayCache(tmp_path / cache),
            motion=DISFlow("ultrafast"),
            ways=Ways(),
            ways_name="plain",
            recipe=SideRefinerRecipe(longest_cycle=3, **recipe),
        )
        return StillPool(labelled_frames(dataset), making, models_of, motion=motion, variants=variants)

    return make


def draws(pool: StillPool, count: int = 20) -> list[SideSample]:
    """Draw some samples, each from numbers of its own."""
    return [pool.draw(np.random.default_rng(seed)) for seed in range(count)]


def tensors(sample: SideSample) -> list[Tensor]:
    found = [sample.target, sample.seen.frame, sample.seen.segmentation.logits]
    for side in sample.seen.sides:
        found += [side.soft.labels, side.soft.shares, side.trust, side.warped_frame, side.distance]
    return found


def alike(one: SideSample, other: SideSample) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def test_draws_follow_from_the_random_numbers_alone(dataset: Dataset, make_pool: Pools) -> None:
    """Clips are the same in every run, made now or before; the same numbers give the same sample."""
    moving = SyntheticMotion()
    pool, other = make_pool(dataset, motion=moving), make_pool(dataset, motion=moving, cache="elsewhere")
    assert isinstance(pool, SidePool)
    pool.make()
    draws(other, 3)

    samples, again = draws(pool, 10), [other.draw(np.random.default_rng(s)) for s in range(9, -1, -1)]

    assert all(alike(one, same) for one, same in zip(samples, reversed(again), strict=True))
    assert not alike(samples[0], samples[1])


def test_the_picture_itself_is_untouched(dataset: Dataset, make_pool: Pools) -> None:
    """Frame and labels are those on disk, and the segmenter is the one that is given for this picture."""

    def models_of(video: Video, frame: int) -> Models:
        assert video.name == "video0"
        return models(frame)

    (video,) = dataset.videos
    keys = set()
    for sample in draws(make_pool(dataset, models_of=models_of, motion=SyntheticMotion()), 6):
        (said,) = sample.seen.segmentation.logits.unique().tolist()
        assert torch.equal(sample.seen.frame, read_frame(video.frame_paths[int(said)]))
        assert torch.equal(sample.target, read_labels(video.labels[int(said)], dataset.classes))
        keys.add(int(said))
    assert keys == {1, 4}


def test_what_does_not_move_comes_back_unharmed(dataset: Dataset, make_pool: Pools) -> None:
    """In a clip at rest each side says, with full trust, what a person says, and shows the picture."""
    for sample in draws(make_pool(dataset, one_sided=0.0), 6):
        for side in sample.seen.sides:
            assert torch.equal(side.soft.labels[:, 0], sample.target)
            assert side.soft.shares[:, 0].min() == 1
            assert side.trust.min() == 1
            assert torch.equal(side.warped_frame, sample.seen.frame)


def test_what_moves_is_followed(dataset: Dataset, make_pool: Pools) -> None:
    """The labels of a moved picture arrive where the motion leads them; most are right, not all."""
    moving = SyntheticMotion(shift=0.04, zoom=0.0, rotation=0.0, parallax=1.0, moving=0.0, noise=0.0)
    for sample in draws(make_pool(dataset, motion=moving, one_sided=0.0), 6):
        for side in sample.seen.sides:
            trusted = side.trust > 0.9
            right = side.soft.labels[:, 0] == sample.target
            assert right[trusted].float().mean() > 0.95
            assert not right.all()


def test_clips_of_all_lengths_are_drawn_and_the_nearer_side_comes_first(
    dataset: Dataset, make_pool: Pools
) -> None:
    """The picture is labelled from one to `longest_cycle` frames away."""
    pool = make_pool(dataset, variants=8, one_sided=0.0)

    found = [[float(side.distance) for side in sample.seen.sides] for sample in draws(pool, 60)]

    assert {away for pair in found for away in pair} == {1, 2, 3}
    assert all(near <= far for near, far in found)


@pytest.mark.parametrize(("one_sided", "missing"), [(1.0, {1}), (0.0, {0}), (0.5, {0, 1})])
def test_one_of_two_sides_may_be_left_out(
    dataset: Dataset, make_pool: Pools, one_sided: float, missing: set[int]
) -> None:
    """A refiner meets pictures with one side only, as often as the recipe says."""
    found = draws(make_pool(dataset, one_sided=one_sided))

    assert {sum(int(side.is_missing) for side in sample.seen.sides) for sample in found} == missing


def test_the_two_sides_are_two_clips(dataset: Dataset, make_pool: Pools) -> None:
    """No sample shows the same clip twice; where there is a single clip, there is a single side."""
    two = make_pool(dataset, motion=SyntheticMotion(), variants=2, one_sided=0.0)
    one = make_pool(dataset, motion=SyntheticMotion(), variants=1, one_sided=0.0)

    for sample in draws(two, 10):
        first, second = sample.seen.sides
        assert not torch.equal(first.warped_frame, second.warped_frame)
    for sample in draws(one, 3):
        assert [bool(side.is_missing) for side in sample.seen.sides] == [False, True]


def test_everything_can_be_made_beforehand(dataset: Dataset, make_pool: Pools, flows: list[str]) -> None:
    """All clips are made once, with the motion that labels; draws find them, in this run or the next."""
    heard: list[Any] = []
    make_pool(dataset).make(progress=lambda task, done, total, note="": heard.append((done, total, note)))
    assert set(flows) == {"dis-ultrafast"}
    assert heard == [(1, 2, "video0"), (2, 2, "video0")]
    flows.clear()

    pool = make_pool(dataset)
    pool.make()
    draws(pool)

    assert flows == []
    assert len(pool) == 2


def test_corrected_labels_are_not_taken_from_the_cache(
    dataset: Dataset, make_pool: Pools, flows: list[str]
) -> None:
    """When a person corrects a picture's labels its clips are made anew, and no others."""
    make_pool(dataset).make()
    count = len(flows)
    flows.clear()
    (video,) = dataset.videos
    write_labels(video.labels[4], torch.full((1, 48, 64), 2, dtype=torch.uint8), dataset.classes)

    samples = draws(make_pool(dataset, one_sided=0.0))

    assert 0 < len(flows) < count
    corrected = [sample for sample in samples if bool((sample.target == 2).all())]
    assert 0 < len(corrected) < len(samples)
    for sample in corrected:
        assert all(bool((side.soft.labels[:, 0] == 2).all()) for side in sample.seen.sides)


@pytest.mark.parametrize("changed", sorted(SyntheticMotion.model_fields))
def test_clips_of_another_motion_are_others(
    dataset: Dataset, make_pool: Pools, flows: list[str], changed: str
) -> None:
    """Whatever a clip is made with, another value is another clip on disk."""
    make_pool(dataset, variants=1).make()
    flows.clear()
    other = AT_REST.model_copy(update={changed: getattr(AT_REST, changed) + 1})

    make_pool(dataset, variants=1, motion=other).make()

    assert flows


def test_pixels_of_the_pictures_are_counted(dataset: Dataset, make_pool: Pools) -> None:
    """Each picture counts once, however many clips are made of it."""
    (video,) = dataset.videos
    labels = torch.cat([read_labels(path, dataset.classes) for path in video.labels.values()])

    pixels = make_pool(dataset).class_pixels()

    assert [int(pixels[label]) for label in (0, 1, 2, VOID)] == [
        int((labels == label).sum()) for label in (0, 1, 2, VOID)
    ]
