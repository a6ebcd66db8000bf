"""Compare motion estimators by the labels that they carry: supplement B.2, flow against video prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from warprefine.jobs.autolabel import label
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings
from warprefine.jobs.experiments.work import Labelling, Work
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.jobs.pseudo_labels import JOINT_METHOD
from warprefine.metrics.scores import MethodScores
from warprefine.ops.warp import backward_warp
from warprefine.propagation.evidence import Evidence, open_evidence
from warprefine.recipe.recipe import BEST_MOTION, DEFAULT_MOTION
from warprefine.report.plots import plot_horizon
from warprefine.report.result_table import Cell, ResultTable
from warprefine.training.data.samples import evenly

PREDICTION = "sdcnet"
"""The row of the video prediction that is trained on the data."""
_PAIRS = 40
"""Pairs of frames that are reconstructed at most."""


def motion(context: ExperimentContext) -> Findings:
    """Label by motion alone with each motion estimator, and compare the labels and the warped frames.

    Raises:
        DatasetError: The data have no truth to compare labels with.
        RecipeError: The recipe names no motion estimator of a name.
    """
    networks, finished = context.label((JOINT_METHOD,))
    context.check_truth(finished)
    runs: dict[str, tuple[Networks, FinishedRun]] = {}
    for named, labelling in zip(_named(context), _labellings(context), strict=True):
        run = Networks(context.start_again(name=labelling.folder, recipe=labelling.recipe, seed=context.seed))
        runs[_row(named)] = run, label(run, labelling.methods)
    runs[_first(context)] = networks, finished
    scores = {name: run.scores[JOINT_METHOD] for name, (_, run) in runs.items()}
    reach, of_first = context.horizon, context.world.of_first
    table = ResultTable(
        title=f"Labels of motion alone (%) by the motion estimator, {context.recipe.data.reader}",
        columns=(
            "motion",
            *(f"k={k}" for k in range(1, reach + 1)),
            "mean",
            "boundary F",
            "consistency",
            "PSNR (dB)",
        ),
        rows=tuple(
            (name, *_cells(scores[name]), of_first(partial(reconstruction, networks)))
            for name, (networks, _) in runs.items()
        ),
    )
    remark = (
        "PSNR: of frames beside key frames, against the key frame warped onto them; video prediction is "
        "trained to raise it."
    )
    return Findings(
        tables={"motion": table},
        charts={"motion": lambda kind: plot_horizon(scores, kind=kind)},
        remarks=(remark,),
    )


def work_of_motion(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `motion` labels and trains."""
    work = Work.of(context, (JOINT_METHOD,))
    return (replace(work, labellings=(*work.labellings, *_labellings(context))),)


def reconstruction(networks: Networks) -> float | None:
    """Return the mean PSNR of frames that are warped from key frames beside them, in dB.

    The frame after each key frame is taken, of 40 key frames at most, evenly spread.
    """
    context = networks.context
    places = [
        (video, key) for video in context.dataset.videos for key in video.key_frames if key + 1 < len(video)
    ]
    found = []
    for video, key in evenly(places, _PAIRS):
        with open_evidence(
            video, context.dataset.classes, networks.models("stepwise"), context.cache
        ) as evidence:
            found.append(_psnr(evidence, key + 1, key))
    return sum(found) / len(found) if found else None


def _psnr(evidence: Evidence, b: int, a: int) -> float:
    """Return the PSNR of frame a warped onto b, in dB; at most that of an error of 1/64 of a grey level."""
    frame_a, frame_b = evidence.frame(a).float(), evidence.frame(b).float()
    error = float((backward_warp(frame_a, evidence.flow(b, a)) - frame_b).square().mean())
    return 10 * math.log10(255**2 / max(error, 64.0**-2))


def _first(context: ExperimentContext) -> str:
    """Return the row of the run's own motion."""
    own = context.recipe.labels.propagation.motion
    if own == BEST_MOTION:
        return PREDICTION if context.recipe.train_motion else DEFAULT_MOTION
    return _row(own)


def _named(context: ExperimentContext) -> list[str]:
    """Return the motion estimators besides the run's own."""
    return [named for named in context.recipe.motions if _row(named) != _first(context)]


def _labellings(context: ExperimentContext) -> list[Labelling]:
    """Return a run for each motion estimator besides the run's own."""
    changed = partial(context.recipe.labels.changed, ("propagation", "motion"))
    return [
        Labelling(methods=(JOINT_METHOD,), recipe=changed(named), folder=f"motion-{_row(named)}", again=True)
        for named in _named(context)
    ]


def _row(named: str) -> str:
    """Return the name of a motion estimator, or of its checkpoint, for rows and folders."""
    return Path(named).stem


def _cells(scores: MethodScores) -> Sequence[Cell]:
    return (*scores.miou_by_distance, scores.miou, scores.boundary_f, scores.consistency)
