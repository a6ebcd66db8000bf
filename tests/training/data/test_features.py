"""Tests of training/data/features.py: a trunk's features of crops, computed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from warprefine.core.precision import with_precision
from warprefine.core.tensors import VOID, Frames
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_labels, write_labels
from warprefine.recipe.network import Augmentation
from warprefine.recipe.recipe import FeatureSettings
from warprefine.segmentation.frozen import FrozenLite0Segmenter
from warprefine.training.data.features import FeatureBatchMaker, FeatureCrop, FeatureCrops, FeatureStore
from warprefine.training.data.samples import Samples, labelled_frames

PLAIN = Augmentation(crop=(32, 32), scale=(1, 1), flip=0, jitter=0, blur=0, class_uniform=0.5)


class Counting(FrozenLite0Segmenter):
    """Counts how often its trunk computes."""

    computed = 0

    def trunk_features(self, frames: Frames) -> list[torch.Tensor]:
        self.computed += 1
        return super().trunk_features(frames)


@pytest.fixture
def segmenter() -> Counting:
    torch.manual_seed(0)
    return with_precision(Counting(3).eval(), torch.float32)


@pytest.fixture
def samples(dataset: Dataset) -> Samples:
    return Samples(labelled_frames(dataset))


@pytest.fixture
def store(tmp_path: Path, segmenter: Counting) -> Callable[..., FeatureStore]:
    def make(augmentation: Augmentation = PLAIN, *, seed: int = 0, **settings: Any) -> FeatureStore:
        asked = FeatureSettings(**{"crops": 6, "margin": (32, 0), **settings})
        return FeatureStore(segmenter, augmentation, asked, cache=ArrayCache(tmp_path / "cache"), seed=seed)

    return make


def same(one: FeatureCrop, other: FeatureCrop) -> bool:
    parts = zip((*one.features, one.labels), (*other.features, other.labels), strict=True)
    return all(torch.equal(a, b) for a, b in parts)


def test_features_are_computed_once(
    store: Callable[..., FeatureStore], samples: Samples, segmenter: Counting
) -> None:
    """In memory, and by a later process from disk, they are found again with the same values."""
    first = FeatureCrops(samples, store(), most=6)
    crops = [first[number] for number in range(len(first))]
    assert segmenter.computed == len(first) == 6
    assert first[0] is crops[0]

    later = FeatureCrops(samples, store(), most=6)

    assert all(same(later[number], crop) for number, crop in enumerate(crops))
    assert segmenter.computed == 6
    assert not same(crops[0], crops[len(samples)])
    assert not same(FeatureCrops(samples, store(seed=1), most=6)[0], crops[0])


def test_features_are_prepared_on_disk_alone(
    store: Callable[..., FeatureStore], samples: Samples, segmenter: Counting
) -> None:
    """What a training draws from is computed before it and held on disk; what is there is not even read."""
    first = store()
    crops = FeatureCrops(samples, first, most=6)
    first.prepare([crops])
    assert segmenter.computed == 6
    assert not first._crops._items

    kept = [crops[number] for number in range(len(crops))]
    assert segmenter.computed == 6
    assert len(first._crops._items) == 6
    later = store()
    later.prepare([FeatureCrops(samples, later, most=6)])
    assert segmenter.computed == 6
    assert same(FeatureCrops(samples, later, most=6)[3], kept[3])


def test_features_are_those_of_the_crop(
    store: Callable[..., FeatureStore], samples: Samples, segmenter: Counting
) -> None:
    """Crops are larger than the windows by the margin, and whole numbers of cells at every stride."""
    crop = FeatureCrops(samples, store(), most=2)[0]

    assert crop.labels.shape == (1, 64, 32)
    assert [tuple(values.shape[-2:]) for values in crop.features] == [(16, 8), (8, 4), (4, 2), (2, 1)]
    assert {values.dtype for values in crop.features} == {torch.float16}


def test_a_corrected_label_map_changes_its_crops(
    store: Callable[..., FeatureStore], samples: Samples, dataset: Dataset
) -> None:
    """What is kept is found by what it was computed from."""
    before = FeatureCrops(samples, store(), most=6)[0]
    path = samples.members[0].label_path
    labels = read_labels(path, dataset.classes)
    write_labels(path, torch.full_like(labels, 2), dataset.classes)

    after = FeatureCrops(Samples(samples.members), store(), most=6)[0]

    assert set(after.labels.unique().tolist()) <= {2, VOID}
    assert not same(before, after)


def test_the_number_of_crops_is_bounded(store: Callable[..., FeatureStore], samples: Samples) -> None:
    """Few pictures have several crops each, of many pictures some have one: time and disk are bounded."""
    assert len(samples) == 2
    assert [len(FeatureCrops(samples, store(variants=2), most=most)) for most in (1, 2, 3, 9)] == [1, 2, 2, 4]


def test_windows_show_labels_where_features_are() -> None:
    """Cells and labels of a window cover the same pixels; every second label is taken, in either phase."""
    rows, columns = torch.arange(64)[:, None], torch.arange(96)
    cells = (rows[::4] * 100 + columns[::4]).half()[None, None]
    crop = FeatureCrop(features=(cells,), labels=((rows // 4 * 7 + columns // 4) % 251).byte()[None])
    phases = set()
    for seed in range(40):
        window = crop.window((32, 64), np.random.default_rng(seed))
        (values,), labels = window.features, window.labels
        assert values.shape == (1, 1, 8, 16)
        assert labels.shape == (1, 16, 32)
        top, left = divmod(int(values[0, 0, 0, 0]), 100)
        expected = ((top + rows[:32:4]) // 4 * 7 + (left + columns[:64:4]) // 4) % 251
        assert torch.equal(labels[0, ::2, ::2].long(), expected.long())
        phases.add((top, left))
    assert phases == {(top, left) for top in (0, 32) for left in (0, 32)}


def test_batches_follow_from_seed_and_step(store: Callable[..., FeatureStore], samples: Samples) -> None:
    """Whether features were there or not; another step gives other windows."""
    settings = Augmentation(crop=(32, 32))
    first, again = (FeatureBatchMaker([(samples, 1.0)], store(settings), batch=3, seed=0) for _ in range(2))

    batch, other = first(0), first(1)

    assert batch.labels.shape == (3, 16, 16)
    assert batch.features[0].shape == (3, 24, 8, 8)
    assert torch.equal(again(0).labels, batch.labels)
    assert torch.equal(again(0).features[0], batch.features[0])
    assert not torch.equal(other.features[0], batch.features[0])
    assert first.pixels.sum() == 2 * 48 * 64


def test_features_need_no_disk(
    store: Callable[..., FeatureStore], samples: Samples, segmenter: Counting, tmp_path: Path
) -> None:
    """Without a cache they are the same, kept in memory, and computed again by a later process."""
    kept = FeatureCrops(samples, store(), most=6)
    asked = FeatureSettings(crops=6, margin=(32, 0))

    for _ in range(2):
        alone = FeatureStore(segmenter, PLAIN, asked, cache=None, seed=0)
        crops = FeatureCrops(samples, alone, most=6)
        assert all(same(crops[number], kept[number]) for number in (0, 5, 0))

    assert segmenter.computed == 2 + 2 * 2
    assert len(list(tmp_path.rglob("features/*/*"))) == 2
