"""Tests of jobs/experiments/plan.py: a plan is what the experiment then does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from warprefine.jobs.experiments import EXPERIMENTS, plan_experiment
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.disk import Disk
from warprefine.jobs.experiments.network_cost import cost_of_motion, cost_of_refiner, cost_of_segmenter
from warprefine.jobs.experiments.plan import THROUGHPUTS, Labels, Plan, Throughput, Training
from warprefine.jobs.experiments.recipe import ExperimentRecipe, load_experiment_recipe
from warprefine.recipe.motion import MotionRecipe
from warprefine.recipe.network import NetworkRecipe
from warprefine.recipe.recipe import RefinerRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedNetwork

TINY = Path(__file__).parents[2] / "experiment.toml"
PIXELS = 1024 * 512


@dataclass
class Recorded:
    """Progress that remembers the steps of each training that came to its end."""

    steps: list[int] = field(default_factory=list)

    def __call__(self, task: str, done: int, total: int, note: str = "") -> None:
        if task.startswith("training ") and done == total:
            self.steps.append(total)


def planned(context: ExperimentContext) -> Plan:
    return plan_experiment(context, THROUGHPUTS["cpu"])


def recipe_of(name: str) -> ExperimentRecipe:
    """Return a recipe that takes seconds; the benchmark runs on two folds, which are the same street."""
    recipe = load_experiment_recipe(name, str(TINY))
    if name == "benchmark":
        return recipe.model_copy(update={"data": recipe.data.model_copy(update={"folds": 2})})
    few = {"cycle-length": {"seeds": 1}, "ablation": {"variants": ("without-refiner", "without-mirrored")}}
    return recipe.model_copy(update=few.get(name, {}))


def labelled(out: Path, key: str) -> int:
    """Return the number of label maps below a folder that are not of the key frame."""
    return sum(path.stem != key for path in out.rglob("labels/labels/*/*/*.png")) + sum(
        path.stem != key
        for runs in ("cycles-to-*", "motion-*", "variants/*")
        for path in out.glob(f"{runs}/labels/*/*/*.png")
    )


@pytest.mark.parametrize("name", ["utility", "cycle-length", "benchmark", "motion", "ablation"])
def test_a_plan_is_what_a_run_then_does(tmp_path: Path, name: str) -> None:
    """As many trainings, steps and frames as a real run reports and writes; after it nothing is left."""
    recorded = Recorded()
    context = ExperimentContext(
        experiment=name, out=tmp_path / "out", root=None, recipe=recipe_of(name), progress=recorded
    )
    plan = planned(context)

    EXPERIMENTS[name].run(context)

    assert sorted(one.steps for one in plan.trainings) == sorted(recorded.steps)
    assert plan.steps == sum(recorded.steps)
    key = context.data.videos[0].stems[context.data.videos[0].key_frames[0]]
    assert plan.frames == labelled(context.out, key)
    after = planned(context)
    assert (after.trainings, after.frames) == ((), 0)


def test_a_plan_names_each_training(tmp_path: Path) -> None:
    """Networks of the first run by their checkpoints, students by name and seed; nothing is trained."""
    context = ExperimentContext(experiment="utility", out=tmp_path, root=None, recipe=recipe_of("utility"))

    names = [one.name for one in planned(context).trainings]

    assert names[:4] == [
        "labels/segmenter",
        "labels/segmenter-fold0",
        "labels/segmenter-fold1",
        "labels/refiner",
    ]
    assert "students/warp-refine-seed1" in names
    assert len(names) == 4 + 6 * 2
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_motion_is_planned_where_the_recipe_trains_it(tmp_path: Path) -> None:
    """SDC-Net comes first, with the steps of its own training."""
    recipe = recipe_of("quality").model_copy(update={"train_motion": True})
    context = ExperimentContext(experiment="quality", out=tmp_path, root=None, recipe=recipe)

    first = planned(context).trainings[0]

    assert (first.name, first.network) == ("labels/motion", "sdcnet")
    assert first.steps == recipe.labels.motion.optimisation.steps


def test_hours_follow_from_throughputs() -> None:
    """3.6e15 multiply-adds take an hour at 10^12 a second; labels take as long for the frames again."""
    training = Training(
        name="a", network="n", steps=10, samples=80, multiply_adds=3.6e15, weight_bytes=1_000_000
    )
    labels = Labels(run="labels", method="m", frames=5, pixels=3.6e9, multiply_adds=7.2e15)
    plan = Plan(
        trainings=(training, training),
        labels=(labels,),
        disk=Disk(labels=1e9, cache=64e6, checkpoints=2e6),
        throughput=Throughput(training=1.0, labelling=2.0, frames=1.0),
    )

    assert (plan.training_hours, plan.labelling_hours) == (2, 2)
    assert (plan.steps, plan.frames) == (20, 5)
    assert plan.to_json()["totals"]["disk_bytes"] == 1_066_000_000
    faster = replace(plan, throughput=Throughput(training=4.0, labelling=4.0, frames=2.0))
    assert (faster.training_hours, faster.labelling_hours) == (0.5, 1)
    assert plan.to_json()["totals"]["training_hours"] == 2


def test_costs_are_those_of_the_table_of_networks() -> None:
    """docs/networks.md has them for 19 classes and 1024 x 512 pixels, in G multiply-adds."""
    segmenter = cost_of_segmenter(NetworkRecipe(), 19, training=False)
    refiner = cost_of_refiner(RefinerRecipe(), 19, 64)

    assert segmenter.multiply_adds * PIXELS == pytest.approx(20.0e9, rel=0.05)
    assert refiner.multiply_adds * PIXELS == pytest.approx(36.3e9, rel=0.05)
    assert segmenter.weight_bytes == pytest.approx(4 * 5.51e6, rel=0.01)
    assert cost_of_motion(MotionRecipe()).multiply_adds * PIXELS == pytest.approx(1.5e9, rel=0.05)
    assert cost_of_refiner(TwoSidedNetwork(), 19, 64).multiply_adds > 0
