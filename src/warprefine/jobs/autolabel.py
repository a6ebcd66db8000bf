"""The main job: train missing networks, label every frame within the horizon, evaluate, report.

Running it again on the same folder continues where it stopped; a finished run is left as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from warprefine.core.engine import HERE, Engine
from warprefine.core.errors import TimeIsUp, WarpRefineError
from warprefine.core.forecast import Forecast, Forecasting
from warprefine.core.progress import Progress, silent
from warprefine.core.protocols import MotionEstimator, Refiner, Segmenter
from warprefine.core.stages import GOOD, Stage
from warprefine.core.time_limit import until_deadline
from warprefine.core.video import Dataset
from warprefine.datasets import open_dataset
from warprefine.io.claims import check_apart, check_cache
from warprefine.io.locks import locked
from warprefine.io.places import place_of
from warprefine.io.publishing import published
from warprefine.jobs.calibration import calibrated
from warprefine.jobs.context import GivenParts, RunContext
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.labellers import make_job
from warprefine.jobs.networks import Networks
from warprefine.jobs.over_ranks import propagate_over_ranks
from warprefine.jobs.plan import tasks_of
from warprefine.jobs.results import finish, finish_stopped, forget_truth
from warprefine.jobs.rounds import train_in_rounds
from warprefine.jobs.stages import StagePass, check_stage_name, labels_so_far, plan_passes, record_finished
from warprefine.jobs.start import announce, start
from warprefine.jobs.together import train_together
from warprefine.metrics.label_quality import has_truth
from warprefine.propagation.coverage import Horizon
from warprefine.propagation.methods import DEFAULT_METHODS, METHODS, PLUS, check_methods, needs_of
from warprefine.propagation.unreached import Unreached
from warprefine.recipe.recipe import Recipe
from warprefine.refinement.interface import TwoSidedRefiner

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
    cache_size: int | None = None,
    retrain: bool = False,
    base: Path | str | None = None,
    reuse: bool = True,
    until: Stage = "good",
    unreached: Unreached = "skip",
    boundaries: bool = True,
    time_limit: float | None = None,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> FinishedRun:
    """Label every frame of `dataset` within `horizon` of a key frame, into the run folder `out`.

    The work is done in stages: first (labels to look at), good and best. Each ends in labels, scores and a
    report, and replaces the labels of the one before frame by frame.

    Args:
        dataset: The videos, as `open_dataset` returns them, or the folder or URL of a data set.
        out: The run folder, or its URL on a storage; an unfinished run in it is continued.
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
        cache_size: Bytes that flow, segmentations and samples in it may take: the oldest are deleted, and
            computed again when they are needed. None: no limit.
        retrain: Train the networks anew if frames or label maps have changed since they were trained.
        base: A segmenter that was trained on further data, or a run that has one: it is adapted to the key
            frames, and none is trained on `also_train`.
        reuse: Take a base segmenter from the user's cache if one was trained on the same further data before.
        until: The last stage: "first", "good" or "best".
        unreached: "semantic" labels frames that no key frame reaches by the segmenter alone, in methods that
            have one; "skip" leaves them without labels.
        boundaries: Score boundaries too where there is truth.
        time_limit: Seconds after which work stops at the next point where nothing is lost; the same call
            goes on from there. None: no limit.
        engine: Where networks are trained and frames labelled, such as `cluster.ray.ray_engine` returns; the
            labels do not depend on it.
        progress: Called as work proceeds.

    Raises:
        WarpRefineError: Nothing can be labelled; the message has the reason and the remedy.

    Example:
        >>> from warprefine import autolabel, open_dataset
        >>> run = autolabel(open_dataset("DATA"), "RUN", horizon=10)  # doctest: +SKIP
        >>> for frame in run.labels("NAME"):  # doctest: +SKIP
        ...     print(frame.frame, frame.labels.shape, frame.confidence.mean(), frame.key_frames)
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    dataset = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    methods, until = check_methods(methods), check_stage_name(until)
    roots = (dataset.root, *(further.root for further in also_train))
    check_apart(place_of(out), *roots)
    if cache is not None:
        check_cache(Path(cache), place_of(out), *roots)
    given: dict[str, Any] = {
        "motion": str(motion) if isinstance(motion, Path) else motion,
        "segmenter": segmenter,
        "refiner": refiner,
        "two_sided_refiner": two_sided_refiner,
    }
    names = {kind: part for kind, part in given.items() if isinstance(part, str)}
    with published(out) as folder, locked(folder):
        context = start(
            dataset,
            folder,
            horizon=horizon,
            also_train=also_train,
            recipe=with_networks(recipe or Recipe(), names),
            parts=GivenParts(**{kind: part for kind, part in given.items() if kind not in names}),
            device=device,
            seed=seed,
            training="segmenter" in needs_of(methods),
            cache=None if cache is None else Path(cache),
            cache_size=cache_size,
            retrain=retrain,
            base=None if base is None else Path(base),
            reuse=reuse,
            until=until if PLUS in methods else None,
            unreached=unreached,
            boundaries=boundaries,
            engine=engine,
            progress=progress,
        )
        return label_in_stages(Networks(context), methods, until=until, deadline=deadline)


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
    return label_in_stages(networks, methods, until=None)


