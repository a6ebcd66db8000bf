"""Run experiments in two processes, and in one; torchrun starts each with a folder to write to, and names.

FOLDER/alone holds what one process finds. In FOLDER/together two share the trainings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from warprefine.jobs.experiments import EXPERIMENTS
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.training.engine.distributed import ALONE, World, joined

TINY = Path(__file__).parents[2] / "experiment.toml"


def recipe_of(name: str) -> ExperimentRecipe:
    """Return a recipe in which small differences of gradients stay small differences of weights."""
    recipe = load_experiment_recipe(name, str(TINY))
    calm: dict[str, object] = {"optimiser": "sgd", "learning_rate": 0.05, "mixed_precision": False}
    labels, student = recipe.labels, recipe.student
    for key, value in calm.items():
        student = student.changed(("optimisation", key), value)
        for place in (("segmenter",), ("refiner",), ("plus", "refiner"), ("motion",)):
            labels = labels.changed((*place, "optimisation", key), value)
    labels = labels.changed(("motion", "crop"), (64, 64)).changed(("motion", "width"), 0.0625)
    for key, count in (("steps", 2), ("batch", 2), ("warmup", 1)):
        labels = labels.changed(("motion", "optimisation", key), count)
    data = recipe.data.model_copy(update={"folds": 2 if name == "benchmark" else 0})
    changes: dict[str, object] = {
        "utility": {"seeds": 1, "methods": ("motion-only", "warp-refine"), "oracle": False},
        "motion": {"train_motion": True, "motions": ("dis-ultrafast",)},
        "ablation": {"variants": ("without-refiner", "two-rounds"), "seeds": 2},
        "benchmark": {"grid": {"optimisation.learning_rate": (0.01, 0.02)}},
    }.get(name, {"seeds": 1})  # type: ignore[assignment]
    return recipe.model_copy(update={"labels": labels, "student": student, "data": data, **changes})


def run(name: str, out: Path, world: World) -> dict[str, object]:
    """Run an experiment; return its tables and the sizes of its pictures."""
    context = ExperimentContext(
        experiment=name, out=out, root=None, recipe=recipe_of(name), seed=3, world=world
    )
    context.claim()
    found = EXPERIMENTS[name].run(context)
    return {
        "tables": {key: asdict(table) for key, table in found.tables.items()},
        "pictures": {key: list(picture.size) for key, picture in found.pictures.items()},
        "remarks": list(found.remarks),
    }


def main(folder: Path, names: Sequence[str]) -> None:
    torch.set_num_threads(1)
    nn.Dropout2d.forward = lambda self, values: values  # type: ignore[method-assign] # ranks differ in it
    with joined("cpu") as (world, _):
        found: dict[str, object] = {}
        for name in names:
            with world.parting():
                if world.is_first:
                    found[f"alone/{name}"] = run(name, folder / "alone" / name, ALONE)
            found[f"together/{name}"] = run(name, folder / "together" / name, world)
        (folder / f"rank{world.rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
