"""The experiments of the paper, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warprefine.jobs.experiments.ablation import ablation
from warprefine.jobs.experiments.architectures import architectures, coarse, relaxation
from warprefine.jobs.experiments.benchmark import benchmark
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.cycle_length import cycle_length
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.horizon import horizon
from warprefine.jobs.experiments.pictures import pictures
from warprefine.jobs.experiments.quality import quality
from warprefine.jobs.experiments.utility import utility


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The function that runs an experiment, and a title with its place in the paper."""

    run: Callable[[ExperimentContext], Findings]
    title: str


EXPERIMENTS: dict[str, Experiment] = {
    "quality": Experiment(run=quality, title="How good propagated labels are (figures 1 and 5)"),
    "utility": Experiment(run=utility, title="What propagated labels are worth to a student (table 1)"),
    "horizon": Experiment(run=horizon, title="From how far away labels help a student (figure 8)"),
    "architectures": Experiment(run=architectures, title="Students of other networks (table A)"),
    "relaxation": Experiment(run=relaxation, title="Relaxed labels and motion-only labels (table B)"),
    "coarse": Experiment(run=coarse, title="Coarse labels and another data set's weights"),
    "cycle-length": Experiment(run=cycle_length, title="The longest cycle of the refiner (figure A)"),
    "benchmark": Experiment(run=benchmark, title="The final network (tables 2 to 4)"),
    "ablation": Experiment(run=ablation, title="What each part of warp-refine-plus is worth, and costs"),
    "pictures": Experiment(run=pictures, title="Labels and students in pictures (figures 2, 6, C and D)"),
}
