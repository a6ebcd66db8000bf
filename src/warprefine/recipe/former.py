"""What a recipe that an earlier version has recorded stands for in keys that it lacks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from warprefine.recipe.optimisation import MOST_STEPS

FORMER_VALUES: dict[str, Any] = {
    "motion.ignore_outside": True,
    "motion.optimisation.recompute": False,
    "plus.refiner.left_out": 0.0,
    "plus.refiner.members": 1,
    "plus.refiner.optimisation.recompute": False,
    "propagation.calibration_key_frames": 0,
    "propagation.calibration_steps": 0,
    "propagation.cut_sensitivity": 1.0,
    "propagation.stop_at_cuts": False,
    "refiner.blur": 0.0,
    "refiner.class_uniform": 0.0,
    "refiner.epoch_factor": 3.0,
    "refiner.epochs": 0.0,
    "refiner.optimisation.recompute": False,
    "refiner.scale": [1.0, 1.0],
    "refiner.tile": 0,
    "segmenter.adaptation.recompute": False,
    "segmenter.epoch_factor": 3.0,
    "segmenter.epochs": 0.0,
    "segmenter.further": True,
    "segmenter.held_out": "folds",
    "segmenter.optimisation.recompute": False,
    "segmenter.relaxed_scale": 1.0,
    "segmenter.relaxed_until": 1.0,
    "segmenter.steps_per_picture": MOST_STEPS,
    "segmenter.strict_classes": [],
    "segmenter.tile": 0,
}
"""Keys newer than the first recorded recipes, each with the value that gives what was done before it.

That need not be its default: defaults change, and a new one may be meant to change what is done. A key is
here only if its value is exactly what earlier versions did. The tables `stages` are not: without them there
were no further stages, while a recipe that disables both still has their changes.
"""


def with_former_values(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded recipe in which keys that are newer than it have their former values.

    Example:
        >>> with_former_values({"motion": {"frames": 2}})
        {'motion': {'frames': 2, 'ignore_outside': True}}
    """
    complete = copy.deepcopy(dict(recorded))
    for key, value in FORMER_VALUES.items():
        *above, last = key.split(".")
        table: Any = complete
        for name in above:
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table.setdefault(last, value)
    return complete
