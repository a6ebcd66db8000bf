"""Plan an experiment without running it: trainings, steps, frames, disk and hours.

Hours follow from multiply-adds, which are counted in a forward pass of each network, and from throughputs.
A step of a training counts three forward passes of its batch. Hours are those of one process; tests, the
cycles that refiners learn from and the choice of tau are not part of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch

from warprefine.core.stages import GOOD
from warprefine.io.run import RunFolder
from warprefine.jobs.context import RunContext
from warprefine.jobs.experiments.disk import Disk
from warprefine.jobs.experiments.network_cost import Costs, NetworkCost, cost_of_motion
from warprefine.jobs.experiments.plan import Labels, Plan, Throughput, Training
from warprefine.jobs.experiments.storage import Storage
from warprefine.jobs.experiments.work import REFINERS, Labelling, Work
from warprefine.jobs.networks import Networks
from warprefine.jobs.plan import trainings_of
from warprefine.propagation.methods import needs_of
from warprefine.recipe.optimisation import Optimisation
from warprefine.recipe.recipe import Recipe, RefinerRecipe, SegmenterRecipe
from warprefine.recipe.two_sided_refiner import TwoSidedRefinerRecipe
from warprefine.training.data.samples import labelled_frames
from warprefine.training.motion import PART as MOTION
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

_TRAINING = "training "
_REFINERS = {f"the {part}": part for part in REFINERS}
_FORWARD_PASSES = 3
"""Of a training step: forwards once, backwards twice as much."""
_LABEL_BYTES = 0.26
"""Label map and confidence of a pixel, in PNG files: 0.04 and 0.22 bytes on CamVid's clip."""
_STATE = 5
"""Weights in the state of a training: they, their best and their average, and two of the optimiser."""


def plan_of(works: Sequence[Work], throughput: Throughput) -> Plan:
    """Return the plan of an experiment; what OUT has already is left out. Nothing is written.

    Args:
        works: The work of the experiment.
        throughput: What the machine does in a second.
    """
    planners = [Planner(work) for work in works]
    return Plan(
        trainings=tuple(one for planner in planners for one in planner.trainings),
        labels=tuple(one for planner in planners for one in planner.labels),
        disk=sum((planner.disk() for planner in planners), Disk()),
        throughput=throughput,
    )


class Planner:
    """Plans the work of one output folder."""

    def __init__(self, work: Work) -> None:
        self._work, self._context = work, work.context
        self._costs = Costs(class_count=len(work.context.data.classes))
        self._storage = Storage(work, self._costs)

    @cached_property
    def trainings(self) -> tuple[Training, ...]:
        """The trainings that are due."""
        return tuple(self._trainings())

    @cached_property
    def labels(self) -> tuple[Labels, ...]:
        """What each method labels in each run."""
        return tuple(self._labels())

    def _trainings(self) -> Iterator[Training]:
        for labelling in self._work.labellings:
            yield from self._of_labelling(labelling)
        manual = len(labelled_frames(self._context.data)) + sum(
            len(labelled_frames(dataset)) for dataset in self._context.manual
        )
        for variant in self._work.students:
            recipe = variant.recipe.resolved(manual)
            for seed in self._work.seeds:
                path = self._work.student_path(variant, seed)
                if not path.exists():
                    cost = self._costs.segmenter(recipe, training=True)
                    yield _training(
                        f"students/{path.stem}",
                        recipe.network,
                        recipe.optimisation,
                        cost=cost,
                        crop=recipe.augmentation.crop,
                    )

    def _labels(self) -> Iterator[Labels]:
        storage = self._storage
        for labelling in self._work.labellings:
            for method in labelling.methods:
                counts = [(video, len(storage.due(labelling, method, video))) for video in storage.videos]
                pixels = sum((count * storage.pixels(video) for video, count in counts if count), 0.0)
                yield Labels(
                    run=labelling.folder,
                    method=method,
                    frames=sum(count for _, count in counts),
                    pixels=pixels,
                    multiply_adds=pixels * self._per_pixel(labelling.recipe, method),
                )

    def disk(self) -> Disk:
        """Return what will be written."""
        trainings = [one.weight_bytes for one in self.trainings]
        state = _STATE * max(trainings, default=0)
        found = Disk(
            labels=_LABEL_BYTES * sum(one.pixels for one in self.labels),
            checkpoints=float(sum(trainings) + state),
        )
        return found + self._storage.kept({one.name for one in self.trainings})

    def _per_pixel(self, recipe: Recipe, method: str) -> float:
        """Return the multiply-adds of networks for a pixel that a method labels."""
        needs, total = needs_of((method,)), 0.0
        if "segmenter" in needs:
            total += self._costs.segmenter(recipe.segmenter, training=False).multiply_adds
        if "refiner" in needs:
            total += (1 + recipe.refiner.mirrored) * self._costs.refiner(recipe, REFINER.part).multiply_adds
        if "two-sided-refiner" in needs and recipe.plus.refiner.enabled:
            passes = 1 + recipe.plus.refiner.mirrored
            total += passes * self._costs.refiner(recipe, TWO_SIDED_REFINER.part).multiply_adds
        return total

    def _of_labelling(self, labelling: Labelling) -> Iterator[Training]:
        """Yield the trainings of a run that labels."""
        context, recipe, costs = self._context, labelling.recipe, self._costs
        run = RunFolder(context.out / labelling.folder, read_only=True)
        if context.recipe.train_motion and not labelling.again and not run.checkpoint_path(MOTION).exists():
            motion = recipe.motion
            yield _training(
                f"{labelling.folder}/{MOTION}",
                "sdcnet",
                motion.optimisation,
                cost=cost_of_motion(motion),
                crop=motion.crop,
            )
        begun: Counter[str] = Counter()
        networks = Networks(
            RunContext(
                dataset=context.data,
                horizon=context.horizon,
                run=run,
                recipe=recipe,
                device=torch.device("cpu"),
                seed=context.seed,
                also_train=context.manual,
            )
        )
        for task in trainings_of(networks, labelling.methods, GOOD, set()):
            if not task.name.startswith(_TRAINING):
                continue
            name = task.name.removeprefix(_TRAINING)
            name = _REFINERS.get(name, name)
            begun[name] += 1
            if begun[name] == 1 and labelling.takes_over(name):
                continue  # what follows, in further rounds, goes on from it
            chosen: SegmenterRecipe | RefinerRecipe | TwoSidedRefinerRecipe = recipe.segmenter
            if name in REFINERS:
                chosen = recipe.refiner if name == REFINER.part else recipe.plus.refiner
                cost, crop = costs.refiner(recipe, name), chosen.crop
            else:
                cost, crop = (
                    costs.segmenter(recipe.segmenter, training=True),
                    recipe.segmenter.augmentation.crop,
                )
            yield _training(
                f"{labelling.folder}/{name}",
                chosen.network,
                chosen.optimisation.changed(("steps",), task.units),
                cost=cost,
                crop=crop,
            )


def _training(
    name: str,
    network: str,
    optimisation: Optimisation,
    *,
    cost: NetworkCost,
    crop: tuple[int, int],
) -> Training:
    """Return a training as long as `optimisation` has it."""
    samples = optimisation.steps * optimisation.batch * optimisation.accumulate
    return Training(
        name=name,
        network=network,
        steps=optimisation.steps,
        samples=samples,
        multiply_adds=_FORWARD_PASSES * samples * crop[0] * crop[1] * cost.multiply_adds,
        weight_bytes=cost.weight_bytes,
    )