def label_in_stages(
    networks: Networks, methods: Sequence[str], *, until: Stage | None, deadline: float | None = None
) -> FinishedRun:
    """Label in stages, each of which ends in labels, scores and a report of all videos.

    Where several processes share the run, all of them train and label, and all get the result.

    Args:
        networks: The networks of the run.
        methods: Names in `METHODS`.
        until: The last stage; None for a job without stages.
        deadline: When to stop, on the clock `time.monotonic`: what is labelled by then stays.
    """
    watch = Forecasting(networks.context.progress, staged=until is not None)
    networks = Networks(replace(networks.context, progress=watch))
    context = networks.context
    first = context.world.of_first
    if context.world.is_first:
        announce(context)
    if not has_truth(context.dataset, context.horizon):
        first(partial(forget_truth, context.run, context.dataset))
        methods = [name for name in methods if "truth" not in METHODS[name].needs] or methods
    methods = check_methods(methods)
    passes = plan_passes(networks, methods, until=until)
    watch.plan(Forecast(tasks_of(passes)))
    finished: FinishedRun | None = None
    failures = dict(context.left_out)
    try:
        for one in passes:
            watch.begin(one.stage)
            before = first(partial(_fingerprints, context, methods))
            with until_deadline(deadline):
                failures |= _label(one)
            finished = first(partial(finish, networks, one.methods, failures))
            if until is not None and PLUS in one.methods:
                first(partial(record_finished, context.run, one.stage))
    except TimeIsUp:
        if finished is None or first(partial(_fingerprints, context, methods)) != before:
            finished = first(partial(finish_stopped, networks, methods, failures))
        log.warning(
            "the time limit is over: %s; run the same command again, it goes on from there",
            labels_so_far(context.run, context.dataset),
        )
    except KeyboardInterrupt as stop:
        with suppress(WarpRefineError):  # that it was stopped counts
            if PLUS in methods:
                stop.add_note(labels_so_far(context.run, context.dataset))
        raise
    finally:
        watch.plan(Forecast([]))
    assert finished is not None, "there is at least one pass"
    return finished


def _label(one: StagePass) -> dict[str, str]:
    """Train what a pass needs and label all videos; return what is wrong with those that failed."""
    failures: dict[str, str] = {}
    for networks, methods in one.steps:
        context = networks.context
        if "rounds" in needs_of(methods):
            train_in_rounds(context)
        train_together(networks, methods)
        stage = one.stage if PLUS in methods else GOOD
        job = replace(calibrated(networks, make_job(networks, methods)), stage=stage)
        networks.release()
        failures |= propagate_over_ranks(
            job, context.run, world=context.world, engine=context.engine, progress=context.progress
        )
    return failures


def _fingerprints(context: RunContext, methods: Sequence[str]) -> list[dict[int, str]]:
    """Return what the labels of each video and method were computed from."""
    return [
        context.run.manifest.fingerprints(video.name, method)
        for video in context.dataset.videos
        for method in methods
    ]
