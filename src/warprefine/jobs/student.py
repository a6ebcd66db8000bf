"""Train a student on the labels of a finished run, on one device or several, and test it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from warprefine.core.errors import LabelError, RunFolderError, shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset
from warprefine.io.atomic import write_text
from warprefine.io.claims import check_apart, claim
from warprefine.io.curves import Curves
from warprefine.io.fingerprints import fingerprint_of, fingerprint_of_labels
from warprefine.io.locks import locked
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.labelled_data import content_of_video
from warprefine.jobs.preflight import check_device, check_seed
from warprefine.jobs.pseudo_labels import JOINT_METHOD
from warprefine.jobs.run_records import methods_of
from warprefine.metrics.network_scores import NetworkScores
from warprefine.metrics.scores import leading
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.recipe.student import StudentRecipe
from warprefine.training.data.samples import LabelledFrame, Samples, labelled_frames
from warprefine.training.data.student_samples import mixed
from warprefine.training.engine.distributed import ALONE, World
from warprefine.training.engine.loop import Watch
from warprefine.training.student import StudentPlan, load_student, student_confusion, train_student


@dataclass(frozen=True, kw_only=True)
class StudentJob:
    """A student's training data, recipe and output folder.

    Args:
        run: The folder of a run that has labelled its videos.
        out: Weights, scores and curves are written here.
        method: The method whose pseudo-labels are used beside hand-made labels; None uses the latter alone.
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
        """The student's checkpoint."""
        return self.out / f"student-seed{self.seed}.safetensors"

    def claim(self, labels: str) -> None:
        """Record what the folder is for; a further call checks that it is still the same.

        Args:
            labels: A fingerprint of the labels to train on.

        Raises:
            RunFolderError: It holds students of another run, method or recipe, or of other labels.
        """
        content = {
            "run": str(self.run.resolve()),
            "method": self.method,
            "trained_on": labels,
            "coarse": None if self.coarse is None else dict(self.coarse.origin),
            "recipe": self.recipe.to_dict(),
        }
        claim(self.out / "student.json", content, what="student")
        write_text(self.out / "recipe.toml", settings_to_toml(self.recipe))


def train_student_on_run(
    run: Path | str,
    out: Path | str,
    *,
    method: str | None = None,
    pseudo_labels: bool = True,
    recipe: StudentRecipe | None = None,
    test: Dataset | None = None,
    coarse: Dataset | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = silent,
) -> NetworkScores | None:
    """Train a single-frame segmentation network on the labels of a finished run, and test it.

    Args:
        run: The run folder.
        out: Weights, scores and curves are written here; an unfinished training in it is continued.
        method: The method whose pseudo-labels are used; by default the last of `METHODS` but the oracle.
        pseudo_labels: Train on pseudo-labels too; otherwise on hand-made labels alone.
        recipe: How the student is built and trained; None means the defaults.
        test: Data to test on; None tests nothing.
        coarse: Data with coarse labels, if there are such.
        device: Where the network runs.
        seed: Seed of all random numbers.
        progress: Called after every step.

    Returns:
        The scores on the test data, in percent; None without such.

    Raises:
        RunFolderError: The folder is no run, or lacks labels that the recipe needs.
        LabelError: Test or coarse data have other classes than the run.

    Example:
        >>> from warprefine import open_dataset, train_student
        >>> scores = train_student("RUN", "STUDENT", test=open_dataset("TEST"))  # doctest: +SKIP
        >>> scores.miou  # doctest: +SKIP
    """
    job = StudentJob(
        run=Path(run),
        out=Path(out),
        method=(method or usual_method(Path(run))) if pseudo_labels else None,
        recipe=recipe or StudentRecipe(),
        test=test,
        coarse=coarse,
        device=check_device(device),
        seed=seed,
    )
    with locked(job.out):
        return train_on_run(job, progress=progress)


def train_on_run(job: StudentJob, *, progress: Progress = silent) -> NetworkScores | None:
    """Train a student and return its scores on the test data, if there are such.

    Every process of the job's world calls this; the first one writes.

    Raises:
        RunFolderError: The folder is no run, or lacks labels that the recipe needs; `out` lies in the data or
            is the run.
        LabelError: Test or coarse data have other classes than the run.
    """
    progress = progress if job.world.is_first else silent
    frames = frames_of(job, progress=progress)
    with Curves(job.out, task=job.weights.stem) as curves:
        return train_on_frames(job, frames, watch=curves, progress=progress)


@dataclass(frozen=True, kw_only=True)
class FramesOfStudent:
    """The labelled frames that a student is trained on, and the names of their classes."""

    class_names: tuple[str, ...]
    manual: Sequence[LabelledFrame]
    pseudo_labelled: Sequence[LabelledFrame]
    coarse: Sequence[LabelledFrame]


