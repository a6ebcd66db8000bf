"""Tests of jobs/experiments/recipes: each can be planned on a small data set in the layout that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.experiments.layouts import LAYOUTS
from warprefine.jobs.experiments import EXPERIMENTS, network_cost, plan_experiment
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.network_cost import NetworkCost, cost_of_segmenter
from warprefine.jobs.experiments.plan import THROUGHPUTS
from warprefine.jobs.experiments.recipe import load_experiment_recipe, shipped_recipes
from warprefine.recipe.network import NetworkRecipe

SHIPPED = [(name, recipe) for name in EXPERIMENTS for recipe in shipped_recipes(name)]
_costs: dict[tuple[object, ...], NetworkCost] = {}


def counted_once(recipe: NetworkRecipe, class_count: int, *, training: bool) -> NetworkCost:
    """Return the cost of a segmenter: large networks are built once for all recipes."""
    key = (recipe.network, recipe.widths, recipe.source, recipe.scales, class_count, training)
    if key not in _costs:
        _costs[key] = cost_of_segmenter(recipe, class_count, training=training)
    return _costs[key]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set for each reader."""
    root = tmp_path_factory.mktemp("layouts")
    for reader, write in LAYOUTS.items():
        write(root / reader)
    return root


@pytest.mark.parametrize(("name", "recipe"), SHIPPED, ids=["-".join(one) for one in SHIPPED])
def test_every_recipe_can_be_planned(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, recipe: str
) -> None:
    """There are frames to label, trainings of its networks, and sizes on disk; nothing is written."""
    monkeypatch.setattr(network_cost, "cost_of_segmenter", counted_once)
    settings, out = load_experiment_recipe(name, recipe), tmp_path / "out"
    reader = settings.data.reader
    if reader == "street":
        out.mkdir()
        (out / "data").symlink_to(data / reader)
    context = ExperimentContext(experiment=name, out=out, root=data / reader, recipe=settings)

    plan = plan_experiment(context, THROUGHPUTS["cuda"])

    assert plan.frames > 0
    assert plan.training_hours > 0
    assert plan.disk.labels > 0
    assert plan.disk.checkpoints > sum(one.weight_bytes for one in plan.trainings)
    keep = settings.labels.propagation.keep
    assert (plan.disk.cache > 0) == (keep != "nothing")
    due = {one.network for one in plan.trainings}
    assert due >= ({"sdcnet"} if settings.train_motion else set())
    teachers = set() if name in ("motion", "relaxation") else {settings.labels.segmenter.network}
    assert due >= teachers
    assert [path.name for path in tmp_path.rglob("*")] == ([] if reader != "street" else ["out", "data"])


def test_all_experiments_have_recipes() -> None:
    """None is left out of the test above."""
    assert {name for name, _ in SHIPPED} == {*EXPERIMENTS}
