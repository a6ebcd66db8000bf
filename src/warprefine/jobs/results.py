"""What a job leaves beside labels: scores, the report and its figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from warprefine.core.engine import HERE, Engine, while_workers_rest
from warprefine.core.errors import RunFolderError, shorten
from warprefine.core.memory import return_freed_memory
from warprefine.core.names import counted
from warprefine.core.stages import described
from warprefine.core.video import Dataset
from warprefine.io.atomic import write_text
from warprefine.io.checkpoints import read_card
from warprefine.io.claims import own_json
from warprefine.io.run import RunFolder
from warprefine.jobs.believed import believed_of, write_expected
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.labelled_data import record_labelled
from warprefine.jobs.labellers import units_and_motion
from warprefine.jobs.networks import Networks
from warprefine.jobs.run_records import stages_of, write_left_out
from warprefine.jobs.stages import networks_of
from warprefine.jobs.usable_data import without
from warprefine.metrics.label_quality import evaluate, has_truth
from warprefine.metrics.scores import MethodScores, write_metrics
from warprefine.propagation.methods import METHODS, PLUS, SEMANTIC_ONLY, needs_of
from warprefine.propagation.run import is_complete
from warprefine.recipe.settings_file import settings_to_toml
from warprefine.report.figures import write_figures
from warprefine.report.plots import Curve
from warprefine.report.report import write_report
from warprefine.report.trust import Believed
from warprefine.training.refiners.refiner import REFINER
from warprefine.training.refiners.two_sided import TWO_SIDED_REFINER
from warprefine.training.teachers import BASE, LABELLER

log = logging.getLogger(__name__)
_FACTS = "facts.json"


def finish(networks: Networks, methods: Sequence[str], failures: Mapping[str, str]) -> FinishedRun:
    """Score and report labels that are complete.

    Args:
        networks: The networks of the run.
        methods: Methods that have labelled all videos but those that failed.
        failures: The videos and frames that could not be labelled, and why.
    """
    context = networks.context
    write_left_out(context.run, {**context.set_aside, **failures})
    with while_workers_rest(context.engine):
        return _finish(networks, methods, without(context.dataset, failures), failures)


def finish_stopped(networks: Networks, methods: Sequence[str], failures: Mapping[str, str]) -> FinishedRun:
    """Score and report what is complete when work was stopped; the arguments are those of `finish`.

    These are the videos whose frames all have labels of warp-refine-plus, or of all methods where that is not
    among them, and the methods that have labelled all frames of these videos.
    """
    context = networks.context
    done = {method: _complete_videos(networks, method) for method in methods}
    complete = done.get(PLUS, set.intersection(*done.values()))
    dataset = without(context.dataset, failures)
    dataset = replace(dataset, videos=tuple(video for video in dataset.videos if video.name in complete))
    labelled = [method for method, videos in done.items() if complete and complete <= videos]
    with while_workers_rest(context.engine):
        return _finish(networks, labelled, dataset, failures)


def _finish(
    networks: Networks, methods: Sequence[str], dataset: Dataset, failures: Mapping[str, str]
) -> FinishedRun:
    context = networks.context
    return_freed_memory()  # what labelling has freed would stay beside what pictures need
    if methods:
        record_labelled(context.run, dataset, methods, horizon=context.horizon)
    finished = FinishedRun(
        run=context.run,
        dataset=dataset,
        horizon=context.horizon,
        recipe=context.recipe,
        methods=tuple(methods),
        failures=failures,
        tau=networks.tau() if "tau" in needs_of(methods) else None,
        motion=context.parts.motion,
    )
    believed = believed_of(finished, engine=context.engine)
    finished = replace(
        finished,
        scores=measure(
            context.run,
            dataset,
            methods=methods,
            horizon=context.horizon,
            reach=context.recipe.plus.choose.reach,
            believed=believed,
            boundaries=context.boundaries,
            engine=context.engine,
        ),
    )
    if methods:
        write_expected(context.run, believed)
        facts = facts_of(networks, finished)
        write_text(context.run.root / _FACTS, json.dumps(facts, indent=1) + "\n")
        report(finished, facts=facts, believed=believed)
    for one in finished.coverage:
        log.info("%s: %s by %s", one.video, one, ", ".join(methods))
    return finished


def _complete_videos(networks: Networks, method: str) -> set[str]:
    """Return the names of the videos whose frames all have labels of a method."""
    context, (units_of, motion) = networks.context, units_and_motion(networks, method)
    return {
        video.name
        for video in context.dataset.videos
        if is_complete(
            context.run, context.dataset, (video, units_of(video, context.horizon)), method, motion
        )
    }


def forget_truth(run: RunFolder, dataset: Dataset) -> None:
    """Delete scores, and labels that were truth, of an earlier call that had truth."""
    for path in (run.metrics_path, run.metrics_path.with_suffix(".csv")):
        path.unlink(missing_ok=True)
    for method in (name for name in METHODS if "truth" in METHODS[name].needs):
        for video in dataset.videos:
            run.manifest.keep_only(video.name, (), method)


def measure(
    run: RunFolder,
    dataset: Dataset,
    *,
    methods: Sequence[str],
    horizon: int,
    reach: int,
    believed: Believed | None = None,
    boundaries: bool = True,
    engine: Engine = HERE,
) -> dict[str, MethodScores]:
    """Score the labels where there is truth, and write the scores into the run folder.

    Args:
        run: The run folder.
        dataset: The videos that are labelled.
        methods: What they are labelled with.
        horizon: Frames are labelled up to this far from a key frame.
        reach: Largest distance of a key frame that labels may come from.
        believed: How far labels can be believed; what truth shows of it is written beside the scores.
        boundaries: Score boundaries too.
        engine: Where label maps are counted.
    """
    if not methods or not has_truth(dataset, horizon):
        return {}
    scores = evaluate(
        run,
        dataset,
        methods=methods,
        horizon=horizon,
        reach=reach,
        boundaries=boundaries,
        engine=engine,
    )
    write_metrics(
        run.metrics_path,
        scores,
        stages={method: stages_of(run, dataset, method) for method in methods},
        reliability={} if believed is None else {m: r.to_json() for m, r in believed.reliability.items()},
    )
    return scores


def report(finished: FinishedRun, *, facts: Mapping[str, str], believed: Believed | None = None) -> None:
    """Write the report and its figures: labels, scores and recipe.

    Args:
        finished: The run.
        facts: Rows of the table of facts.
        believed: How far labels can be believed.
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
        curves=_curves(run.for_stage([*finished.stages][-1]) if finished.stages else run),
        believed=believed,
    )
    write_figures(
        run.figures,
        run=run,
        dataset=dataset,
        scores=finished.scores,
        methods=finished.methods,
        horizon=finished.horizon,
    )


