"""Tests of training/synthetic/layers.py: what is taken apart can be put together, here or elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.training.synthetic.layers import Layers, compose, split_layers

Picture = NDArray[np.uint8]
SKY, ROAD, CAR = range(3)


def view(h: int = 60, w: int = 80) -> tuple[Picture, Picture]:
    """Draw a car on a road; red tells the class, green x and blue y."""
    labels = np.full((h, w), SKY, np.uint8)
    labels[h // 2 :] = ROAD
    labels[44:54, 20:32] = CAR
    return paint(labels), labels


def paint(labels: Picture) -> Picture:
    y, x = np.indices(labels.shape)
    return np.dstack([labels * 80, 3 * x, 3 * y]).astype(np.uint8)


def apart(image: Picture, labels: Picture) -> Layers:
    return split_layers(image, labels, stuff=0.04, most=12)


def shifted(layers: Layers, **shifts: tuple[float, float]) -> NDArray[np.float64]:
    """Place the background and all cutouts (x, y) pixels away."""
    placements = np.tile(np.eye(3), (1 + len(layers.cutouts), 1, 1))
    placements[0, :2, 2] = shifts.get("background", (0, 0))
    placements[1:, :2, 2] = shifts.get("cutouts", (0, 0))
    return placements


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cell=st.integers(1, 9),
    classes=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_layers_at_rest_are_the_picture(size: tuple[int, int], cell: int, classes: int, seed: int) -> None:
    """Pictures of any size and any labels come out as they went in, to the last bit."""
    random = np.random.default_rng(seed)
    cells = random.choice([*range(classes), VOID], (40 // cell + 1, 40 // cell + 1)).astype(np.uint8)
    labels = np.ascontiguousarray(cells.repeat(cell, 0).repeat(cell, 1)[: size[0], : size[1]])
    image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    layers = split_layers(image, labels, stuff=0.2, most=5)

    picture, same_labels, owner = compose(layers, shifted(layers))

    assert np.array_equal(picture, image)
    assert np.array_equal(same_labels, labels)
    assert np.array_equal(owner, layers.owner)


def test_a_car_drives_off() -> None:
    """The car is where it has gone, with its colours and labels; where it was there is road, and no car."""
    image, labels = view()
    layers = apart(image, labels)

    picture, new_labels, owner = compose(layers, shifted(layers, cutouts=(20, 3)))

    expected = np.where(labels == CAR, ROAD, labels)
    expected[47:57, 40:52] = CAR
    assert np.array_equal(new_labels, expected)
    assert np.array_equal(owner, expected == CAR)
    assert np.array_equal(picture[47:57, 40:52], image[44:54, 20:32])
    assert (picture[44:54, 20:32, 0] == ROAD * 80).all()


def test_the_rim_of_a_thing_goes_with_its_paint_only() -> None:
    """The mixed pixels around a car do not stay behind as its outline, but they are no car."""
    image, labels = view()
    image[43:55, 19:33] = 255
    image[44:54, 20:32] = 250
    layers = apart(image, labels)

    picture, new_labels, _ = compose(layers, shifted(layers, cutouts=(20, 0)))

    assert (layers.background != 255).all()
    assert (picture[43, 39:53] == 255).all()
    assert (new_labels[43, 39:53] == ROAD).all()


def test_things_have_soft_edges() -> None:
    """Half a pixel on, an edge is half of the thing and half of what is behind it."""
    image, labels = view()
    image[:] = 100
    image[43:55, 19:33] = 200
    layers = apart(image, labels)

    picture, _, _ = compose(layers, shifted(layers, cutouts=(0.5, 0)))

    assert picture[49, 17:22, 0].tolist() == pytest.approx([100, 100, 150, 200, 200], abs=1)


def test_soft_edges_grow_with_a_thing() -> None:
    """A thing that has come four times as near fades over four times as many pixels, on both sides."""
    image, labels = view()
    image[:] = 100
    image[43:55, 19:33] = 200
    layers = apart(image, labels)
    placements = shifted(layers)
    placements[1] = [[4, 0, -60], [0, 4, -170], [0, 0, 1]]

    picture, _, _ = compose(layers, placements)

    assert picture[30, 11:18, 0].tolist() == pytest.approx([100, 100, 125, 150, 175, 200, 200], abs=1)
    assert picture[30, 67:74, 0].tolist() == pytest.approx([200, 200, 175, 150, 125, 100, 100], abs=1)


def test_the_nearer_thing_is_in_front() -> None:
    """Where two cars meet, the one whose lower edge is lower is seen."""
    _, labels = view()
    labels[38:48, 50:62] = CAR
    layers = apart(paint(labels), labels)
    placements = shifted(layers)
    placements[1, 0, 2] = -28  # the far one drives behind the near one

    _, _, owner = compose(layers, placements)

    assert (owner[44:54, 20:32] == 2).all()
    assert (owner[38:44, 22:34] == 1).all()


def test_behind_a_thing_the_background_goes_on_with_its_texture() -> None:
    """A striped road is striped below the car, too: as bright and as rough, and labelled as what it shows."""
    image, labels = view()
    image[:] = np.where(np.arange(80) % 4 < 2, 40, 200)[None, :, None]

    layers = apart(image, labels)

    assert np.isin(layers.background, (40, 200)).all()
    assert layers.background[44:54, 20:32].std() > 60
    assert np.array_equal(layers.labels, np.where(labels == CAR, ROAD, labels))


def test_labels_are_filled_in_where_pictures_are() -> None:
    """The label of what is filled in is that of the pixel that its colours were taken from."""
    _, labels = view()
    labels[24:44, 40:44] = CAR
    layers = apart(paint(labels), labels)

    hidden = layers.owner > 0
    assert np.array_equal(layers.background[hidden, 0], layers.labels[hidden] * 80)
    assert set(np.unique(layers.labels[24:44, 40:44]).tolist()) == {SKY, ROAD}


def test_between_two_things_the_background_is_seen_again_and_again() -> None:
    """The strip of road between two buses goes on behind them, rather than a smear of its edge."""
    _, labels = view()
    labels[32:58, 10:30], labels[32:58, 44:64] = CAR, CAR

    green = apart(paint(labels), labels).background[45, 22:30, 1]

    assert len(np.unique(green)) >= 5
    assert (green // 3 >= 30).all()
    assert (green // 3 < 44).all()


def test_ragged_outlines_do_not_shatter_the_background(rng: np.random.Generator) -> None:
    """Behind a thing whose outline is ragged, smooth ground is smooth."""
    image, labels = np.zeros((80, 120, 3), np.uint8), np.full((80, 120), ROAD, np.uint8)
    image[:] = (2 * np.arange(120))[None, :, None]
    for x, top in zip(range(20, 100), rng.integers(36, 40, 80), strict=True):
        labels[top:60, x] = CAR

    steps = np.diff(apart(image, labels).background[41:48, 40:80, 0].astype(int), axis=1)

    assert np.abs(steps - 2).mean() < 2.5


def test_thin_things_leave_no_trace() -> None:
    """Of a wire of twelve pixels no end stays in the background, nor of the rim around it."""
    labels = np.full((40, 40), ROAD, np.uint8)
    labels[range(10, 22), range(10, 22)] = CAR
    image = paint(labels)
    image[cv2.dilate((labels == CAR).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 255

    layers = apart(image, labels)

    assert (layers.labels == ROAD).all()
    assert (layers.background != 255).all()


def test_a_crowd_leaves_a_background() -> None:
    """Where things leave hardly a pixel between them, what there is of the background fills it."""
    labels = np.full((20, 24), ROAD, np.uint8)
    labels[:4, :4] = CAR
    labels[1:-1, 5:-1], labels[5:-1, 1:-1] = CAR, CAR

    assert (apart(paint(labels), labels).labels == ROAD).all()


def test_beyond_the_border_the_picture_is_mirrored() -> None:
    """A camera that turns to the left sees the picture again, the other way round, and labelled so."""
    image, labels = view()
    labels[labels == CAR] = ROAD
    labels[:, :6] = 9
    layers = apart(image, labels)

    picture, new_labels, _ = compose(layers, shifted(layers, background=(10, 0)))

    assert np.array_equal(picture[:, 10:], image[:, :-10])
    assert np.array_equal(picture[:, :10], image[:, 10:0:-1])
    assert np.array_equal(new_labels[:, :10], labels[:, 10:0:-1])


@pytest.mark.parametrize("turns", range(4))
def test_a_thing_that_the_border_cuts_is_mirrored(turns: int) -> None:
    """A car that is half outside drives in whole, on whatever side."""
    labels = np.full((40, 40), ROAD, np.uint8)
    labels[15:20, :8] = CAR
    labels = np.ascontiguousarray(np.rot90(labels, turns))
    layers = apart(paint(labels), labels)
    inwards = ((20, 0), (0, -20), (-20, 0), (0, 20))[turns]

    _, new_labels, _ = compose(layers, shifted(layers, cutouts=inwards))

    expected = np.full((40, 40), ROAD, np.uint8)
    expected[15:20, 13:28] = CAR
    assert np.array_equal(new_labels, np.rot90(expected, turns))


def test_a_thing_leaves_the_picture() -> None:
    """What has gone out of the picture is not seen any more."""
    image, labels = view()
    layers = apart(image, labels)

    _, new_labels, owner = compose(layers, shifted(layers, cutouts=(0, -90)))

    assert np.array_equal(new_labels, layers.labels)
    assert not owner.any()


def test_nearness_is_where_a_thing_stands() -> None:
    """A car in the middle stands half near, one that the lower border cuts is as near as can be."""
    _, labels = view()
    labels[22:30, 50:58], labels[56:, 60:70] = CAR, CAR

    assert [cutout.nearness for cutout in apart(paint(labels), labels).cutouts] == [0.5, 54 / 60, 1.0]
