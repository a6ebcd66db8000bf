"""The work of an experiment: which runs label frames, and which students are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.students import StudentVariant
from warprefine.recipe.recipe import Recipe
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER

REFINERS = (REFINER.part, TWO_SIDED_REFINER.part)


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """A run that labels frames.

    Attributes:
        methods: The methods whose labels it has.
        recipe: How it labels.
        folder: Its folder in OUT.
        again: Whether it takes all networks but refiners from the first run.
        taken: Further networks that it takes from other runs, by the names of their checkpoints.
    """

    methods: tuple[str, ...]
    recipe: Recipe
    folder: str = "labels"
    again: bool = False
    taken: tuple[str, ...] = ()

    def takes_over(self, name: str) -> bool:
        """Return whether it takes a network from another run instead of training it."""
        return name in self.taken or (self.again and name not in REFINERS)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Runs and students of an experiment, all in one output folder.

    Attributes:
        context: The experiment.
        labellings: The runs that label, the first one first.
        students: The students, each trained with every seed of `seeds`.
        seeds: Seeds of the students.
    """

    context: ExperimentContext
    labellings: tuple[Labelling, ...]
    students: tuple[StudentVariant, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(
        cls,
        context: ExperimentContext,
        methods: Sequence[str],
        students: Sequence[StudentVariant] = (),
        *,
        once: bool = False,
    ) -> Work:
        """Return the work of an experiment with one run that labels.

        Args:
            context: The experiment.
            methods: The methods whose labels it has.
            students: What is trained on them.
            once: Train each student with the first seed alone.
        """
        first = Labelling(methods=tuple(methods), recipe=context.recipe.labels)
        seeds = (context.seed,) if once else tuple(context.seeds)
        return cls(context=context, labellings=(first,), students=tuple(students), seeds=seeds)

    def student_path(self, variant: StudentVariant, seed: int) -> Path:
        """Return the checkpoint of a student."""
        return self.context.out / "students" / f"{variant.name}-seed{seed}.safetensors"
