"""Tests of training/synthetic/things.py: things are found by size and position, not by class."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from warprefine.core.tensors import VOID
from warprefine.training.synthetic.things import find_things, nearest_indices

Picture = NDArray[np.uint8]
SKY, ROAD, CAR, POLE, SIGN = range(5)


def view(h: int = 60, w: int = 80) -> Picture:
    """Draw sky above road; things are drawn into it by each test."""
    labels = np.full((h, w), SKY, np.uint8)
    labels[h // 2 :] = ROAD
    return labels


def find(labels: Picture, *, stuff: float = 0.04, most: int = 12) -> Picture:
    return find_things(labels, stuff=stuff, most=most)


@pytest.mark.parametrize("label", [CAR, VOID])
def test_things_are_told_from_near_to_far(label: int) -> None:
    """Two cars of any class stand before the background; the one whose lower edge is lower is nearer."""
    labels = view()
    labels[40:50, 10:18], labels[31:36, 40:50] = label, label

    owner = find(labels)

    expected = np.zeros_like(labels)
    expected[40:50, 10:18], expected[31:36, 40:50] = 2, 1
    assert np.array_equal(owner, expected)


def test_what_touches_moves_as_one() -> None:
    """A sign and its pole are one thing."""
    labels = view()
    labels[20:50, 30:32], labels[10:20, 26:36] = POLE, SIGN

    owner = find(labels)

    assert np.array_equal(owner == 1, np.isin(labels, (POLE, SIGN)))
    assert owner.max() == 1


def test_a_chain_of_things_is_no_thing() -> None:
    """Things that touch and together cover more than `stuff` move each on its own."""
    labels = view()
    labels[20:50, 30:32], labels[10:20, 26:36] = POLE, SIGN

    owner = find(labels, stuff=0.02)

    assert np.array_equal(owner == 1, labels == SIGN)
    assert np.array_equal(owner == 2, labels == POLE)


def test_what_the_background_shows_between_things_stays_with_it() -> None:
    """A patch of sky that is seen through a car is sky, although it is small and reaches no border."""
    labels = view()
    labels[40:54, 10:24] = CAR
    labels[44:48, 14:20] = SKY

    assert np.array_equal(find(labels, stuff=0.1) == 1, labels == CAR)


def test_what_is_large_but_reaches_no_border_is_a_thing() -> None:
    """An animal that fills a third of the picture is cut out; one that the border cuts is background."""
    labels = np.zeros((60, 80), np.uint8)
    labels[10:50, 20:60] = 7
    cut = labels.copy()
    cut[50:, 40] = 7  # by one pixel

    assert np.array_equal(find(labels), labels == 7)
    assert not find(cut).any()


def test_slips_of_the_brush_go_with_what_is_around_them() -> None:
    """Eleven pixels amid a car move with the car, eleven on the road stay on the road; twelve are a thing."""
    labels = view()
    labels[40:50, 10:18] = CAR
    labels[45, 12:17], labels[46, 12:18] = POLE, POLE
    labels[55, 60:71] = POLE
    owner = find(labels)
    labels[55, 60:72] = POLE

    assert np.array_equal(owner == 1, np.isin(labels, (CAR, POLE)) & (np.arange(80) < 30))
    assert owner.max() == 1
    assert (find(labels)[55, 60:72] == 2).all()


def test_only_the_largest_are_cut_out() -> None:
    """Of three cars the smallest stays in the background when two are asked for, all when none is."""
    labels = view()
    for left, side in ((10, 6), (30, 4), (50, 5)):
        labels[40 : 40 + side, left : left + side] = CAR

    assert not find(labels, most=2)[40:44, 30:34].any()
    assert find(labels, most=2).max() == 2
    assert not find(labels, most=0).any()


def test_there_is_always_a_background() -> None:
    """However little the widest piece that reaches the border covers, it is no thing."""
    labels = np.arange(20, dtype=np.uint8).repeat(4)[None].repeat(40, axis=0)
    labels[:, 8:16] = 2

    owner = find(labels, stuff=0.5)

    assert not owner[:, 8:16].any()
    assert owner.max() == 12


def test_a_picture_of_nothing_but_slips_is_background() -> None:
    """Where no piece is large enough nothing can be told apart."""
    labels = np.arange(80, dtype=np.uint8).reshape(8, 10)

    assert not find(labels).any()


def test_the_nearest_known_place() -> None:
    """Each pixel of a row finds the known one beside it; known ones find themselves."""
    known = np.array([[False, True, False, False, False, False, True]])

    assert nearest_indices(known).tolist() == [[1, 1, 1, 1, 6, 6, 6]]
