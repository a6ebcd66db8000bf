"""Tests of training/side_store.py: sides are made once, and are the same ever after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from warprefine.core.errors import LabelError
from warprefine.core.protocols import Segmentation
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset
from warprefine.io.array_cache import ArrayCache
from warprefine.io.images import read_frame, read_labels, write_labels
from warprefine.motion.dis import DISFlow
from warprefine.ops.soft_labels import SoftLabels
from warprefine.propagation.evidence import Models
from warprefine.propagation.sides import Ways
from warprefine.refinement.sides import FARTHEST, Side
from warprefine.training.samples import labelled_frames
from warprefine.training.side_recipe import SideRefinerRecipe
from warprefine.training.side_store import Making, SideStore, Target, count_pixels, hand_of

H, W = 6, 9


class Echo:
    """Say of a frame how bright it is."""

    name = "echo"
    class_count = 3
    feature_channels = 1

    def __call__(self, frames: torch.Tensor) -> Segmentation:
        bright = frames[:, :, ::2, ::2].float()
        return Segmentation(logits=bright, features=bright[:, :1])


@pytest.fixture
def making(tmp_path: Path) -> Making:
    """What sides are made with, and a cache that is empty yet."""
    return Making(
        cache=ArrayCache(tmp_path / "cache"),
        motion=DISFlow("ultrafast"),
        ways=Ways(),
        ways_name="plain",
        recipe=SideRefinerRecipe(),
    )


def random_side(distance: float = 2.0) -> Side:
    """Make up a side whose numbers no byte can hold."""
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
    raise AssertionError("made again")


def test_a_side_is_the_same_made_now_or_read_from_disk(making: Making) -> None:
    """Whoever asks first gets what all others get, to the bit; it is made once."""
    side, store = random_side(), SideStore(making)

    made = store.get("video/1", lambda: side)

    assert same(made, store.get("video/1", never))
    assert same(made, SideStore(making).get("video/1", never))


def test_little_is_lost_in_bytes(making: Making) -> None:
    """Picture and distance are kept as they are, shares and trust to within half a step of 1 / 255."""
    side = random_side()

    kept = SideStore(making).get("video/1", lambda: side)

    assert torch.equal(kept.warped_frame, side.warped_frame)
    assert torch.equal(kept.distance, side.distance)
    torch.testing.assert_close(kept.trust, side.trust, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(kept.soft.dense(4), side.soft.dense(4), atol=1.01 / 255, rtol=0)


def test_sides_of_other_names_are_others(making: Making) -> None:
    """In memory and on disk a side belongs to its name."""
    store, sides = SideStore(making), [random_side(1.0), random_side(2.0)]
    for number, side in enumerate(sides):
        store.get(f"video/{number}", lambda side=side: side)  # type: ignore[misc]

    for reader in (store, SideStore(making)):
        assert [float(reader.get(f"video/{number}", never).distance) for number in (1, 0)] == [2, 1]


@pytest.mark.parametrize("changed", ["motion", "ways_name"])
def test_sides_made_otherwise_are_not_shared(making: Making, changed: str) -> None:
    """Another motion or other ways give other sides, though their names are the same."""
    SideStore(making).get("video/1", random_side)
    other = {"motion": DISFlow("fast"), "ways_name": "other"}

    with pytest.raises(AssertionError, match="made again"):
        SideStore(replace(making, **{changed: other[changed]})).get("video/1", never)


@pytest.fixture
def target(dataset: Dataset, making: Making) -> Target:
    """The second of two key frames."""
    models = Models(motion=making.motion, segmenter=Echo(), segmenter_fingerprint="echo")
    return Target.read(labelled_frames(dataset)[1], models, making.cache)


def test_a_target_is_what_lies_on_disk(dataset: Dataset, target: Target) -> None:
    """The picture and the hand-made labels are untouched, and the segmenter has seen this very picture."""
    (video,) = dataset.videos

    assert torch.equal(target.frame, read_frame(video.frame_paths[4]))
    assert torch.equal(target.labels, read_labels(video.labels[4], dataset.classes))
    assert torch.equal(target.segmentation.logits, target.frame[:, :, ::2, ::2].float())
    pixels = target.frame[0, 0].numel()
    assert target.nbytes == pixels * (3 + 1) + pixels // 4 * 4 * (3 + 1)


def test_labels_of_another_size_are_refused(dataset: Dataset, making: Making) -> None:
    """A label map that does not fit its frame is told at once."""
    member = labelled_frames(dataset)[0]
    write_labels(member.label_path, torch.zeros(1, 24, 32, dtype=torch.uint8), dataset.classes)
    models = Models(motion=making.motion, segmenter=Echo(), segmenter_fingerprint="echo")

    with pytest.raises(LabelError, match="24 x 32"):
        Target.read(member, models, making.cache)


@pytest.mark.parametrize(
    ("given", "distances"),
    [((5.0, 2.0), [2, 5]), ((2.0, 5.0), [2, 5]), ((5.0,), [5, FARTHEST]), ((), [FARTHEST, FARTHEST])],
)
def test_the_nearer_side_comes_first(
    target: Target, given: tuple[float, ...], distances: list[float]
) -> None:
    """A sample has two sides: the nearer one before the farther, and missing ones last."""
    sample = target.seen_from([random_side(distance) for distance in given])

    assert [float(side.distance) for side in sample.seen.sides] == distances
    assert sample.target is target.labels
    assert sample.seen.frame is target.frame
    assert sample.seen.segmentation is target.segmentation


def test_pixels_are_counted_by_label(dataset: Dataset) -> None:
    """The pixels of all label maps are counted together, VOID last."""
    (video,) = dataset.videos
    labels = torch.cat([read_labels(path, dataset.classes) for path in video.labels.values()])

    pixels = count_pixels(list(video.labels.values()), dataset.classes)

    assert {label: int(pixels[label]) for label in (0, 1, 2, VOID)} == {
        label: int((labels == label).sum()) for label in (0, 1, 2, VOID)
    }
    assert pixels.sum() == labels.numel()


def test_corrected_labels_have_another_name(dataset: Dataset) -> None:
    """The name of a person's labels changes with what they say, and tells the frame."""
    (video,) = dataset.videos
    before = hand_of(video, 4)
    assert before.startswith("000004-")

    write_labels(video.labels[4], torch.zeros(1, 48, 64, dtype=torch.uint8), dataset.classes)

    assert hand_of(video, 4) != before
