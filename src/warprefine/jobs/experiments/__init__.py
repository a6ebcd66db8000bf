"""The experiments of the paper, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from warprefine.jobs.experiments.ablation import ablation, work_of_ablation
from warprefine.jobs.experiments.architectures import (
    architectures,
    coarse,
    relaxation,
    work_of_architectures,
    work_of_coarse,
    work_of_relaxation,
)
from warprefine.jobs.experiments.benchmark import benchmark, work_of_benchmark
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.cycle_length import cycle_length, work_of_cycle_length
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.horizon import horizon, work_of_horizon
from warprefine.jobs.experiments.motion import motion, work_of_motion
from warprefine.jobs.experiments.pictures import pictures, work_of_pictures
from warprefine.jobs.experiments.plan import Plan, Throughput
from warprefine.jobs.experiments.planner import plan_of
from warprefine.jobs.experiments.quality import quality, work_of_quality
from warprefine.jobs.experiments.utility import utility, work_of_utility
from warprefine.jobs.experiments.work import Work


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The function that runs an experiment, and a title with its place in the paper.

    `work` returns what is labelled and trained.
    """

    run: Callable[[ExperimentContext], Findings]
    work: Callable[[ExperimentContext], tuple[Work, ...]]
    title: str


EXPERIMENTS: dict[str, Experiment] = {
    "quality": Experiment(
        run=quality, work=work_of_quality, title="How good propagated labels are (figures 1 and 5)"
    ),
    "utility": Experiment(
        run=utility, work=work_of_utility, title="What propagated labels are worth to a student (table 1)"
    ),
    "horizon": Experiment(
        run=horizon, work=work_of_horizon, title="From how far away labels help a student (figure 8)"
    ),
    "architectures": Experiment(
        run=architectures, work=work_of_architectures, title="Students of other networks (table A)"
    ),
    "relaxation": Experiment(
        run=relaxation, work=work_of_relaxation, title="Relaxed labels and motion-only labels (table B)"
    ),
    "coarse": Experiment(
        run=coarse, work=work_of_coarse, title="Coarse labels and another data set's weights"
    ),
    "cycle-length": Experiment(
        run=cycle_length, work=work_of_cycle_length, title="The longest cycle of the refiner (figure A)"
    ),
    "motion": Experiment(
        run=motion, work=work_of_motion, title="Optical flow against video prediction (supplement B.2)"
    ),
    "benchmark": Experiment(run=benchmark, work=work_of_benchmark, title="The final network (tables 2 to 4)"),
    "ablation": Experiment(
        run=ablation,
        work=work_of_ablation,
        title="What each part of warp-refine-plus is worth, and costs",
    ),
    "pictures": Experiment(
        run=pictures,
        work=work_of_pictures,
        title="Labels and students in pictures (figures 2, 6, 7, C and D)",
    ),
}


def plan_experiment(context: ExperimentContext, throughput: Throughput) -> Plan:
    """Return the plan of an experiment; what OUT has already is left out.

    Nothing is written, but for the procedural street, which is rendered to be counted.

    Args:
        context: The experiment.
        throughput: What the machine does in a second.
    """
    data = context.recipe.data.model_copy(update={"coarse_gap": 0})  # with gaps, label maps would be written
    context = replace(context, recipe=context.recipe.model_copy(update={"data": data}))
    return plan_of(EXPERIMENTS[context.experiment].work(context), throughput)
