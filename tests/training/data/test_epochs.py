"""Tests of training/data/epochs.py: what each epoch of a training shows, and in which order."""

from __future__ import annotations

from collections import Counter

from warprefine.training.data.epochs import Drawn, EpochDraws
from warprefine.training.data.sampling import Centroid, Draw


def source(count: int, share: float, rare: int = 0) -> Drawn:
    """Return a source of images, the last of which shows class 1."""
    centroid = Centroid(x=3, y=4, label=1)
    return Drawn(count=count, by_class=[[], [Draw(count - 1, centroid)] * rare], share=share)


def test_every_epoch_has_the_share_of_each_source() -> None:
    """To the draw, in each of several epochs; and no image comes twice before all have come once."""
    draws = EpochDraws([source(6, 0.3), source(14, 0.7)], class_uniform=0.0, epoch_length=20, seed=4)
    for epoch in range(3):
        drawn = [draws(20 * epoch + place) for place in range(20)]
        assert Counter(which for which, _ in drawn) == {0: 6, 1: 14}
        assert {draw.image for which, draw in drawn if which == 1} == set(range(14))


def test_a_share_of_each_source_is_drawn_class_by_class() -> None:
    """A class of one image has its part of the class-uniform half, over epochs."""
    draws = EpochDraws([source(10, 1.0, rare=1)], class_uniform=0.5, epoch_length=10, seed=0)
    placed = [draws(position)[1].centroid is not None for position in range(400)]

    assert sum(placed) == 100


def test_draws_follow_from_seed_and_position() -> None:
    """Whatever was drawn before; another seed draws others."""
    sources = [source(30, 0.5, rare=1), source(30, 0.5)]
    first, again, other = (
        EpochDraws(sources, class_uniform=0.5, epoch_length=12, seed=seed) for seed in (1, 1, 2)
    )
    forwards = [first(position) for position in range(60)]

    assert [again(position) for position in reversed(range(60))] == forwards[::-1]
    assert [other(position) for position in range(60)] != forwards
