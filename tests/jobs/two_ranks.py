"""Train the networks of a run in two processes, and in one; torchrun starts each with a folder to write to.

FOLDER/alone holds what one process trains. In FOLDER/together two train the segmenters and motion, and in
FOLDER/refined, from the segmenters of the one, both refiners. In FOLDER/labelled two label what one
has labelled in FOLDER/labelled-alone, in two calls, the first of which has no time for more than a frame.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from warprefine import load_recipe, open_dataset
from warprefine.core.errors import RecipeError
from warprefine.datasets.street import write_street
from warprefine.io.array_cache import ArrayCache
from warprefine.jobs.autolabel import label_in_stages
from warprefine.jobs.context import RunContext
from warprefine.jobs.networks import Networks
from warprefine.jobs.start import start
from warprefine.propagation import unit_work
from warprefine.recipe.recipe import Recipe
from warprefine.training.engine.distributed import ALONE, World, joined

TRAININGS = (
    ("segmenter", "optimisation"),
    ("refiner", "optimisation"),
    ("plus", "refiner", "optimisation"),
    ("motion", "optimisation"),
)


METHODS = ("motion-only",)


def recipe_of_test() -> Recipe:
    """Return a recipe in which small differences of gradients stay small differences of weights."""
    recipe = load_recipe(Path(__file__).parent.parent / "tiny.toml").changed(
        ("segmenter", "holdout_every"), 2
    )
    recipe = recipe.changed(("propagation", "tau"), 0.3)
    for place in TRAININGS:
        for key, value in (("optimiser", "sgd"), ("learning_rate", 0.01), ("mixed_precision", False)):
            recipe = recipe.changed((*place, key), value)
    return recipe


def begun(folder: Path, name: str, world: World, recipe: Recipe) -> RunContext:
    """Start a run on the first rank, and return its context on all."""

    def begin() -> RunContext:
        return start(open_dataset(folder / "data"), folder / name, horizon=1, recipe=recipe, reuse=False)

    return replace(world.of_first(begin), world=world)


def train_alone(folder: Path, recipe: Recipe) -> None:
    """Write the data set, and train everything in this process."""
    write_street(folder / "data", videos=2, length=7, start=1, step=2, h=48, w=64)
    networks = Networks(begun(folder, "alone", ALONE, recipe))
    networks.segmenter()
    networks.refiner("stepwise")
    networks.refiner("two-sided")
    networks.trained_motion()  # last: cycles follow it once it is there
    label_in_stages(Networks(begun(folder, "labelled-alone", ALONE, recipe)), METHODS, until=None)


def labelled_together(folder: Path, world: World, recipe: Recipe) -> tuple[list[str], list[str]]:
    """Label in two calls; return the label maps of the first, and those that this rank has written."""
    written: list[str] = []
    write = unit_work.write_labels

    def recording(path: Path, *values: Any) -> None:
        written.append(f"{path.parent.name}/{path.name}")
        write(path, *values)

    unit_work.write_labels = recording  # type: ignore[assignment]
    networks = Networks(begun(folder, "labelled", world, recipe))
    label_in_stages(networks, METHODS, until=None, deadline=time.monotonic())
    early = sorted(path.name for path in (folder / "labelled" / "labels").rglob("*.png"))
    label_in_stages(Networks(begun(folder, "labelled", world, recipe)), METHODS, until=None)
    return early, written


def recorded_puts() -> list[str]:
    """Return a list that gets the key of whatever is put into a cache from now on."""
    puts: list[str] = []
    put = ArrayCache.put

    def recording(self: ArrayCache, key: str, tensors: Mapping[str, Tensor]) -> None:
        puts.append(key)
        put(self, key, tensors)

    ArrayCache.put = recording  # type: ignore[method-assign]
    return puts


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    nn.Dropout2d.forward = lambda self, values: values  # type: ignore[method-assign] # ranks differ in it
    recipe = recipe_of_test()
    with joined("cpu") as (world, _):
        with world.parting():
            if world.is_first:
                train_alone(folder, recipe)
        puts = recorded_puts()
        networks = Networks(begun(folder, "together", world, recipe))
        networks.segmenter()
        networks.trained_motion()
        context = begun(folder, "refined", world, recipe)
        with world.parting():
            if world.is_first:
                for path in sorted((folder / "alone" / "checkpoints").glob("segmenter*.safetensors")):
                    target = context.run.checkpoint_path(path.stem)
                    target.parent.mkdir(exist_ok=True)
                    shutil.copy(path, target)
        networks = Networks(context)
        networks.refiner("stepwise")
        networks.refiner("two-sided")
        message = ""
        try:
            uneven = recipe.changed(("refiner", "optimisation", "batch"), 3)
            Networks(replace(context, recipe=uneven, run=context.run.for_fold(0))).refiner("stepwise")
        except RecipeError as error:
            message = str(error)
        early, written = labelled_together(folder, world, recipe)
        noted = {"puts": puts, "message": message, "early": early, "written": written}
        torch.save(noted, folder / f"rank{world.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
