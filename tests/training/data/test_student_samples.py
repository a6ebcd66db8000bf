"""Tests of training/data/student_samples.py: what an epoch of a student consists of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from warprefine.core.errors import TrainingError
from warprefine.core.tensors import VOID
from warprefine.core.video import Dataset
from warprefine.io.images import write_labels
from warprefine.recipe.network import Augmentation
from warprefine.training.data.samples import Samples, labelled_frames
from warprefine.training.data.sampling import Centroid, Draw
from warprefine.training.data.student_samples import Source, StudentBatches, find_centroids

CROP = Augmentation(crop=(32, 32))


class Counted(Samples):
    """A number of samples that are never opened."""

    def __init__(self, count: int) -> None:
        super().__init__([])
        self._count = count

    def __len__(self) -> int:
        return self._count


def source(count: int, share: float, *, classes: int = 3, centroids: int = 2) -> Source:
    places = [[Draw(n % count, Centroid(n, 0, c)) for n in range(centroids)] for c in range(classes)]
    return Source(samples=Counted(count), by_class=places, share=share)


def epoch_of(batches: StudentBatches, number: int, length: int) -> list[tuple[int, Draw]]:
    return [batches.draw(position) for position in range(number * length, (number + 1) * length)]


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    length=st.integers(1, 60),
    number=st.integers(0, 50),
    data=st.data(),
)
def test_each_source_has_its_share_of_every_epoch(
    counts: list[int], length: int, number: int, data: st.DataObject
) -> None:
    """Whatever the sources, an epoch divides in proportion to the shares, to the sample."""
    shares = [data.draw(st.floats(0.1, 1)) for _ in counts]
    sources = [source(count, share) for count, share in zip(counts, shares, strict=True)]
    batches = StudentBatches(sources, CROP, epoch_length=length, batch=2, seed=0)

    found = Counter(which for which, _ in epoch_of(batches, number, length))

    for which, share in enumerate(shares):
        assert abs(found[which] - length * share / sum(shares)) <= 1
    assert found.total() == length


def test_thirty_and_seventy_percent() -> None:
    """The paper's mix: of 100 samples 30 are labelled by hand, however many frames are pseudo-labelled."""
    for pseudo_labelled in (1, 1000):
        batches = StudentBatches(
            [source(10, 0.3), source(pseudo_labelled, 0.7)], CROP, epoch_length=100, batch=4, seed=3
        )
        assert Counter(which for which, _ in epoch_of(batches, 7, 100)) == {0: 30, 1: 70}


def test_half_of_the_samples_are_placed_on_classes_in_equal_parts() -> None:
    """Over some epochs, shorter than there are classes even, each of three classes has a sixth."""
    batches = StudentBatches([source(4, 1.0)], CROP, epoch_length=2, batch=1, seed=0)
    labels = Counter(
        draw.centroid.label if draw.centroid else None for _, draw in (batches.draw(p) for p in range(600))
    )

    assert labels == {None: 300, 0: 100, 1: 100, 2: 100}


def test_images_are_dealt_like_cards() -> None:
    """Without class-uniform sampling every image comes once before one comes twice."""
    still = CROP.model_copy(update={"class_uniform": 0.0})
    batches = StudentBatches([source(6, 1.0)], still, epoch_length=6, batch=1, seed=0)

    for number in range(4):
        assert sorted(draw.image for _, draw in epoch_of(batches, number, 6)) == list(range(6))


def test_processes_make_the_slots_of_one_batch(dataset: Dataset, tmp_path: Path) -> None:
    """What two processes make of a batch is what one makes of it, in turns."""
    samples = Samples(labelled_frames(dataset))
    by_class = find_centroids(samples, tile=0, class_count=3, cache=tmp_path / "centroids")
    sources = [Source(samples=samples, by_class=by_class, share=1.0)]

    def made(slots: range | None) -> torch.Tensor:
        return StudentBatches(sources, CROP, epoch_length=6, batch=4, slots=slots, seed=1)(5).frames

    whole = made(None)
    assert torch.equal(made(range(0, 4, 2)), whole[0::2])
    assert torch.equal(made(range(1, 4, 2)), whole[1::2])


def test_crops_show_the_class_that_they_are_placed_on(dataset: Dataset, tmp_path: Path) -> None:
    """Where all crops are placed on one class, each shows the place of its centroid."""
    samples = Samples(labelled_frames(dataset))
    by_class = find_centroids(samples, tile=12, class_count=3, cache=tmp_path / "centroids")
    only = [[], [], by_class[2]]
    focused = CROP.model_copy(update={"class_uniform": 1.0, "crop": (24, 24), "scale": (1.0, 1.0)})
    batches = StudentBatches(
        [Source(samples=samples, by_class=only, share=1.0)], focused, epoch_length=8, batch=8, seed=0
    )
    placed = [draw.centroid is not None for _, draw in (batches.draw(p) for p in range(64))]
    shown = [(batches(step).labels == 2).flatten(1).any(dim=1) for step in range(8)]

    assert all(seen or not on_class for seen, on_class in zip(torch.cat(shown), placed, strict=True))
    assert any(placed)


def test_centroids_follow_the_content_of_a_label_map(
    make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    """They are found once; when somebody corrects a label map, they are found anew."""
    dataset = make_dataset(videos=[(1,)])
    samples, cache = Samples(labelled_frames(dataset)), tmp_path / "centroids"
    first = find_centroids(samples, tile=0, class_count=3, cache=cache)
    (kept,) = cache.iterdir()
    kept.write_text("[[5, 6, 1]]")
    assert find_centroids(samples, tile=0, class_count=3, cache=cache) == [[], [(0, (5, 6, 1))], []]

    corrected = torch.full((1, 48, 64), VOID, dtype=torch.uint8)
    corrected[0, 10:12, 20:22] = 2
    write_labels(samples.members[0].label_path, corrected, dataset.classes)
    found = find_centroids(Samples(labelled_frames(dataset)), tile=0, class_count=3, cache=cache)

    assert found == [[], [], [Draw(0, Centroid(20, 10, 2))]]
    assert found != first


def test_tiles_adapt_to_small_images(dataset: Dataset, tmp_path: Path) -> None:
    """Half the shorter side of 48 × 64 pixels are tiles of 24: six of them have centroids."""
    samples = Samples(labelled_frames(dataset)[:1])
    found = find_centroids(samples, tile=0, class_count=3, cache=tmp_path / "centroids")

    tiles = {(d.centroid.x // 24, d.centroid.y // 24) for draws in found for d in draws if d.centroid}
    assert tiles == {(x, y) for x in range(3) for y in range(2)}


def test_a_student_needs_something_to_learn_from() -> None:
    """Sources without samples are nothing."""
    with pytest.raises(TrainingError, match="no labelled frame to learn from"):
        StudentBatches(
            [Source(samples=Samples([]), by_class=[[]], share=1.0)], CROP, epoch_length=3, batch=1, seed=0
        )


def test_a_batch_follows_from_seed_and_number(dataset: Dataset, tmp_path: Path) -> None:
    """The same step gives the same batch, another seed another one."""
    samples = Samples(labelled_frames(dataset))
    by_class = find_centroids(samples, tile=0, class_count=3, cache=tmp_path / "centroids")

    def made(seed: int) -> np.ndarray:
        batches = StudentBatches(
            [Source(samples=samples, by_class=by_class, share=1.0)], CROP, epoch_length=4, batch=3, seed=seed
        )
        batches(0)
        return batches(9).frames.numpy()

    assert np.array_equal(made(0), made(0))
    assert not np.array_equal(made(0), made(1))
