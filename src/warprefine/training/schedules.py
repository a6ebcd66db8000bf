"""Let the learning rate fall: the polynomial decay of the paper, and two older forms of it."""

from __future__ import annotations

from warprefine.training.optimisation import Optimisation


def learning_rate_at(step: int, recipe: Optimisation) -> float:
    """Return the learning rate of a step: a linear warm-up, times a polynomial decay.

    "poly" is the paper's (section 4.1), "poly2" that of Tao et al. (2020), "scaled-poly" that of Zhu et
    al. (CVPR 2019), who begin anew when they stop relaxing labels. With `steps_per_drop` the steps of an
    epoch and without a warm-up these are their numbers.
    """
    begun = step // recipe.steps_per_drop * recipe.steps_per_drop
    left = 1 - begun / recipe.steps
    power = recipe.poly_power
    factor = float(left**power)
    if begun / recipe.steps >= recipe.turn:
        if recipe.schedule == "poly2":
            factor = float(left ** (2 * power))
        elif recipe.schedule == "scaled-poly":
            factor = recipe.second_scale * float((left / (1 - recipe.turn)) ** recipe.second_power)
    return recipe.learning_rate * factor * min(1.0, (step + 1) / max(recipe.warmup, 1))
