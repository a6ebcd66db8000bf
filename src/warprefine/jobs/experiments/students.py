"""Train the students of an experiment, each once, and score them on its test data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from warprefine.core.video import Dataset
from warprefine.io.curves import Curves
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.pseudo_labels import JOINT_METHOD
from warprefine.metrics.network_scores import NetworkScores
from warprefine.recipe.student import StudentRecipe
from warprefine.report.result_table import Spread
from warprefine.training.data.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.data.student_samples import Source, mixed
from warprefine.training.engine.loop import Watch
from warprefine.training.student import StudentPlan, load_student, student_confusion, train_student

BASELINE = "baseline"
MANUAL, COARSE, TEST = "manual", "coarse", "test"


@dataclass(frozen=True, kw_only=True)
class StudentVariant:
    """A student's recipe and training data.

    `method` is the method whose pseudo-labels are used beside the hand-made labels, None for none; they are
    taken at `offsets`, None for the recipe's. `coarse` adds the coarse labels of the data set.
    """

    name: str
    recipe: StudentRecipe
    method: str | None = None
    offsets: tuple[int, ...] | None = None
    coarse: bool = False

    @property
    def distances(self) -> tuple[int, ...]:
        """The distances from the key frame at which pseudo-labels are taken."""
        own = self.recipe.joint_offsets if self.method == JOINT_METHOD else self.recipe.offsets
        return self.offsets or own

    @property
    def pseudo_labels(self) -> tuple[str | None, tuple[int, ...], float]:
        """What decides which pseudo-labels are used."""
        return self.method, self.distances, self.recipe.confident


class Students:
    """Trains and scores the variants of an experiment; finished ones are read from OUT/students.

    Processes that share the experiment share each training and each test, in the same order.

    Args:
        labels: The run with the pseudo-labels; None where no variant uses any.
        members: Labelled frames that are found already, by what they are for.
        watch: Receives the curves of all students; None writes them beside the weights.
    """

    def __init__(
        self,
        context: ExperimentContext,
        labels: FinishedRun | None = None,
        *,
        members: Mapping[object, Sequence[LabelledFrame]] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.context, self._labels, self._watch = context, labels, watch
        self._members = dict(members or {})
        self._samples: dict[object, Samples] = {}

    def spread(self, variant: StudentVariant) -> Spread:
        """Return the mIoU of a variant over all seeds of the experiment, in percent."""
        return Spread.of([scores.miou for scores in self.scores(variant)])

    def scores(self, variant: StudentVariant) -> list[NetworkScores]:
        """Return the scores of a variant, a student for each seed."""
        return [self.score(variant, seed) for seed in self.context.seeds]

    def score(self, variant: StudentVariant, seed: int) -> NetworkScores:
        """Return the scores of one student, from its file or after training and testing it."""
        path, world = self.score_path(variant, seed), self.context.world
        if not path.exists():
            student = load_student(self.weights(variant, seed), self.context.torch_device)
            matrix = student_confusion(student, self._kept(TEST, self._test), world=world)
            with world.parting():
                if world.is_first:
                    NetworkScores.of(matrix, self.context.data.classes.names).write(path)
        return NetworkScores.read(path)

    def weights(self, variant: StudentVariant, seed: int) -> Path:
        """Return the checkpoint of a student, trained if it is missing."""
        path = self.weights_path(variant, seed)
        if not path.exists():
            with ExitStack() as stack:
                plan = StudentPlan(
                    path=path,
                    class_names=self.context.data.classes.names,
                    sources=self._sources(variant),
                    recipe=variant.recipe,
                    device=self.context.torch_device,
                    seed=seed,
                    world=self.context.world,
                    watch=self._watch or stack.enter_context(Curves(path.parent, task=path.stem)),
                )
                train_student(plan, progress=self.context.progress, task=f"training {path.stem}")
        return path

    def weights_path(self, variant: StudentVariant, seed: int) -> Path:
        """Return where the checkpoint of a student lies."""
        return self.context.out / "students" / f"{variant.name}-seed{seed}.safetensors"

    def score_path(self, variant: StudentVariant, seed: int) -> Path:
        """Return where the scores of a student lie."""
        return self.weights_path(variant, seed).with_suffix(".json")

    def members_for(self, variants: Iterable[StudentVariant]) -> dict[object, Sequence[LabelledFrame]]:
        """Return all labelled frames that variants are trained and tested on, by what they are for."""
        finds: dict[object, Callable[[], Sequence[LabelledFrame]]] = {MANUAL: self._manual}
        if self.context.recipe.data.test:
            finds[TEST] = self._test
        for variant in variants:
            finds |= self._finds(variant)
        self._members |= {key: find() for key, find in finds.items() if key not in self._members}
        return {key: self._members[key] for key in finds}

    def _finds(self, variant: StudentVariant) -> dict[object, Callable[[], Sequence[LabelledFrame]]]:
        """Return what finds the frames that a student learns from beside those labelled by hand."""
        finds: dict[object, Callable[[], Sequence[LabelledFrame]]] = {}
        if variant.method is not None:
            finds[variant.pseudo_labels] = partial(self._pseudo_labels, variant)
        if variant.coarse and self.context.coarse is not None:
            finds[COARSE] = partial(labelled_frames, self.context.coarse)
        return finds

    def _sources(self, variant: StudentVariant) -> list[Source]:
        """Return a student's training data, those labelled by hand first."""
        manual = self._kept(MANUAL, self._manual)
        further = {key: self._kept(key, find) for key, find in self._finds(variant).items()}
        return mixed(
            variant.recipe,
            manual=manual,
            pseudo_labelled=further.get(variant.pseudo_labels, Samples([])),
            coarse=further.get(COARSE, Samples([])),
            class_count=len(self.context.data.classes),
            cache=self.context.out / "centroids",
            progress=self.context.progress,
            world=self.context.world,
        )

    def _manual(self) -> Sequence[LabelledFrame]:
        # Videos that could not be labelled are left out here too.
        sound = self.context.data if self._labels is None else self._labels.dataset
        datasets: list[Dataset] = [sound, *self.context.manual]
        return [member for dataset in datasets for member in labelled_frames(dataset)]

    def _test(self) -> Sequence[LabelledFrame]:
        return labelled_frames(self.context.test)

    def _pseudo_labels(self, variant: StudentVariant) -> Sequence[LabelledFrame]:
        assert self._labels is not None, "frames are labelled before students are trained"
        assert variant.method is not None
        find = partial(
            self._labels.pseudo_labels,
            variant.method,
            offsets=variant.distances,
            out=self.context.out / "students",
            confident=variant.recipe.confident,
            device=self.context.torch_device,
            progress=self.context.progress,
        )
        return self.context.world.of_first(find)  # it may propagate images, which takes hours

    def _kept(self, key: object, find: Callable[[], Sequence[LabelledFrame]]) -> Samples:
        """Return samples that students share, so that images are decoded once."""
        if key not in self._samples:
            # Each holds decoded images: of those with pseudo-labels, which are used in turn, only the last.
            self._samples = {k: kept for k, kept in self._samples.items() if isinstance(k, str)}
            self._samples[key] = Samples(self._members[key] if key in self._members else find())
        return self._samples[key]
