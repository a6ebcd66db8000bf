"""Tests of training/data/augment.py: image and labels are varied as one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.recipe.network import Augmentation
from warprefine.training.data.augment import augment, jitter_colours
from warprefine.training.data.sampling import Centroid

Picture = NDArray[np.uint8]
PAD = (124, 116, 104)
CELL = 16


def plain(**changes: object) -> Augmentation:
    """Return settings that vary nothing but what is asked for."""
    still = {"crop": (64, 64), "scale": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "blur": 0.0}
    return Augmentation.model_validate({**still, **changes})


def map_of_places(h: int = 60, w: int = 60) -> tuple[Picture, Picture]:
    """Paint four times its x and y into each pixel, and label it with the cell of 16 pixels it lies in."""
    y, x = np.mgrid[0:h, 0:w]
    image = np.stack([4 * x, 4 * y, np.full_like(x, 7)], axis=-1).astype(np.uint8)
    return image, (x // CELL + 4 * (y // CELL)).astype(np.uint8)


def crop_of(
    settings_: Augmentation,
    *,
    h: int = 60,
    w: int = 60,
    seed: int = 0,
    focus: int | None = None,
    around: Centroid | None = None,
) -> tuple[Picture, Picture]:
    rng = np.random.default_rng(seed)
    return augment(*map_of_places(h, w), settings_, rng, focus=focus, around=around)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("zoom", [0.5, 0.73, 1.0, 1.4, 2.0])
def test_labels_stay_on_their_pixels(zoom: float, flip: float) -> None:
    """Whatever the zoom, each pixel is labelled with the cell that its colour encodes."""
    for seed in range(5):
        image, labels = crop_of(plain(crop=(20, 24), scale=(zoom, zoom), flip=flip), seed=seed)

        x, y = image[..., 0] / 4, image[..., 1] / 4
        slack = 0.3 if zoom >= 1 else 0.3 + 0.5 / zoom  # pixels, near the edges of cells
        edge_x = np.abs((x + 0.5 + CELL / 2) % CELL - CELL / 2)
        edge_y = np.abs((y + 0.5 + CELL / 2) % CELL - CELL / 2)
        sure = (np.minimum(edge_x, edge_y) > slack) & (labels != VOID)
        wanted = np.floor((x + 0.5) / CELL) + 4 * np.floor((y + 0.5) / CELL)
        assert sure.mean() > 0.5
        assert np.array_equal(labels[sure], wanted[sure])


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_a_zoom_of_two_shows_half_as_much(zoom: float) -> None:
    """Neighbouring pixels of the crop lie 1 / zoom pixels of the picture apart."""
    image, _ = crop_of(plain(crop=(16, 20), scale=(zoom, zoom)))

    steps = np.diff(image[4:-4, 4:-4, 0].astype(float), axis=1) / 4
    assert np.median(steps) == pytest.approx(1 / zoom)


@pytest.mark.parametrize(("flip", "mirrored"), [(0.0, 0), (1.0, 40), (0.5, 20)])
def test_some_are_mirrored(flip: float, mirrored: int) -> None:
    """Mirrored pictures run from right to left, up and down never change; as many are as is asked for."""
    crops = [crop_of(plain(crop=(30, 30), flip=flip), seed=seed)[0].astype(int) for seed in range(40)]

    assert sum(bool(crop[15, 5, 0] > crop[15, 25, 0]) for crop in crops) == pytest.approx(mirrored, abs=8)
    assert all(crop[5, 15, 1] < crop[25, 15, 1] for crop in crops)


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    crop=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    scale=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)).map(lambda pair: tuple(sorted(pair))),
    seed=st.integers(0, 2**32),
)
def test_a_crop_has_exactly_the_size_asked_for(
    size: tuple[int, int], crop: tuple[int, int], scale: tuple[float, float], seed: int
) -> None:
    """Pictures of any size, also smaller than the crop, give crops of the recipe's size at any zoom."""
    image, labels = crop_of(Augmentation(crop=crop, scale=scale), h=size[0], w=size[1], seed=seed)

    assert image.shape == (*crop, 3)
    assert labels.shape == crop
    assert image.dtype == labels.dtype == np.uint8
    assert image.flags.c_contiguous
    assert labels.flags.c_contiguous


