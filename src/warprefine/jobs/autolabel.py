"""The main job: train missing networks, label every frame within the horizon, evaluate, report.

Running it again on the same folder continues where it stopped; a finished run is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warprefine.core.errors import shorten
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter
from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset
from warprefine.io.checkpoints import read_card
from warprefine.io.claims import check_apart, check_cache
from warprefine.io.locks import locked
from warprefine.io.run import RunFolder
from warprefine.jobs.context import GivenParts
from warprefine.jobs.finished import FinishedRun, write_left_out
from warprefine.jobs.labelled_data import record_labelled
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.jobs.rounds import train_in_rounds
from warprefine.jobs.start import announce, start
from warprefine.jobs.usable_data import without
from warprefine.metrics.label_quality import evaluate, has_truth
from warprefine.metrics.scores import MethodScores, write_metrics
from warprefine.propagation.coverage import Horizon
from warprefine.propagation.methods import DEFAULT_METHODS, METHODS, SEMANTIC_ONLY, check_methods, needs_of
from warprefine.propagation.run import Job, propagate
from warprefine.recipe.recipe import Recipe
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.refinement.interface import TwoSidedRefiner
from warprefine.report.figures import write_figures
from warprefine.report.plots import Curve
from warprefine.report.report import write_report
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.teachers import BASE, LABELLER

log = logging.getLogger(__name__)


def autolabel(
    dataset: Dataset | Path | str,
    out: Path | str,
    *,
    horizon: Horizon = 10,
    also_train: Sequence[Dataset] = (),
    methods: Sequence[str] = DEFAULT_METHODS,
    recipe: Recipe | None = None,
    motion: str | Path | MotionEstimator | None = None,
    segmenter: str | Segmenter | None = None,
    refiner: str | Refiner | None = None,
    two_sided_refiner: str | TwoSidedRefiner | None = None,
    device: str = "cpu",
    seed: int = 0,
    cache: Path | str | None = None,
    retrain: bool = False,
    base: Path | str | None = None,
    reuse: bool = True,
    progress: Progress = silent,
) -> FinishedRun:
    """Label every frame of `dataset` within `horizon` of a key frame, into the run folder `out`.

    Args:
        dataset: The videos, as `open_dataset` returns them, or the folder of a data set.
        out: The run folder; an unfinished run in it is continued.
        horizon: Frames are labelled up to this far from a key frame; "all" labels every frame.
        also_train: Further labelled data of the same classes for the segmenter.
        methods: Names in `METHODS`. The default excludes the paper's warp-refine, which needs a refiner of
            its own.
        recipe: All hyper-parameters; None means the defaults.
        motion: A name in `MOTIONS`, a checkpoint, or an object that fits `MotionEstimator`, for all methods.
        segmenter: A name in `SEGMENTERS`, which is then trained, or an object that fits `Segmenter`, which
            is used as it is.
        refiner: A name in `REFINERS`, or an object that fits `Refiner`: of warp-refine.
        two_sided_refiner: A name in `TWO_SIDED_REFINERS`, or an object that fits `TwoSidedRefiner`: of
            warp-refine-plus.
        device: Where networks run: cpu, cuda or cuda:1.
        seed: Seed of all random numbers.
        cache: A folder for all that can be computed again, such as flow, which runs may share, also at the
            same time; None is one in `out`. There the name of a motion object stands for what it computes.
        retrain: Train the networks anew if frames or label maps have changed since they were trained.
        base: A segmenter that was trained on further data, or a run that has one: it is adapted to the key
            frames, and none is trained on `also_train`.
        reuse: Take a base segmenter from the user's cache if one was trained on the same further data before.
        progress: Called as work proceeds.

    Raises:
        WarpRefineError: Nothing can be labelled; the message has the reason and the remedy.

    Example:
        >>> from warprefine import autolabel, open_dataset
        >>> run = autolabel(open_dataset("DATA"), "RUN", horizon=10)  # doctest: +SKIP
        >>> for frame in run.labels("NAME"):  # doctest: +SKIP
        ...     print(frame.frame, frame.labels.shape, frame.confidence.mean(), frame.key_frames)
    """
    dataset = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    methods = check_methods(methods)
    roots = (dataset.root, *(further.root for further in also_train))
    check_apart(Path(out), *roots)
    if cache is not None:
        check_cache(Path(cache), Path(out), *roots)
    given: dict[str, Any] = {
        "motion": str(motion) if isinstance(motion, Path) else motion,
        "segmenter": segmenter,
        "refiner": refiner,
        "two_sided_refiner": two_sided_refiner,
    }
    names = {kind: part for kind, part in given.items() if isinstance(part, str)}
    with locked(Path(out)):
        context = start(
            dataset,
            Path(out),
            horizon=horizon,
            also_train=also_train,
            recipe=with_networks(recipe or Recipe(), names),
            parts=GivenParts(**{kind: part for kind, part in given.items() if kind not in names}),
            device=device,
            seed=seed,
            training="segmenter" in needs_of(methods),
            cache=None if cache is None else Path(cache),
            retrain=retrain,
            base=None if base is None else Path(base),
            reuse=reuse,
            progress=progress,
        )
        return label(Networks(context), methods)


def with_networks(recipe: Recipe, names: Mapping[str, str]) -> Recipe:
    """Return a recipe with networks and motion of other names; motion is that of all methods."""
    places = {
        "motion": (("propagation", "motion"), ("plus", "carry", "motion")),
        "segmenter": (("segmenter", "network"),),
        "refiner": (("refiner", "network"),),
        "two_sided_refiner": (("plus", "refiner", "network"),),
    }
    for kind, name in names.items():
        for place in places[kind]:
            recipe = recipe.changed(place, name)
    return recipe


def label(networks: Networks, methods: Sequence[str]) -> FinishedRun:
    """Train missing networks, propagate with `methods`, evaluate and report."""
    context = networks.context
    announce(context)
    if "rounds" in needs_of(methods):
        train_in_rounds(context)
    if not has_truth(context.dataset, context.horizon):
        _forget_truth(context.run, context.dataset)
        methods = [name for name in methods if "truth" not in METHODS[name].needs] or methods
    job = make_job(networks, methods)
    failures = {**context.left_out, **propagate(job, context.run, progress=context.progress)}
    write_left_out(context.run, {**context.set_aside, **failures})
    finished_videos = without(context.dataset, failures)
    record_labelled(context.run, finished_videos, job.methods, horizon=context.horizon)
    scores = measure(job, context.run, failures, reach=context.recipe.plus.choose.reach)
    methods = check_methods(job.methods)
    finished = FinishedRun(
        run=context.run,
        dataset=finished_videos,
        horizon=context.horizon,
        recipe=context.recipe,
        methods=methods,
        scores=scores,
        failures=failures,
        tau=networks.tau() if "tau" in needs_of(methods) else None,
        motion=context.parts.motion,
    )
    report(finished, facts=_facts(networks, finished))
    for one in finished.coverage:
        log.info("%s: %s by %s", one.video, one, ", ".join(methods))
    return finished


def _forget_truth(run: RunFolder, dataset: Dataset) -> None:
    """Delete scores, and labels that were truth, of an earlier call that had truth."""
    for path in (run.metrics_path, run.metrics_path.with_suffix(".csv")):
        path.unlink(missing_ok=True)
    for method in (name for name in METHODS if "truth" in METHODS[name].needs):
        for video in dataset.videos:
            run.keep_only(video.name, (), method)


def measure(job: Job, run: RunFolder, failures: Mapping[str, str], *, reach: int) -> dict[str, MethodScores]:
    """Score the labels where there is truth, and write the scores into the run folder.

    Args:
        job: What was labelled.
        run: The run folder.
        failures: The videos that could not be labelled, by name, and why.
        reach: Largest distance of a key frame that labels may come from.
    """
    dataset = without(job.dataset, failures)
    if not has_truth(dataset, job.horizon):
        return {}
    methods = check_methods(job.methods)
    scores = evaluate(run, dataset, methods=methods, horizon=job.horizon, reach=reach)
    write_metrics(run.metrics_path, scores)
    return scores


def report(finished: FinishedRun, *, facts: Mapping[str, str]) -> None:
    """Write the report and its figures: labels, scores and recipe.

    Args:
        finished: The run.
        facts: Rows of the table of facts.
    """
    run, dataset = finished.run, finished.dataset
    if not dataset.videos:
        return
    write_report(
        run.report_path,
        dataset=dataset,
        run=run,
        scores=finished.scores or None,
        facts=facts,
        recipe_toml=settings_to_toml(finished.recipe),
        methods=finished.methods,
        horizon=finished.horizon,
        curves=_curves(run),
    )
    write_figures(
        run.figures,
        run=run,
        dataset=dataset,
        scores=finished.scores,
        methods=finished.methods,
        horizon=finished.horizon,
    )


def _facts(networks: Networks, finished: FinishedRun) -> dict[str, str]:
    """Return the report's facts about the data and the networks."""
    videos, needs = finished.dataset.videos, needs_of(finished.methods)
    facts = {"Videos": f"{len(videos)}, with {sum(len(video.labels) for video in videos)} key frames"}
    if motion := _motion(networks, finished.methods):
        facts["Motion"] = motion
    if "segmenter" in needs:
        given = networks.context.parts.segmenter
        name = finished.recipe.segmenter.network if given is None else given.name
        facts["Segmenter"] = f"{name}, weights {networks.segmenter()[1]}"
    if finished.tau is not None:
        facts["tau"] = f"{finished.tau:g} (RGB distance, images in 0..1)"
    if networks.context.stale:
        facts["Networks"] = networks.context.stale
    unused = networks.context.set_aside
    if unused:
        facts["Not used"] = f"{len(unused)}: {shorten(unused.values())}"
    facts |= {f"Note {place}": note for place, note in enumerate(networks.context.notes, start=1)}
    return facts | {f"Left out: {name}": message for name, message in finished.failures.items()}


def _motion(networks: Networks, methods: Sequence[str]) -> str:
    """Return the motion estimators that labels were propagated with, each with its methods."""
    users: dict[str, list[str]] = {}
    for method in methods:
        kind = METHODS[method].labeller
        if kind != "oracle" and method != SEMANTIC_ONLY:
            users.setdefault(networks.motion(kind).name, []).append(method)
    if len(users) == 1:
        return next(iter(users))
    return "; ".join(f"{name} ({', '.join(of_name)})" for name, of_name in users.items())


def _curves(run: RunFolder) -> dict[str, Curve]:
    """Return the training curves that the checkpoints hold."""
    curves: dict[str, Curve] = {}
    for part in (BASE, LABELLER, REFINER.part, TWO_SIDED_REFINER.part):
        path = run.checkpoint_path(part)
        if path.exists():
            history = read_card(path).facts.get("history", {})  # weights from elsewhere have none
            curves[f"{part}: loss"] = [(step, loss) for step, loss in history.get("loss", [])]
    return {name: curve for name, curve in curves.items() if curve}
