"""Evaluate a run and train a student on it from Python, as the commands do."""

from __future__ import annotations

from pathlib import Path

from warprefine.core.progress import Progress, silent
from warprefine.core.video import Dataset
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.preflight import check_device
from warprefine.jobs.student import StudentJob, train_on_run, usual_method
from warprefine.metrics.network_scores import NetworkScores
from warprefine.metrics.scores import MethodScores
from warprefine.recipe.student import StudentRecipe


def evaluate(run: Path | str, *, void_as_class: bool = False) -> dict[str, MethodScores]:
    """Score the labels of a finished run against the truth, from its files.

    Args:
        run: The run folder.
        void_as_class: Score VOID as a class of its own.

    Returns:
        The scores of each method, in percent.

    Raises:
        RunFolderError: It is not the folder of a finished run.
        DatasetError: The data set is no longer where it was, or has no truth.

    Example:
        >>> from warprefine import evaluate
        >>> evaluate("RUN")["warp-refine-plus"].miou_by_distance  # doctest: +SKIP
    """
    return FinishedRun.open(run).evaluate(void_as_class=void_as_class)


def train_student(
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
    return train_on_run(job, progress=progress)
