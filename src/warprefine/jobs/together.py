"""Train the networks of a run at the same time, where an engine has several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

from warprefine.core.engine import HERE
from warprefine.core.progress import silent
from warprefine.core.streaming import streamed
from warprefine.core.time_limit import check_time
from warprefine.jobs.context import RunContext
from warprefine.jobs.networks import Networks
from warprefine.jobs.training_reports import CurveValue, Report, Telling
from warprefine.propagation.methods import needs_of
from warprefine.training.engine.checkpoint import is_trained
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.tau import trial_walks
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.teachers import BASE, LABELLER, fold_name


def train_together(networks: Networks, methods: Sequence[str]) -> None:
    """Train the networks that methods need, as many at the same time as the engine of the run has workers.

    They are those that would be trained one after the other when they are first asked for, and have the same
    weights. Nothing is done where the engine is here.

    Args:
        networks: The networks of the run.
        methods: Names in `METHODS`.

    Raises:
        TimeIsUp: The time limit is over; trainings go on from their last saved states.
        WarpRefineError: A training raised it.
    """
    train_runs_together([networks], methods)


def train_runs_together(runs: Sequence[Networks], methods: Sequence[str]) -> None:
    """Do for several runs that share an engine what `train_together` does for one."""
    if not runs or runs[0].context.engine.is_here:
        return
    first = runs[0].context
    contexts = tuple(replace(one.context, progress=silent, engine=HERE) for one in runs)
    for waves in zip_longest(*(_waves(one, methods) for one in runs), fillvalue=()):
        due = [(position, name) for position, wave in enumerate(waves) for name in wave]
        with closing(first.engine.stream(Training(contexts=contexts), due)) as reports:
            for _, report in reports:
                if isinstance(report, tuple):
                    first.progress(*report)
                    check_time()


@dataclass(frozen=True, kw_only=True)
class Training:
    """Trains a network of a run, in whichever process it is called.

    Attributes:
        contexts: The runs.
    """

    contexts: tuple[RunContext, ...]

    def __call__(self, item: tuple[int, str]) -> Iterator[Report | CurveValue]:
        """Yield the progress of a training: that of a checkpoint of the run at a position."""
        return streamed(partial(self._train, *item))

    def _train(self, position: int, name: str, tell: Callable[[Report | CurveValue], None]) -> None:
        networks = Networks(replace(self.contexts[position], progress=Telling(tell=tell)))
        teachers = networks.teachers
        trainings: dict[str, Callable[[], object]] = {
            BASE: teachers.train_base,
            LABELLER: teachers.train_labeller,
            REFINER.part: lambda: networks.refiner("stepwise"),
            TWO_SIDED_REFINER.part: lambda: networks.refiner("two-sided"),
        }
        for fold in range(teachers.recipe.folds):
            trainings[fold_name(fold)] = partial(teachers.train_held_out, fold)
        trainings[name]()


def _waves(networks: Networks, methods: Sequence[str]) -> Iterator[list[str]]:
    """Yield the checkpoints to be trained at the same time; those of a wave start from those before it."""
    context, needs, teachers = networks.context, needs_of(methods), networks.teachers
    run, parts, recipe = context.run, context.parts, context.recipe
    refiners = []
    if "refiner" in needs and parts.refiner is None and not is_trained(run.checkpoint_path(REFINER.part)):
        refiners.append(REFINER.part)
    two_sided = run.checkpoint_path(TWO_SIDED_REFINER.part)
    refined = "two-sided-refiner" in needs and recipe.plus.refiner.enabled
    if refined and parts.two_sided_refiner is None and not is_trained(two_sided):
        refiners.append(TWO_SIDED_REFINER.part)
    if "segmenter" in needs and parts.segmenter is None:
        places = networks.samples.held_out_places(refiners)
        if "tau" in needs and not networks.tau_is_known:
            places += [(video, stops[-1]) for video, stops in trial_walks(context.dataset)]
        folds = sorted({teachers.fold_of(video, frame) for video, frame in places})
        names = [LABELLER, *(fold_name(fold) for fold in folds if teachers.has_own(fold))]
        due = [name for name in names if not is_trained(run.checkpoint_path(name))]
        if due and teachers.further and not is_trained(run.checkpoint_path(BASE)):
            yield [BASE]
        if due:
            yield due
    if refiners:
        yield refiners