@given(size=st.tuples(st.integers(1, 80), st.integers(1, 80)), seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_beyond_a_small_picture_lies_void(size: tuple[int, int], seed: int) -> None:
    """A picture smaller than the crop is shown whole, somewhere in it; around it are VOID and mean colour."""
    image, labels = crop_of(plain(crop=(64, 64)), h=size[0], w=size[1], seed=seed)

    shown = labels != VOID
    assert shown.sum() == min(size[0], 64) * min(size[1], 64)
    assert (image[~shown] == PAD).all()
    assert (image[shown][:, 2] == 7).all()


@settings(max_examples=60)
@given(
    place=st.tuples(st.integers(0, 59), st.integers(0, 59)),
    zoom=st.sampled_from([1.0, 1.7, 2.0]),
    crop=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    seed=st.integers(0, 2**32),
)
def test_a_crop_shows_the_class_it_is_placed_on(
    place: tuple[int, int], zoom: float, crop: tuple[int, int], seed: int
) -> None:
    """A single pixel of a class is in the crop wherever it lies, unless it is shrunk away."""
    image, labels = map_of_places()
    labels[place] = 200

    _, shown = augment(
        image, labels, plain(crop=crop, scale=(zoom, zoom)), np.random.default_rng(seed), focus=200
    )

    assert (shown == 200).any()


def test_a_class_that_is_not_there_places_the_crop_anywhere() -> None:
    """Asking for a class that the picture lacks is no mistake."""
    assert np.array_equal(crop_of(plain(), focus=250)[1], crop_of(plain())[1])


def test_crops_come_from_everywhere() -> None:
    """All of a picture is seen sooner or later, its corners too."""
    shown = {
        label for seed in range(60) for label in np.unique(crop_of(plain(crop=(8, 8)), seed=seed)[1]).tolist()
    }

    assert shown == set(range(16))


def test_the_same_numbers_give_the_same_crop() -> None:
    """A crop follows from the random numbers that it is given, and others give another."""
    varied = Augmentation(crop=(32, 40))
    first, again, other = (crop_of(varied, seed=seed) for seed in (3, 3, 4))

    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_the_picture_itself_is_not_changed() -> None:
    """Samples are kept and varied again and again."""
    image, labels = map_of_places()
    before = image.copy(), labels.copy()

    augment(image, labels, Augmentation(crop=(32, 32)), np.random.default_rng(0))

    assert np.array_equal(image, before[0])
    assert np.array_equal(labels, before[1])


def test_without_jitter_and_blur_colours_stay(rng: np.random.Generator) -> None:
    """Nothing is done to colours that are not to be changed."""
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)

    assert np.array_equal(jitter_colours(image, plain(), rng), image)


def test_grey_stays_grey_and_within_the_limits() -> None:
    """Brightness changes by at most the share asked for, and no colour creeps into grey."""
    grey = np.full((4, 4, 3), 100, np.uint8)
    changed = np.stack(
        [jitter_colours(grey, plain(jitter=0.2), np.random.default_rng(seed)) for seed in range(50)]
    )

    assert (changed.max(axis=-1) - changed.min(axis=-1)).max() <= 1
    assert 79 <= changed.min() < 90
    assert 110 < changed.max() <= 121


def test_colours_are_weighed_as_eyes_do() -> None:
    """Without saturation a pixel is as bright as it looks: images are RGB, and red outshines blue."""
    draws = [np.random.default_rng(seed).uniform(-1, 1, 3) for seed in range(200)]
    seed = int(np.argmin([draw[2] for draw in draws]))
    colours = np.array([[[200, 0, 0], [0, 0, 200]]], np.uint8)

    red, blue = jitter_colours(colours, plain(jitter=0.99), np.random.default_rng(seed))[0].astype(int)

    assert red[1] > 2 * blue[1]


def test_some_are_blurred(rng: np.random.Generator) -> None:
    """A blurred picture has softer edges and the same brightness."""
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)

    blurred = jitter_colours(image, plain(blur=1.0), np.random.default_rng(1))

    assert blurred.std() < 0.8 * image.std()
    assert blurred.mean() == pytest.approx(image.mean(), abs=2)
    assert cv2.Laplacian(blurred, cv2.CV_64F).std() < 0.5 * cv2.Laplacian(image, cv2.CV_64F).std()


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_a_crop_shows_the_point_it_is_placed_around(zoom: float) -> None:
    """Whatever the zoom, some pixel of the crop comes from within a pixel of that point."""
    for seed in range(20):
        image, _ = crop_of(plain(crop=(16, 16), scale=(zoom, zoom)), seed=seed, around=Centroid(41, 7, 0))

        x, y = image[..., 0] / 4, image[..., 1] / 4
        assert np.hypot(x - 41, y - 7)[image[..., 2] == 7].min() <= max(1, 1 / zoom)


def test_hues_turn_and_grey_stays() -> None:
    """A turn of hues leaves grey as it is, and changes the colour of a red picture but not its brightness."""
    rng = np.random.default_rng(0)
    grey, red = np.full((4, 4, 3), 90, np.uint8), np.full((4, 4, 3), (130, 90, 90), np.uint8)

    turned = [jitter_colours(red, plain(hue=0.5), rng) for _ in range(20)]

    assert np.array_equal(jitter_colours(grey, plain(hue=0.5), rng), grey)
    weights = np.array([0.299, 0.587, 0.114])
    assert all(abs(float((look[0, 0] - red[0, 0].astype(float)) @ weights)) <= 1 for look in turned)
    assert len({tuple(look[0, 0].tolist()) for look in turned}) > 10


def test_without_a_turn_of_hue_pictures_are_as_before() -> None:
    """Hue 0 draws no random number: older trainings see the same pictures."""
    image, _ = map_of_places()
    looks = [
        jitter_colours(image, plain(jitter=0.3, hue=hue), np.random.default_rng(1)) for hue in (0.0, 0.25)
    ]
    again = jitter_colours(image, plain(jitter=0.3), np.random.default_rng(1))

    assert np.array_equal(looks[0], again)
    assert not np.array_equal(looks[1], again)


@pytest.mark.parametrize(("zooms", "below_one"), [("log", 0.5), ("linear", 1 / 3)])
def test_how_zooms_are_drawn(zooms: str, below_one: float) -> None:
    """From 0.5 to 2, half of the zooms shrink if halving is as likely as doubling, and a third if not."""
    shrunk = 0
    for seed in range(1500):
        image, _ = crop_of(plain(crop=(16, 16), scale=(0.5, 2.0), zooms=zooms), seed=seed)
        first, last = image[8, 2, 0] / 4, image[8, 13, 0] / 4
        shrunk += last - first > 11

    assert shrunk / 1500 == pytest.approx(below_one, abs=0.06)
