"""Train the students of an experiment, each once, and score them on its test data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from warprefine.core.video import Dataset
from warprefine.evaluation.network_scores import NetworkScores
from warprefine.evaluation.result_table import Spread
from warprefine.io.curves import Curves
from warprefine.jobs.experiments.lab import Lab
from warprefine.jobs.generated import JOINT_METHOD, LabelledRun
from warprefine.training.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.student import StudentPlan, load_student, student_confusion, train_student
from warprefine.training.student_recipe import StudentRecipe
from warprefine.training.student_samples import Source, mixed

BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of training a student.

    `method` names the labels that it learns from beside those made by hand, None for none; they are
    taken at `offsets`, None for the recipe's. `coarse` adds the coarse labels of the data set.
    """

    name: str
    recipe: StudentRecipe
    method: str | None = None
    offsets: tuple[int, ...] | None = None
    coarse: bool = False

    @property
    def distances(self) -> tuple[int, ...]:
        """The distances from the key frame at which generated labels are taken."""
        own = self.recipe.joint_offsets if self.method == JOINT_METHOD else self.recipe.offsets
        return self.offsets or own


class Students:
    """Train and score variants of one experiment; what was finished before is read from OUT/students.

    Args:
        labels: The labels that were made; None where no variant learns from any.
    """

    def __init__(self, lab: Lab, labels: LabelledRun | None = None) -> None:
        self._lab, self._labels = lab, labels
        self._samples: dict[object, Samples] = {}
        self._folder = lab.out / "students"

    def spread(self, variant: Variant) -> Spread:
        """Return the mIoU of a variant over all seeds of the experiment, in percent."""
        return Spread.of([scores.miou for scores in self.scores(variant)])

    def scores(self, variant: Variant) -> list[NetworkScores]:
        """Return the scores of a variant, a student for each seed."""
        return [self.score(variant, seed) for seed in self._lab.seeds]

    def score(self, variant: Variant, seed: int) -> NetworkScores:
        """Return the scores of one student, trained and tested if that was not done yet."""
        path = self._folder / f"{variant.name}-seed{seed}.json"
        if not path.exists():
            student = load_student(self.weights(variant, seed), self._lab.torch_device)
            test = self._kept("test", lambda: labelled_frames(self._lab.test))
            scores = NetworkScores.of(student_confusion(student, test), self._lab.data.classes.names)
            scores.write(path)
        return NetworkScores.read(path)

    def weights(self, variant: Variant, seed: int) -> Path:
        """Return the checkpoint of a student, trained if it is not there yet."""
        path = self._folder / f"{variant.name}-seed{seed}.safetensors"
        if not path.exists():
            with Curves(self._folder, task=path.stem) as curves:
                plan = StudentPlan(
                    path=path,
                    class_names=self._lab.data.classes.names,
                    sources=self._sources(variant),
                    recipe=variant.recipe,
                    device=self._lab.torch_device,
                    seed=seed,
                    watch=curves,
                )
                train_student(plan, progress=self._lab.progress, task=f"training {path.stem}")
        return path

    def _sources(self, variant: Variant) -> list[Source]:
        """Gather what a student sees, what is labelled by hand first."""
        manual, generated, coarse = self._kept("manual", self._manual), Samples([]), Samples([])
        if variant.method is not None:
            generated = self._kept((variant.method, variant.distances), lambda: self._generated(variant))
        further = self._lab.coarse
        if variant.coarse and further is not None:
            coarse = self._kept("coarse", lambda: labelled_frames(further))
        return mixed(
            variant.recipe,
            manual=manual,
            generated=generated,
            coarse=coarse,
            class_count=len(self._lab.data.classes),
            cache=self._lab.out / "centroids",
            progress=self._lab.progress,
        )

    def _manual(self) -> list[LabelledFrame]:
        # Videos that could not be labelled are left out here too.
        sound = self._lab.data if self._labels is None else self._labels.dataset
        datasets: list[Dataset] = [sound, *self._lab.manual]
        return [member for dataset in datasets for member in labelled_frames(dataset)]

    def _generated(self, variant: Variant) -> list[LabelledFrame]:
        assert self._labels is not None, "labels are made before students"
        assert variant.method is not None
        return self._labels.frames(variant.method, offsets=variant.distances, progress=self._lab.progress)

    def _kept(self, key: object, find: Callable[[], list[LabelledFrame]]) -> Samples:
        """Return samples that students share, so that pictures are decoded once."""
        if key not in self._samples:
            # Each holds decoded pictures: of the generated ones, which follow one another, only the last.
            self._samples = {k: kept for k, kept in self._samples.items() if isinstance(k, str)}
            self._samples[key] = Samples(find())
        return self._samples[key]
