"""Do the main job: train what has no weights yet, label every frame in reach, measure, report.

Running it again on the same folder goes on where it stopped; a finished run is left as it is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from warprefine.core.errors import RunFolderError
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator
from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset
from warprefine.evaluation.figures import write_figures
from warprefine.evaluation.horizon import evaluate, has_truth
from warprefine.evaluation.plots import Curve
from warprefine.evaluation.report import write_report
from warprefine.evaluation.scores import MethodScores, write_metrics
from warprefine.io.atomic import write_text
from warprefine.io.checkpoints import read_card
from warprefine.io.run import RunFolder
from warprefine.jobs.preflight import (
    check_device,
    check_further,
    check_names,
    check_reach,
    describe_job,
    sound_videos,
    without,
)
from warprefine.jobs.prepare import Preparation
from warprefine.jobs.prepare_plus import PlusPreparation, load_plus_motion
from warprefine.jobs.rounds import adapt
from warprefine.motion.loading import load_motion
from warprefine.propagation.methods import DEFAULT_METHODS, NEED_SEGMENTER, NEED_TAU, PLUS, check_methods
from warprefine.propagation.writer import Job, propagate
from warprefine.training.recipe import Recipe
from warprefine.training.segmenter import build_segmenter
from warprefine.training.settings_file import settings_to_toml
from warprefine.training.teachers import TeacherPlan

log = logging.getLogger(__name__)
BEST_MOTION = "best"
DEFAULT_MOTION = "dis-medium"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to: where it lies, its scores where there is truth, and the videos left out."""

    run: RunFolder
    tau: float
    scores: dict[str, MethodScores]
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run whose data are checked and whose folder is claimed."""

    preparation: Preparation
    horizon: int
    failures: dict[str, str]


def start(
    dataset: Dataset,
    out: Path,
    *,
    horizon: int = 10,
    also_train: Sequence[Dataset] = (),
    recipe: Recipe | None = None,
    device: str = "cpu",
    seed: int = 0,
    training: bool = True,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Started:
    """Check the data and claim the run folder; the arguments are those of `autolabel`.

    What can be checked at once comes first, what takes long next. Only then is anything of this job
    written, so that a mistake can be mended and the same folder used.

    Args:
        training: Whether networks may be trained; if so, what they begin from has to be there.
        cache: A folder for flow and segmentations that other runs share; None is one in `out`.
    """
    recipe = recipe or Recipe()
    check_names(recipe)
    check_reach(dataset, horizon)
    check_further(also_train)
    run = RunFolder(out, cache=cache)
    job = describe_job(dataset, horizon=horizon, also_train=also_train, seed=seed, recipe=recipe)
    run.check(job)
    if training and not run.checkpoint_path("segmenter").exists():
        build_segmenter(recipe.segmenter, len(dataset.classes), seed=seed)  # its weights may be missing
    teachers = TeacherPlan(
        run=run,
        dataset=dataset,
        also_train=also_train,
        recipe=recipe.segmenter,
        device=check_device(device),
        seed=seed,
    )
    load_plus_motion(recipe.plus, teachers.device)
    motion = motion_of(run, recipe, teachers.device)
    sound, failures = sound_videos(dataset, horizon=horizon, motion=motion, progress=progress)
    run.claim(job)
    write_text(out / "recipe.toml", settings_to_toml(recipe))
    preparation = Preparation(
        teachers=replace(teachers, dataset=sound), recipe=recipe, motion=motion, progress=progress
    )
    return Started(preparation=preparation, horizon=horizon, failures=failures)


def motion_of(run: RunFolder, recipe: Recipe, device: torch.device) -> MotionEstimator:
    """Load the motion estimator that a run's recipe names."""
    return load_motion(
        _best_motion(run) if recipe.propagation.motion == BEST_MOTION else recipe.propagation.motion,
        device=device,
        iterations=recipe.propagation.motion_iterations,
        start=recipe.motion.input_motion,
    )


def _best_motion(run: RunFolder) -> str:
    """Name what carries labels best of what is there; docs/networks.md has the numbers."""
    trained = run.checkpoint_path("motion")
    return str(trained) if trained.exists() else DEFAULT_MOTION


def autolabel(
    dataset: Dataset,
    out: Path | str,
    *,
    horizon: int = 10,
    also_train: Sequence[Dataset] = (),
    methods: Sequence[str] = DEFAULT_METHODS,
    recipe: Recipe | None = None,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress = silent,
) -> Outcome:
    """Label every frame of `dataset` within `horizon` of a key frame, into the run folder `out`.

    Args:
        also_train: Further labelled data of the same classes for the segmenter.
        methods: Which propagation methods to run; the oracle labels where there is truth. Those left out
            by default are the paper's, which want a refiner of their own.
        recipe: All hyper-parameters; None means the defaults.

    Raises:
        WarpRefineError: Nothing can be labelled; the message says why and how to mend it.
    """
    check_methods(methods)
    started = start(
        dataset,
        Path(out),
        horizon=horizon,
        also_train=also_train,
        recipe=recipe,
        device=device,
        seed=seed,
        training=bool(NEED_SEGMENTER & set(methods)),
        progress=progress,
    )
    return label(started, methods)


