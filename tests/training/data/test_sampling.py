"""Tests of training/data/sampling.py: rare classes are seen as often as common ones."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from warprefine.core.errors import RecipeError
from warprefine.core.tensors import VOID
from warprefine.training.data.sampling import Centroid, Draw, class_centroids, crop_around, draw_epoch

CLASSES = 4

label_maps = npst.arrays(
    np.uint8,
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    elements=st.sampled_from([*range(CLASSES), CLASSES, VOID]),
)
tiles = st.integers(1, 25)


def choices(*counts: int) -> list[list[Draw]]:
    """Make up as many centroids for each class as asked for."""
    return [
        [Draw(number, Centroid(number, 0, label)) for number in range(count)]
        for label, count in enumerate(counts)
    ]


def random_part(draws: list[Draw]) -> list[int]:
    return [draw.image for draw in draws if draw.centroid is None]


def test_convention_a_centroid_is_x_y_rounded_down() -> None:
    """Three pixels at x 3, 3, 4 and y 0, 1, 1 lie at x 3, y 0."""
    labels = np.full((2, 6), VOID, np.uint8)
    labels[[0, 1, 1], [3, 3, 4]] = 2

    assert class_centroids(labels, tile=8, class_count=3) == [Centroid(x=3, y=0, label=2)]


def test_tiles_follow_in_rows_and_classes_in_tiles() -> None:
    """Four tiles of one or two classes: first along the top, the lower class first."""
    labels = np.array([[1, 0, 2, 2], [1, 0, 2, 2], [3, 3, 0, 0], [3, 3, 0, 0]], np.uint8)

    assert class_centroids(labels, tile=2, class_count=4) == [
        (1, 0, 0), (0, 0, 1), (2, 0, 2), (0, 2, 3), (2, 2, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("full_tiles_only", "found"), [(True, [(1, 1)]), (False, [(1, 1), (4, 1), (1, 4), (4, 4)])]
)
def test_what_remains_beside_full_tiles(full_tiles_only: bool, found: list[tuple[int, int]]) -> None:
    """The strips at the right and at the bottom are smaller tiles, unless they are left out."""
    labels = np.zeros((5, 5), np.uint8)

    centroids = class_centroids(labels, tile=3, class_count=1, full_tiles_only=full_tiles_only)

    assert [(c.x, c.y) for c in centroids] == [(min(x, 3), min(y, 3)) for x, y in found]


@settings(max_examples=40)
@given(labels=label_maps, tile=tiles)
def test_every_class_of_every_tile_has_one_centroid(labels: NDArray[np.uint8], tile: int) -> None:
    """The tile that a centroid lies in holds its class, and no class of any tile is passed over."""
    found = class_centroids(labels, tile=tile, class_count=CLASSES)

    y, x = np.nonzero(labels < CLASSES)
    present = {(v // tile, u // tile, int(labels[v, u])) for v, u in zip(y.tolist(), x.tolist(), strict=True)}
    assert Counter((c.y // tile, c.x // tile, c.label) for c in found) == Counter(present)


@settings(max_examples=40)
@given(labels=label_maps, tile=tiles)
def test_full_tiles_are_those_of_the_image_cut_to_them(labels: NDArray[np.uint8], tile: int) -> None:
    """Leaving strips out is the same as cutting them off; an image smaller than a tile has nothing."""
    h, w = (length // tile * tile for length in labels.shape)

    found = class_centroids(labels, tile=tile, class_count=CLASSES, full_tiles_only=True)

    assert found == class_centroids(labels[:h, :w], tile=tile, class_count=CLASSES)


@settings(max_examples=40)
@given(
    image_count=st.integers(0, 60),
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    share=st.floats(0, 1),
    epoch=st.integers(0, 1000),
)
def test_an_epoch_is_dealt_evenly(image_count: int, counts: list[int], share: float, epoch: int) -> None:
    """Classes have equal parts, and no image or centroid comes twice before all have come once."""
    by_class = choices(*counts)
    draws = draw_epoch(image_count, by_class, share=share, seed=1, epoch=epoch)
    filled = draw_epoch(image_count, by_class, share=share, seed=1, epoch=epoch, fill_up=True)

    per_class = int(image_count * share / len(counts))
    assert len(filled) == image_count
    assert len(draws) == image_count - per_class * counts.count(0)
    for drawn in (draws, filled):
        for label, count in enumerate(counts):
            times = Counter(d.centroid.x for d in drawn if d.centroid and d.centroid.label == label)
            assert times.total() == per_class * (count > 0)
            assert max(times.values(), default=0) - min(times[number] for number in range(count or 1)) <= 1
        assert max(Counter(random_part(drawn)).values(), default=0) <= 1


def test_the_epoch_of_cityscapes() -> None:
    """Of 2975 images with 19 classes, half class-uniform: 78 for each class, and 1493 at random."""
    draws = draw_epoch(2975, choices(*[100] * 19), share=0.5, seed=0, epoch=0)

    assert len(random_part(draws)) == 1493
    assert {*Counter(draw.centroid.label for draw in draws if draw.centroid).values()} == {78}


def test_weights_change_how_often_a_class_is_drawn() -> None:
    """With 10 for each class, weights 2, 0.55 and 0 give 20, 5 and none; the random part stays."""
    settings_ = {"share": 0.5, "seed": 0, "epoch": 0, "weights": [2.0, 0.55, 0.0]}
    draws = draw_epoch(60, choices(3, 3, 3), **settings_)

    assert Counter(draw.centroid.label for draw in draws if draw.centroid) == {0: 20, 1: 5}
    assert len(random_part(draws)) == 30
    assert len(random_part(draw_epoch(60, choices(3, 3, 3), **settings_, fill_up=True))) == 35


def test_an_epoch_follows_from_its_seed_and_number() -> None:
    """The same seed and epoch give the same draws; another of either gives others."""
    first, again, later, other = (
        draw_epoch(40, choices(9, 9), share=0.5, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )

    assert first == again
    assert first != later
    assert first != other
    assert random_part(first) != random_part(later)


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    crop=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_a_crop_contains_its_centroid(size: tuple[int, int], crop: tuple[int, int], seed: int) -> None:
    """Wherever the centroid is, the crop shows it, and nothing beyond the image unless it must."""
    rng = np.random.default_rng(seed)
    centroid = Centroid(x=int(rng.integers(size[1])), y=int(rng.integers(size[0])), label=0)

    corner = crop_around(centroid, crop=crop, size=size, rng=rng)

    for edge, point, inside, whole in zip(corner, (centroid.y, centroid.x), crop, size, strict=True):
        assert edge <= point < edge + inside
        assert min(whole - inside, 0) <= edge <= max(whole - inside, 0)


def test_a_centroid_may_be_anywhere_in_its_crop() -> None:
    """Far from the borders every place is as likely as any other, at both ends too."""
    rng = np.random.default_rng(0)
    corners = [
        crop_around(Centroid(x=50, y=60, label=0), crop=(4, 6), size=(100, 100), rng=rng) for _ in range(3000)
    ]

    tops, lefts = (Counter(edges) for edges in zip(*corners, strict=True))
    assert tops == pytest.approx(dict.fromkeys(range(57, 61), 750), rel=0.15)
    assert lefts == pytest.approx(dict.fromkeys(range(45, 51), 500), rel=0.15)


def test_a_small_image_lies_anywhere_in_its_crop() -> None:
    """An image of 4 pixels in a crop of 6 begins at its pixel 0, 1 or 2; along the other side it fits."""
    rng = np.random.default_rng(0)
    corners = {
        crop_around(Centroid(x=1, y=0, label=0), crop=(3, 6), size=(3, 4), rng=rng) for _ in range(100)
    }

    assert corners == {(0, -2), (0, -1), (0, 0)}


def test_a_tile_without_pixels_is_refused() -> None:
    """A tile has at least one pixel."""
    with pytest.raises(RecipeError, match=r"tiles have a size of 0 pixels; expected 1 or more"):
        class_centroids(np.zeros((2, 2), np.uint8), tile=0, class_count=1)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_beyond_the_whole_is_refused(share: float) -> None:
    """No more than all of an epoch can be class-uniform."""
    with pytest.raises(RecipeError, match=r"share of an epoch is .*; expected 0 to 1"):
        draw_epoch(3, choices(1), share=share, seed=0, epoch=0)


def test_weights_must_fit_the_classes() -> None:
    """Each class has its own weight."""
    with pytest.raises(RecipeError, match=r"2 weights for 3 classes; give one to each class"):
        draw_epoch(3, choices(1, 1, 1), share=0.5, seed=0, epoch=0, weights=[1.0, 2.0])
