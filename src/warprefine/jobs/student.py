"""Train a student on the labels of a finished run, on one device or on several, and test it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from warprefine.core.errors import LabelError, RunFolderError, cut
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset
from warprefine.evaluation.network_scores import NetworkScores
from warprefine.evaluation.scores import leading
from warprefine.io.atomic import write_text
from warprefine.io.claims import claim
from warprefine.io.curves import Curves
from warprefine.io.run import RunFolder
from warprefine.jobs.autolabel import labelled_by, left_out, motion_of
from warprefine.jobs.generated import JOINT_METHOD, LabelledRun
from warprefine.jobs.preflight import without
from warprefine.training.distributed import ALONE, World
from warprefine.training.recipe import Recipe
from warprefine.training.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.settings_file import settings_to_toml
from warprefine.training.student import StudentPlan, load_student, student_confusion, train_student
from warprefine.training.student_recipe import StudentRecipe
from warprefine.training.student_samples import Source, mixed


@dataclass(frozen=True, kw_only=True)
class StudentJob:
    """What to train a student on, and where to put it.

    Args:
        run: The folder of a run that has labelled its videos.
        out: Weights, scores and curves go here.
        method: Whose labels to learn from beside those made by hand; None learns from the latter alone.
        test: Data to test on; None tests nothing.
        coarse: Data with coarse labels, if there are such.
    """

    run: Path
    out: Path
    method: str | None
    recipe: StudentRecipe
    test: Dataset | None = None
    coarse: Dataset | None = None
    device: torch.device
    seed: int = 0
    world: World = ALONE

    @property
    def weights(self) -> Path:
        """Where the student lies."""
        return self.out / f"student-seed{self.seed}.safetensors"

    def claim(self) -> None:
        """Write down what the folder is about; a further call checks that it is still the same.

        Raises:
            RunFolderError: It holds students of another run, method or recipe.
        """
        said = {
            "run": str(self.run.resolve()),
            "method": self.method,
            "coarse": None if self.coarse is None else dict(self.coarse.origin),
            "recipe": self.recipe.model_dump(mode="json"),
        }
        claim(self.out / "student.json", said, what="student")
        write_text(self.out / "recipe.toml", settings_to_toml(self.recipe))


def train_on_run(job: StudentJob, *, progress: Progress = silent) -> NetworkScores | None:
    """Train a student and return its scores on the test data, if there are such.

    Every process of the job's world calls this; the first one writes.

    Raises:
        RunFolderError: The folder is no run, or lacks labels that the recipe asks for.
        LabelError: Test or coarse data have other classes than the run.
    """
    _check_folder(job.run)
    run = RunFolder(job.run)
    said = run.job()
    if job.world.is_first:
        job.claim()
    dataset = without(open_dataset(**said["data"]), left_out(run))
    also_train = [open_dataset(**origin) for origin in said["also_train"]]
    _check_classes(dataset, [further for further in (job.test, job.coarse) if further is not None])
    progress = progress if job.world.is_first else silent
    recipe = Recipe(**said["recipe"])
    labelled = LabelledRun(
        run=run,
        dataset=dataset,
        motion=motion_of(run, recipe, job.device),
        keep=recipe.propagation.keep,
    )
    if job.world.is_first and job.method == JOINT_METHOD:
        labelled.frames(job.method, offsets=job.recipe.joint_offsets, progress=progress)  # carries pictures
    job.world.wait()
    with Curves(job.out, task=job.weights.stem) as curves:
        plan = StudentPlan(
            path=job.weights,
            class_names=dataset.classes.names,
            sources=_sources(job, labelled, also_train, progress),
            recipe=job.recipe,
            device=job.device,
            seed=job.seed,
            world=job.world,
            watch=curves,
        )
        train_student(plan, progress=progress, task=f"training {job.weights.stem}")
    if job.test is None:
        return None
    student, test = load_student(job.weights, job.device), Samples(labelled_frames(job.test))
    matrix = student_confusion(student, test, world=job.world)
    scores = NetworkScores.of(matrix, dataset.classes.names)
    if job.world.is_first:
        scores.write(job.weights.with_suffix(".json"))
    return scores


def _sources(
    job: StudentJob, labelled: LabelledRun, also_train: Sequence[Dataset], progress: Progress
) -> list[Source]:
    """Gather what the student sees, what is labelled by hand first."""
    recipe = job.recipe
    manual = [member for dataset in (labelled.dataset, *also_train) for member in labelled_frames(dataset)]
    generated: list[LabelledFrame] = []
    if job.method is not None:
        offsets = recipe.joint_offsets if job.method == JOINT_METHOD else recipe.offsets
        generated = labelled.frames(job.method, offsets=offsets, progress=progress)
    coarse = labelled_frames(job.coarse) if job.coarse is not None else []
    return mixed(
        recipe,
        manual=Samples(manual),
        generated=Samples(generated),
        coarse=Samples(coarse),
        class_count=len(labelled.dataset.classes),
        cache=job.out / "centroids",
        progress=progress,
    )


def usual_method(run: Path) -> str:
    """Return whose labels of a run a student learns from unless told otherwise: those meant to be used.

    Raises:
        RunFolderError: The folder is no run, or has no labels yet.
    """
    _check_folder(run)
    return leading(labelled_by(run))


def _check_folder(run: Path) -> None:
    if not run.is_dir():
        raise RunFolderError(f"{run} is no folder; expected one that `warprefine autolabel` has made")


def _check_classes(dataset: Dataset, further: Sequence[Dataset]) -> None:
    for other in further:
        if other.classes.names != dataset.classes.names:
            raise LabelError(
                f"{other.root} has the classes {cut(other.classes.names)}, but the run's {dataset.root} has "
                f"{cut(dataset.classes.names)}; expected the same classes in the same order"
            )
