"""Tests of training/engine/schedules.py: the learning rate by step; golden tests hold published values."""

from __future__ import annotations

import pytest

from warprefine.recipe.optimisation import Optimisation
from warprefine.training.engine.schedules import learning_rate_at


@pytest.mark.parametrize("schedule", ["poly", "poly2", "scaled-poly"])
def test_the_learning_rate_may_fall_by_epoch(schedule: str) -> None:
    """Within an epoch it stays, and each epoch has the rate of one step of a training of as many steps."""
    by_epoch = Optimisation(steps=10, schedule=schedule, second_scale=0.5, warmup=0)
    by_step = by_epoch.model_copy(update={"steps": 70, "steps_per_drop": 7})

    rates = [learning_rate_at(step, by_step) for step in range(70)]

    assert rates == pytest.approx([learning_rate_at(step // 7, by_epoch) for step in range(70)])
    assert len(set(rates)) == 10


def test_the_warm_up_goes_on_within_an_epoch() -> None:
    """The first steps are small ones however rarely the learning rate falls."""
    recipe = Optimisation(steps=20, steps_per_drop=10, learning_rate=1.0, warmup=4)

    assert [learning_rate_at(step, recipe) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