def frames_of(job: StudentJob, *, progress: Progress = silent) -> FramesOfStudent:
    """Check and claim the folder of a student, and return the frames that it is trained on.

    Errors are those of `train_on_run`.
    """
    check_seed(job.seed)
    finished = FinishedRun.open(job.run, labelled=job.method is not None)
    read = (finished.dataset, *(data for data in (job.test, job.coarse) if data is not None))
    check_apart(job.out, *(data.root for data in read))
    if job.out.resolve() == job.run.resolve():
        raise RunFolderError(
            f"{job.out} is the folder of the run, which a student only reads; expected one of its own; "
            "choose another --out"
        )
    dataset = finished.dataset
    also_train = [open_dataset(**origin) for origin in finished.run.job()["also_train"]]
    _check_classes(dataset, [further for further in (job.test, job.coarse) if further is not None])
    with job.world.parting():
        if job.world.is_first:
            job.claim(_content_of_labels(job, finished, also_train))
            if job.method == JOINT_METHOD:
                _pseudo_labels(job, finished, progress)  # propagates images, which may take hours
    return FramesOfStudent(
        class_names=dataset.classes.names,
        manual=[member for one in (dataset, *also_train) for member in labelled_frames(one)],
        pseudo_labelled=_pseudo_labels(job, finished, progress),
        coarse=labelled_frames(job.coarse) if job.coarse is not None else [],
    )


def train_on_frames(
    job: StudentJob, frames: FramesOfStudent, *, watch: Watch, progress: Progress = silent
) -> NetworkScores | None:
    """Train a student on the frames that `frames_of` returned; the rest is that of `train_on_run`.

    Args:
        watch: Receives the curves of the training.
    """
    plan = StudentPlan(
        path=job.weights,
        class_names=frames.class_names,
        sources=mixed(
            job.recipe,
            manual=Samples(frames.manual),
            pseudo_labelled=Samples(frames.pseudo_labelled),
            coarse=Samples(frames.coarse),
            class_count=len(frames.class_names),
            cache=job.out / "centroids",
            progress=progress,
            world=job.world,
        ),
        recipe=job.recipe,
        device=job.device,
        seed=job.seed,
        world=job.world,
        watch=watch,
    )
    train_student(plan, progress=progress, task=f"training {job.weights.stem}")
    if job.test is None:
        return None
    student, test = load_student(job.weights, job.device), Samples(labelled_frames(job.test))
    scores = NetworkScores.of(student_confusion(student, test, world=job.world), frames.class_names)
    if job.world.is_first:
        scores.write(job.weights.with_suffix(".json"))
    return scores


def _pseudo_labels(job: StudentJob, finished: FinishedRun, progress: Progress) -> list[LabelledFrame]:
    """Return the frames with pseudo-labels that the student is trained on."""
    if job.method is None:
        return []
    offsets = job.recipe.joint_offsets if job.method == JOINT_METHOD else job.recipe.offsets
    return finished.pseudo_labels(
        job.method,
        offsets=offsets,
        out=job.out,
        confident=job.recipe.confident,
        device=job.device,
        progress=progress,
    )


def _content_of_labels(job: StudentJob, finished: FinishedRun, also_train: Sequence[Dataset]) -> str:
    """Return a hash of all labels that a student is trained on, and of the frames of the run."""
    run, dataset = finished.run, finished.dataset
    coarse = [] if job.coarse is None else [job.coarse]
    by_hand = [
        (video.name, video.stems[frame], fingerprint_of_labels(path))
        for further in (*also_train, *coarse)
        for video in further.videos
        for frame, path in sorted(video.labels.items())
    ]
    pseudo = [
        (video.name, run.manifest.fingerprints(video.name, job.method))
        for video in dataset.videos
        if job.method
    ]
    videos = [content_of_video(dataset, video, horizon=finished.horizon) for video in dataset.videos]
    return fingerprint_of(videos, by_hand, pseudo)


def usual_method(run: Path) -> str:
    """Return the default method of a student: the last of `METHODS` that the run has, but the oracle.

    Raises:
        RunFolderError: The folder is no run, or has no labels yet.
    """
    return leading(methods_of(run))


def _check_classes(dataset: Dataset, further: Sequence[Dataset]) -> None:
    for other in further:
        if other.classes.names != dataset.classes.names:
            raise LabelError(
                f"{other.root} has the classes {shorten(other.classes.names)}, but the run's {dataset.root} "
                f"has {shorten(dataset.classes.names)}; expected the same classes in the same order"
            )
