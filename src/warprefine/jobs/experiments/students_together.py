"""Train the students of an experiment at the same time, where its engine has several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from warprefine.core.engine import HERE
from warprefine.core.progress import silent
from warprefine.core.streaming import streamed
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.students import Students, StudentVariant
from warprefine.jobs.training_reports import CurveValue, Report, Telling, listening
from warprefine.training.data.samples import LabelledFrame


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Students of an experiment.

    Attributes:
        students: Trains them.
        variants: What is trained, each with every seed.
        seeds: The seeds.
    """

    students: Students
    variants: Sequence[StudentVariant]
    seeds: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class DueStudent:
    """A student to be trained: the position of its arm, its variant and its seed."""

    arm: int
    variant: StudentVariant
    seed: int


def train_students(*arms: Arm) -> None:
    """Train the students of arms that share an engine, as many at the same time as it has workers; test them.

    Weights and scores are those of students that are trained one after the other. Nothing is done where the
    engine is here, and no student is trained twice.

    Raises:
        WarpRefineError: A training raised it.
    """
    context = arms[0].students.context
    if context.engine.is_here:
        return
    due = [
        DueStudent(arm=position, variant=variant, seed=seed)
        for position, arm in enumerate(arms)
        for variant in arm.variants
        for seed in arm.seeds
        if not _result(arm.students, variant, seed).exists()
    ]
    work = StudentWork(
        contexts=tuple(replace(arm.students.context, progress=silent, engine=HERE) for arm in arms),
        members=tuple(
            arm.students.members_for(one.variant for one in due if one.arm == position)
            for position, arm in enumerate(arms)
        ),
    )
    with listening(context.progress) as listener, closing(context.engine.stream(work, due)) as reports:
        for one, told in reports:
            if told is not None:
                listener.take(arms[one.arm].students.weights_path(one.variant, one.seed), told)


@dataclass(frozen=True, kw_only=True)
class StudentWork:
    """Trains and tests students, in whichever process it is called.

    Attributes:
        contexts: The experiment of each arm.
        members: Of each arm, all labelled frames, by what they are for.
    """

    contexts: tuple[ExperimentContext, ...]
    members: tuple[Mapping[object, Sequence[LabelledFrame]], ...]

    def __call__(self, due: DueStudent) -> Iterator[Report | CurveValue]:
        """Yield the progress of a training, and the values of its curves."""
        return streamed(partial(self._train, due))

    def _train(self, due: DueStudent, tell: Callable[[Report | CurveValue], None]) -> None:
        telling = Telling(tell=tell)
        context = replace(self.contexts[due.arm], progress=telling)
        students = Students(context, members=self.members[due.arm], watch=telling.watch)
        if context.recipe.data.test:
            students.score(due.variant, due.seed)
        else:
            students.weights(due.variant, due.seed)


def _result(students: Students, variant: StudentVariant, seed: int) -> Path:
    """Return the file that a student ends with."""
    if students.context.recipe.data.test:
        return students.score_path(variant, seed)
    return students.weights_path(variant, seed)
