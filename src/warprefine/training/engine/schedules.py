"""Learning-rate schedules: the polynomial decay of the paper, and two older variants of it."""

from __future__ import annotations

from warprefine.recipe.optimisation import Optimisation


def learning_rate_at(step: int, recipe: Optimisation) -> float:
    """Return the learning rate of a step: a linear warm-up times a polynomial decay.

    "poly" is the paper's (section 4.1), "poly2" that of Tao et al. (2020), "scaled-poly" that of Zhu et
    al. (CVPR 2019), which restarts where label relaxation ends. With `steps_per_drop` the steps of an epoch
    and without a warm-up, the values equal theirs.

    Example:
        >>> recipe = Optimisation(steps=100, learning_rate=0.5, poly_power=1.0, warmup=10)
        >>> [round(learning_rate_at(step, recipe), 3) for step in (0, 9, 50, 99)]
        [0.05, 0.455, 0.25, 0.005]
    """
    last_drop = step // recipe.steps_per_drop * recipe.steps_per_drop
    remaining = 1 - last_drop / recipe.steps
    power = recipe.poly_power
    factor = float(remaining**power)
    if last_drop / recipe.steps >= recipe.turn:
        if recipe.schedule == "poly2":
            factor = float(remaining ** (2 * power))
        elif recipe.schedule == "scaled-poly":
            factor = recipe.second_scale * float((remaining / (1 - recipe.turn)) ** recipe.second_power)
    return recipe.learning_rate * factor * min(1.0, (step + 1) / max(recipe.warmup, 1))
