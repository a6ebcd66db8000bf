"""Tests of training/refiners/still_pool.py: single labelled pictures in clips that are made out of them."""

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
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.plus import CarrySettings
from warprefine.recipe.synthetic import SyntheticMotion
from warprefine.recipe.two_sided_refiner import SyntheticClips, TwoSidedRefinerRecipe
from warprefine.training.data.samples import labelled_frames
from warprefine.training.refiners.sample_store import SampleSettings
from warprefine.training.refiners.samples import BatchMaker, Placed, Sample, SamplePool
from warprefine.training.refiners.still_pool import StillPool

AT_REST = SyntheticMotion(zoom=0, shift=0, rotation=0, own_shift=0, jitter=0, gain=0, noise=0, blur=0)
Pools = Callable[..., StillPool]


class Constant:
    """A segmenter whose output is the same number everywhere."""

    name = "constant"
    class_count = 3
    feature_channels = 1

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, frames: Tensor) -> Segmentation:
        b, _, h, w = frames.shape
        logits = torch.full((b, 3, -(-h // 4), -(-w // 4)), float(self._number))
        return Segmentation(logits=logits, features=logits[:, :1])


def models(number: int = 0) -> Models:
    """Return a segmenter; the motion beside it is not the one that labels are carried with."""
    return Models(motion=DISFlow("medium"), segmenter=Constant(number), segmenter_fingerprint=f"{number}")


@pytest.fixture
def flows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the motion that estimated each flow."""
    names: list[str] = []
    original = DISFlow.__call__

    def watched(self: DISFlow, frame_b: Tensor, frame_a: Tensor) -> Tensor:
        names.append(self.name)
        return original(self, frame_b, frame_a)

    monkeypatch.setattr(DISFlow, "__call__", watched)
    return names


@pytest.fixture
def make_pool(tmp_path: Path) -> Pools:
    """Return pools of the key frames of data sets, in clips of up to 4 frames."""

    def make(
        dataset: Dataset,
        *,
        models_of: Any = lambda video, frame: models(),
        cache: str = "cache",
        motion: SyntheticMotion = AT_REST,
        variants: int = 3,
        **recipe: float,
    ) -> StillPool:
        training = TwoSidedRefinerRecipe(longest_cycle=3, synthetic=SyntheticClips(motion=motion), **recipe)
        settings = SampleSettings(
            cache=ArrayCache(tmp_path / cache),
            models=Models(motion=DISFlow("ultrafast")),
            carry=CarrySettings(),
            training=training.changed(("synthetic", "variants"), variants),
        )
        return StillPool(labelled_frames(dataset), settings, models_of)

    return make


def draws(pool: StillPool, count: int = 20) -> list[Sample[TwoSidedInput]]:
    """Draw some samples, each from numbers of its own."""
    return [pool.draw(np.random.default_rng(seed)) for seed in range(count)]


def tensors(sample: Sample[TwoSidedInput]) -> list[Tensor]:
    found = [sample.target, sample.inputs.frame, sample.inputs.segmentation.logits]
    for side in sample.inputs.sides:
        found += [side.soft.labels, side.soft.shares, side.trust, side.warped_frame, side.distance]
    return found


def alike(one: Sample[TwoSidedInput], other: Sample[TwoSidedInput]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def test_draws_follow_from_the_random_numbers_alone(dataset: Dataset, make_pool: Pools) -> None:
    """Clips are the same in every run, rendered now or before; the same numbers give the same sample."""
    moving = SyntheticMotion()
    pool, other = make_pool(dataset, motion=moving), make_pool(dataset, motion=moving, cache="elsewhere")
    assert isinstance(pool, SamplePool)
    pool.prepare()
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
        (number,) = sample.inputs.segmentation.logits.unique().tolist()
        assert torch.equal(sample.inputs.frame, read_frame(video.frame_paths[int(number)]))
        assert torch.equal(sample.target, read_labels(video.labels[int(number)], dataset.classes))
        keys.add(int(number))
    assert keys == {1, 4}


def test_what_does_not_move_comes_back_unharmed(dataset: Dataset, make_pool: Pools) -> None:
    """In a clip at rest each side has the hand-made labels, with full trust, and shows the picture."""
    for sample in draws(make_pool(dataset, one_sided=0.0), 6):
        for side in sample.inputs.sides:
            assert torch.equal(side.soft.labels[:, 0], sample.target)
            assert side.soft.shares[:, 0].min() == 1
            assert side.trust.min() == 1
            assert torch.equal(side.warped_frame, sample.inputs.frame)


def test_what_moves_is_followed(dataset: Dataset, make_pool: Pools) -> None:
    """The labels of a moved picture arrive where the motion leads them; most are right, not all."""
    moving = SyntheticMotion(shift=0.04, zoom=0.0, rotation=0.0, parallax=1.0, moving=0.0, noise=0.0)
    for sample in draws(make_pool(dataset, motion=moving, one_sided=0.0), 6):
        for side in sample.inputs.sides:
            trusted = side.trust > 0.9
            right = side.soft.labels[:, 0] == sample.target
            assert right[trusted].float().mean() > 0.95
            assert not right.all()


def test_clips_of_all_lengths_are_drawn_and_the_nearer_side_comes_first(
    dataset: Dataset, make_pool: Pools
) -> None:
    """The picture is labelled from one to `longest_cycle` frames away."""
    pool = make_pool(dataset, variants=8, one_sided=0.0)

    found = [[float(side.distance) for side in sample.inputs.sides] for sample in draws(pool, 60)]

    assert {away for pair in found for away in pair} == {1, 2, 3}
    assert all(near <= far for near, far in found)


@pytest.mark.parametrize(("one_sided", "missing"), [(1.0, {1}), (0.0, {0}), (0.5, {0, 1})])
def test_one_of_two_sides_may_be_left_out(
    dataset: Dataset, make_pool: Pools, one_sided: float, missing: set[int]
) -> None:
    """A refiner learns from pictures with one side only, as often as the recipe says."""
    found = draws(make_pool(dataset, one_sided=one_sided))

    assert {sum(int(side.is_missing) for side in sample.inputs.sides) for sample in found} == missing


def test_the_two_sides_are_two_clips(dataset: Dataset, make_pool: Pools) -> None:
    """No sample shows the same clip twice; where there is a single clip, there is a single side."""
    two = make_pool(dataset, motion=SyntheticMotion(), variants=2, one_sided=0.0)
    one = make_pool(dataset, motion=SyntheticMotion(), variants=1, one_sided=0.0)

    for sample in draws(two, 10):
        first, second = sample.inputs.sides
        assert not torch.equal(first.warped_frame, second.warped_frame)
    for sample in draws(one, 3):
        assert [bool(side.is_missing) for side in sample.inputs.sides] == [False, True]


def test_everything_can_be_computed_beforehand(dataset: Dataset, make_pool: Pools, flows: list[str]) -> None:
    """All clips are made once, with the motion that labels; draws find them, in this run or the next."""
    reported: list[Any] = []
    make_pool(dataset).prepare(progress=lambda _, done, total, note="": reported.append((done, total, note)))
    assert set(flows) == {"dis-ultrafast"}
    assert reported == [(1, 2, "video0"), (2, 2, "video0")]
    flows.clear()

    pool = make_pool(dataset)
    pool.prepare()
    draws(pool)

    assert flows == []
    assert len(pool) == 2


def test_corrected_labels_are_not_taken_from_the_cache(
    dataset: Dataset, make_pool: Pools, flows: list[str]
) -> None:
    """When a person corrects a picture's labels its clips are made anew, and no others."""
    make_pool(dataset).prepare()
    count = len(flows)
    flows.clear()
    (video,) = dataset.videos
    write_labels(video.labels[4], torch.full((1, 48, 64), 2, dtype=torch.uint8), dataset.classes)

    samples = draws(make_pool(dataset, one_sided=0.0))

    assert 0 < len(flows) < count
    corrected = [sample for sample in samples if bool((sample.target == 2).all())]
    assert 0 < len(corrected) < len(samples)
    for sample in corrected:
        assert all(bool((side.soft.labels[:, 0] == 2).all()) for side in sample.inputs.sides)


@pytest.mark.parametrize("changed", sorted(SyntheticMotion.model_fields))
def test_clips_of_another_motion_are_others(
    dataset: Dataset, make_pool: Pools, flows: list[str], changed: str
) -> None:
    """Whatever a clip is made with, another value is another clip on disk."""
    make_pool(dataset, variants=1).prepare()
    flows.clear()
    other = AT_REST.model_copy(update={changed: getattr(AT_REST, changed) + 1})

    make_pool(dataset, variants=1, motion=other).prepare()

    assert flows


def test_pixels_of_the_pictures_are_counted(dataset: Dataset, make_pool: Pools) -> None:
    """Each picture counts once, however many clips are made of it."""
    (video,) = dataset.videos
    labels = torch.cat([read_labels(path, dataset.classes) for path in video.labels.values()])

    pixels = make_pool(dataset).class_pixels()

    assert [int(pixels[label]) for label in (0, 1, 2, VOID)] == [
        int((labels == label).sum()) for label in (0, 1, 2, VOID)
    ]


def test_pictures_and_videos_of_any_sizes_are_drawn_together(
    make_dataset: Callable[..., Dataset], make_pool: Pools
) -> None:
    """Samples of large and of small pictures, with sides of their own, make one batch."""
    pool = make_pool(make_dataset(videos=[[1], [1], [1]], sizes=[(96, 128), (48, 64), (33, 41)]))
    recipe = TwoSidedRefinerRecipe(crop=(64, 96), optimisation=Optimisation(batch=8))

    batch = BatchMaker(lambda position, rng: Placed(sample=pool.draw(rng)), recipe, seed=0)(0)

    assert batch.inputs.frame.shape == (8, 3, 64, 96)
    assert batch.target.shape == (8, 64, 96)