def label(started: Started, methods: Sequence[str]) -> Outcome:
    """Propagate with `methods`, training what they need and is not there yet; measure and report."""
    preparation = started.preparation
    run = preparation.run
    for message in started.failures.values():
        log.error("left out: %s", message)
    if PLUS in methods:
        adapt(preparation, horizon=started.horizon)
    job = preparation.job(horizon=started.horizon, methods=check_methods(methods))
    if PLUS in job.methods:
        job = replace(job, plus=PlusPreparation(preparation=preparation).job())
    failures = started.failures | propagate(job, run, progress=preparation.progress)
    _remember(run, failures)
    scores = measure(job, run, failures)
    report(job, run, scores, failures, recipe=preparation.recipe)
    return Outcome(run=run, tau=job.setting.tau, scores=scores, failures=failures)


def evaluate_run(out: Path, *, void_as_class: bool = False) -> dict[str, MethodScores]:
    """Score a finished run again from its files.

    Raises:
        RunFolderError: `out` is not the folder of a finished run, or its data set was not opened by
            `open_dataset`.
        DatasetError: The data set is no longer where it was, or has no truth.
    """
    if not (out / "job.json").exists():
        raise RunFolderError(f"{out} holds no job.json; expected a folder made by `warprefine autolabel`")
    run = RunFolder(out)
    job = run.job()
    if "reader" not in job["data"]:
        raise RunFolderError(
            f"{out} was made from a data set in memory, expected one opened by `open_dataset`; "
            "take the scores from what `autolabel` returned, or from metrics.json"
        )
    methods = labelled_by(out)
    dataset = without(open_dataset(**job["data"]), left_out(run))
    return evaluate(run, dataset, methods=methods, horizon=job["horizon"], void_as_class=void_as_class)


def labelled_by(out: Path) -> list[str]:
    """Return the methods whose labels a run has, by name.

    Raises:
        RunFolderError: It has none.
    """
    methods = sorted(path.name for path in (out / "labels").glob("[!.]*"))
    if not methods:
        raise RunFolderError(
            f"{out} holds no labels yet; run `warprefine autolabel` with the same options to make them"
        )
    return methods


def measure(job: Job, run: RunFolder, failures: dict[str, str]) -> dict[str, MethodScores]:
    """Score the labels where there is truth, and write the scores down."""
    dataset = without(job.dataset, failures)
    if not has_truth(dataset, job.horizon):
        return {}
    scores = evaluate(run, dataset, methods=job.methods, horizon=job.horizon)
    write_metrics(run.metrics_path, scores)
    return scores


def report(
    job: Job, run: RunFolder, scores: dict[str, MethodScores], failures: dict[str, str], *, recipe: Recipe
) -> None:
    """Write the page that shows what came out, and how."""
    dataset = without(job.dataset, failures)
    if not dataset.videos:
        return
    key_frames = sum(len(video.labels) for video in dataset.videos)
    facts = {
        "Videos": f"{len(dataset.videos)}, with {key_frames} key frames",
        "Motion": job.models.motion.name,
        "Segmenter": f"{recipe.segmenter.network}, weights {job.models.segmenter_fingerprint}",
    }
    if NEED_TAU & set(job.methods):
        facts["tau"] = f"{job.setting.tau:g} (RGB distance, images in 0..1)"
    facts |= {f"Left out: {name}": message for name, message in failures.items()}
    write_report(
        run.report_path,
        dataset=dataset,
        run=run,
        scores=scores or None,
        facts=facts,
        recipe_toml=settings_to_toml(recipe),
        methods=job.methods,
        horizon=job.horizon,
        curves=_curves(run),
    )
    write_figures(
        run.figures,
        run=run,
        dataset=dataset,
        scores=scores,
        methods=job.methods,
        horizon=job.horizon,
    )


def _remember(run: RunFolder, failures: dict[str, str]) -> None:
    """Write down which videos were left out and why, for whoever evaluates the run later."""
    if failures:
        write_text(run.left_out_path, json.dumps(failures, indent=2) + "\n")
    else:
        run.left_out_path.unlink(missing_ok=True)


def left_out(run: RunFolder) -> dict[str, str]:
    """Return the videos that a run could not label, and why."""
    if not run.left_out_path.exists():
        return {}
    found: dict[str, str] = json.loads(run.left_out_path.read_text(encoding="utf-8"))
    return found


def _curves(run: RunFolder) -> dict[str, Curve]:
    """Read the training curves out of the checkpoints."""
    curves: dict[str, Curve] = {}
    for part in ("segmenter-base", "segmenter", "refiner", "side-refiner"):
        path = run.checkpoint_path(part)
        if path.exists():
            history = read_card(path).facts.get("history", {})  # weights from elsewhere have none
            curves[f"{part}: loss"] = [(step, loss) for step, loss in history.get("loss", [])]
    return {name: curve for name, curve in curves.items() if curve}
