"""Tests of training/refiners/sample_store.py: sides are computed once, and are the same ever after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from warprefine.core.errors import LabelError
from warprefine.core.lru_cache import LRUCache
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset, Video
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_frame, read_labels, write_labels
from warprefine.motion.dis import DISFlow
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.evidence import Models
from warprefine.recipe.plus import FARTHEST, CarrySettings
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.refinement.interface import Side
from warprefine.training.data.samples import count_pixels, labelled_frames
from warprefine.training.refiners.sample_store import SampleSettings, SampleStore, Target

H, W = 6, 9
OTHER_CARRY: dict[str, Any] = {
    "motion": "dis-fast",
    "trust": "both",
    "slack": 2.0,
    "tau": 0.5,
    "hard_trust": True,
    "mode": "steps",
    "soft": False,
    "long_range": True,
}
"""Another value for each setting of how labels are carried."""


class Echo:
    """A segmenter whose output is the brightness of the frame."""

    name = "echo"
    class_count = 3
    feature_channels = 1

    def __call__(self, frames: torch.Tensor) -> Segmentation:
        bright = frames[:, :, ::2, ::2].float()
        return Segmentation(logits=bright, features=bright[:, :1])


@pytest.fixture
def sample_settings(tmp_path: Path) -> SampleSettings:
    """What sides are computed with, and a cache that is empty yet."""
    return SampleSettings(
        cache=ArrayCache(tmp_path / "cache"),
        models=Models(motion=DISFlow("ultrafast")),
        carry=CarrySettings(),
        training=TwoSidedRefinerRecipe(),
    )


def store_of(settings: SampleSettings) -> SampleStore:
    """Open a store that holds nothing in memory yet, and whose targets nobody reads."""

    def no_models(video: Video, frame: int) -> Models:
        raise AssertionError("a target was read")

    return SampleStore(replace(settings, sides=LRUCache(10)), no_models)


def random_side(distance: float = 2.0) -> Side:
    """Return a side whose numbers no byte can hold."""
    return Side(
        soft=SoftLabels.of_probabilities(torch.rand(1, 5, H, W).softmax(dim=1), most=4, void_is_last=True),
        trust=torch.rand(1, H, W),
        warped_frame=torch.randint(0, 256, (1, 3, H, W), dtype=torch.uint8),
        distance=torch.tensor([distance]),
    )


def same(one: Side, other: Side) -> bool:
    pairs = [
        (one.soft.labels, other.soft.labels),
        (one.soft.shares, other.soft.shares),
        (one.trust, other.trust),
        (one.warped_frame, other.warped_frame),
        (one.distance, other.distance),
    ]
    return all(torch.equal(a, b) for a, b in pairs)


def never() -> Side:
    raise AssertionError("computed again")


def test_a_side_is_the_same_computed_now_or_read_from_disk(sample_settings: SampleSettings) -> None:
    """The first request gets what all others get, to the bit; the side is computed once."""
    side, store = random_side(), store_of(sample_settings)

    first = store.side("video/1", lambda: side)

    assert same(first, store.side("video/1", never))
    assert same(first, store_of(sample_settings).side("video/1", never))


def test_sides_are_prepared_on_disk_alone(sample_settings: SampleSettings) -> None:
    """A side that is prepared is computed once, held on disk, and the same as if it was asked for."""
    side, store = random_side(), store_of(sample_settings)

    store.prepare_side("video/1", lambda: side)
    store.prepare_side("video/1", never)

    assert not store._sides._items
    found = store.side("video/1", never)
    assert list(store._sides._items)
    assert same(found, store_of(sample_settings).side("video/1", never))
    assert torch.equal(found.warped_frame, side.warped_frame)


def test_stores_of_the_same_settings_share_what_is_in_memory(sample_settings: SampleSettings) -> None:
    """The pools of a run, which differ in their targets alone, hold each side once."""

    def no_models(video: Video, frame: int) -> Models:
        raise AssertionError("a target was read")

    one, other = (SampleStore(sample_settings, no_models) for _ in range(2))
    one.side("video/1", random_side)
    for path in sample_settings.cache.root.rglob("*"):
        if path.is_file():
            path.unlink()

    assert same(other.side("video/1", never), one.side("video/1", never))


def test_little_is_lost_in_bytes(sample_settings: SampleSettings) -> None:
    """Picture and distance are kept as they are, shares and trust to within half a step of 1 / 255."""
    side = random_side()

    kept = store_of(sample_settings).side("video/1", lambda: side)

    assert torch.equal(kept.warped_frame, side.warped_frame)
    assert torch.equal(kept.distance, side.distance)
    torch.testing.assert_close(kept.trust, side.trust, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(kept.soft.dense(4), side.soft.dense(4), atol=1.01 / 255, rtol=0)


def test_sides_of_other_names_are_others(sample_settings: SampleSettings) -> None:
    """In memory and on disk a side belongs to its name."""
    store, sides = store_of(sample_settings), [random_side(1.0), random_side(2.0)]
    for number, side in enumerate(sides):
        store.side(f"video/{number}", lambda side=side: side)  # type: ignore[misc]

    for reader in (store, store_of(sample_settings)):
        assert [float(reader.side(f"video/{number}", never).distance) for number in (1, 0)] == [2, 1]


@pytest.mark.parametrize(
    "other",
    [
        {"models": Models(motion=DISFlow("fast"))},
        *({"carry": CarrySettings(**{name: value})} for name, value in OTHER_CARRY.items()),
    ],
    ids=["the motion itself", *OTHER_CARRY],
)
def test_sides_computed_otherwise_are_not_shared(
    sample_settings: SampleSettings, other: dict[str, Any]
) -> None:
    """Another motion or another way to carry labels gives other sides, though their names are the same."""
    store_of(sample_settings).side("video/1", random_side)

    with pytest.raises(AssertionError, match="computed again"):
        store_of(replace(sample_settings, **other)).side("video/1", never)


def test_every_setting_of_carrying_is_tried() -> None:
    """The list of this file is complete."""
    assert OTHER_CARRY.keys() == CarrySettings.model_fields.keys()


def test_sides_are_shared_by_refiners_that_are_trained_otherwise(sample_settings: SampleSettings) -> None:
    """How a refiner is built and trained is not what its samples depend on."""
    side = store_of(sample_settings).side("video/1", random_side)
    training = TwoSidedRefinerRecipe(widths=(8, 8, 8, 8), real_share=0.1)

    assert same(store_of(replace(sample_settings, training=training)).side("video/1", never), side)


@pytest.fixture
def target(dataset: Dataset, sample_settings: SampleSettings) -> Target:
    """The second of two key frames."""
    models = replace(sample_settings.models, segmenter=Echo(), segmenter_fingerprint="echo")
    return Target.read(labelled_frames(dataset)[1], models, sample_settings.cache)


def test_a_target_is_what_lies_on_disk(dataset: Dataset, target: Target) -> None:
    """The picture and the hand-made labels are untouched; the segmentation is that of this very picture."""
    (video,) = dataset.videos

    assert torch.equal(target.frame, read_frame(video.frame_paths[4]))
    assert torch.equal(target.labels, read_labels(video.labels[4], dataset.classes))
    assert torch.equal(target.segmentation.logits, target.frame[:, :, ::2, ::2].float())
    pixels = target.frame[0, 0].numel()
    assert target.nbytes == pixels * (3 + 1) + pixels // 4 * 4 * (3 + 1)


def test_labels_of_another_size_are_refused(dataset: Dataset, sample_settings: SampleSettings) -> None:
    """A label map that does not fit its frame is an error at once."""
    member = labelled_frames(dataset)[0]
    write_labels(member.label_path, torch.zeros(1, 24, 32, dtype=torch.uint8), dataset.classes)
    models = replace(sample_settings.models, segmenter=Echo(), segmenter_fingerprint="echo")

    with pytest.raises(LabelError, match="24 x 32"):
        Target.read(member, models, sample_settings.cache)


@pytest.mark.parametrize(
    ("given", "distances"),
    [((5.0, 2.0), [2, 5]), ((2.0, 5.0), [2, 5]), ((5.0,), [5, FARTHEST]), ((), [FARTHEST, FARTHEST])],
)
def test_the_nearer_side_comes_first(
    target: Target, given: tuple[float, ...], distances: list[float]
) -> None:
    """A sample has two sides: the nearer one before the farther, and missing ones last."""
    sample = target.sample([random_side(distance) for distance in given])

    assert [float(side.distance) for side in sample.inputs.sides] == distances
    assert sample.target is target.labels
    assert sample.inputs.frame is target.frame
    assert sample.inputs.segmentation is target.segmentation


def test_pixels_are_counted_by_label(dataset: Dataset) -> None:
    """The pixels of all label maps are counted together, VOID last."""
    (video,) = dataset.videos
    labels = torch.cat([read_labels(path, dataset.classes) for path in video.labels.values()])

    pixels = count_pixels(list(video.labels.values()), dataset.classes)

    assert {label: int(pixels[label]) for label in (0, 1, 2, VOID)} == {
        label: int((labels == label).sum()) for label in (0, 1, 2, VOID)
    }
    assert pixels.sum() == labels.numel()
