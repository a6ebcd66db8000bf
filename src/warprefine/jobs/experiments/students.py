"""Train the students of an experiment, each once, and score them on its test data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from warprefine.training.student import StudentPlan, load_student, student_confusion, train_student

BASELINE = "baseline"


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


class Students:
    """Trains and scores the variants of an experiment; finished ones are read from OUT/students.

    Args:
        labels: The run with the pseudo-labels; None where no variant uses any.
    """

    def __init__(self, context: ExperimentContext, labels: FinishedRun | None = None) -> None:
        self._context, self._labels = context, labels
        self._samples: dict[object, Samples] = {}
        self._folder = context.out / "students"

    def spread(self, variant: StudentVariant) -> Spread:
        """Return the mIoU of a variant over all seeds of the experiment, in percent."""
        return Spread.of([scores.miou for scores in self.scores(variant)])

    def scores(self, variant: StudentVariant) -> list[NetworkScores]:
        """Return the scores of a variant, a student for each seed."""
        return [self.score(variant, seed) for seed in self._context.seeds]

    def score(self, variant: StudentVariant, seed: int) -> NetworkScores:
        """Return the scores of one student, from its file or after training and testing it."""
        path = self._folder / f"{variant.name}-seed{seed}.json"
        if not path.exists():
            student = load_student(self.weights(variant, seed), self._context.torch_device)
            test = self._kept("test", lambda: labelled_frames(self._context.test))
            scores = NetworkScores.of(student_confusion(student, test), self._context.data.classes.names)
            scores.write(path)
        return NetworkScores.read(path)

    def weights(self, variant: StudentVariant, seed: int) -> Path:
        """Return the checkpoint of a student, trained if it is missing."""
        path = self._folder / f"{variant.name}-seed{seed}.safetensors"
        if not path.exists():
            with Curves(self._folder, task=path.stem) as curves:
                plan = StudentPlan(
                    path=path,
                    class_names=self._context.data.classes.names,
                    sources=self._sources(variant),
                    recipe=variant.recipe,
                    device=self._context.torch_device,
                    seed=seed,
                    watch=curves,
                )
                train_student(plan, progress=self._context.progress, task=f"training {path.stem}")
        return path

    def _sources(self, variant: StudentVariant) -> list[Source]:
        """Return a student's training data, those labelled by hand first."""
        manual, pseudo_labelled, coarse = self._kept("manual", self._manual), Samples([]), Samples([])
        if variant.method is not None:
            pseudo_labelled = self._kept(
                (variant.method, variant.distances), lambda: self._pseudo_labels(variant)
            )
        further = self._context.coarse
        if variant.coarse and further is not None:
            coarse = self._kept("coarse", lambda: labelled_frames(further))
        return mixed(
            variant.recipe,
            manual=manual,
            pseudo_labelled=pseudo_labelled,
            coarse=coarse,
            class_count=len(self._context.data.classes),
            cache=self._context.out / "centroids",
            progress=self._context.progress,
        )

    def _manual(self) -> list[LabelledFrame]:
        # Videos that could not be labelled are left out here too.
        sound = self._context.data if self._labels is None else self._labels.dataset
        datasets: list[Dataset] = [sound, *self._context.manual]
        return [member for dataset in datasets for member in labelled_frames(dataset)]

    def _pseudo_labels(self, variant: StudentVariant) -> list[LabelledFrame]:
        assert self._labels is not None, "frames are labelled before students are trained"
        assert variant.method is not None
        return self._labels.pseudo_labels(
            variant.method,
            offsets=variant.distances,
            out=self._folder,
            device=self._context.torch_device,
            progress=self._context.progress,
        )

    def _kept(self, key: object, find: Callable[[], list[LabelledFrame]]) -> Samples:
        """Return samples that students share, so that images are decoded once."""
        if key not in self._samples:
            # Each holds decoded images: of those with pseudo-labels, which are used in turn, only the last.
            self._samples = {k: kept for k, kept in self._samples.items() if isinstance(k, str)}
            self._samples[key] = Samples(find())
        return self._samples[key]