def report_again(finished: FinishedRun) -> None:
    """Write the report of a finished run once more, with what has been estimated since.

    Raises:
        RunFolderError: The folder holds no facts to repeat: its labels are of an earlier version.
    """
    run, path = finished.run, finished.run.root / _FACTS
    if not path.exists():
        raise RunFolderError(
            f"{run.root} holds no {_FACTS}, expected what the report was written with; run `warprefine "
            "autolabel` with the same options again"
        )
    with own_json(path, remedy="delete it and run `warprefine autolabel` with the same options again"):
        facts = {str(name): str(text) for name, text in json.loads(path.read_text(encoding="utf-8")).items()}
    scored = has_truth(finished.dataset, finished.horizon)
    scores = finished.evaluate() if scored and finished.methods else {}
    report(replace(finished, scores=scores), facts=facts, believed=believed_of(finished))


def facts_of(networks: Networks, finished: FinishedRun) -> dict[str, str]:
    """Return the report's facts about the data and the networks, as far as these are there."""
    videos, needs = finished.dataset.videos, needs_of(finished.methods)
    facts = {
        "Videos": f"{len(videos)}, with {counted(sum(len(video.labels) for video in videos), 'key frame')}"
    }
    if motion := motion_of_methods(networks, finished.methods):
        facts["Motion"] = motion
    stages = finished.stages
    if stages:
        facts["Labels"] = described(stages)
        networks = networks_of(networks, [*stages][-1])
    if "segmenter" in needs:
        given = networks.context.parts.segmenter
        name = networks.context.recipe.segmenter.network if given is None else given.name
        facts["Segmenter"] = f"{name}, weights {networks.segmenter()[1]}"
    if finished.tau is not None:
        facts["tau"] = f"{finished.tau:g} (RGB distance, images in 0..1)"
    if networks.context.stale:
        facts["Networks"] = networks.context.stale
    unused = networks.context.set_aside
    if unused:
        facts["Not used"] = f"{len(unused)}: {shorten(unused.values())}"
    facts |= {f"Note {place}": note for place, note in enumerate(networks.context.notes, start=1)}
    for video in videos:
        if video.continuity:
            facts[f"Continuity of {video.name}"] = "; ".join(video.continuity.notes("It"))
    return facts | {f"Left out: {name}": message for name, message in finished.failures.items()}


def motion_of_methods(networks: Networks, methods: Sequence[str]) -> str:
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
