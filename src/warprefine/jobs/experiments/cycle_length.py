"""Vary the longest cycle that the refiner is trained on, and draw labels after cycles (figure A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from PIL import Image

from warprefine.core.tensors import LabelMaps
from warprefine.jobs.experiments.context import ExperimentContext
from warprefine.jobs.experiments.findings import Findings, spread_of
from warprefine.jobs.experiments.work import Labelling, Work
from warprefine.jobs.finished import FinishedRun
from warprefine.jobs.networks import Networks
from warprefine.jobs.together import train_runs_together
from warprefine.propagation.evidence import open_evidence
from warprefine.propagation.stepwise.cycle import cycles_of, run_cycle
from warprefine.report import paint
from warprefine.report.experiment_plots import plot_lines
from warprefine.report.result_table import Cell, ResultTable
from warprefine.report.strips import draw_strip

FIRST_METHOD, METHOD = "warp-inpaint", "warp-refine"
_SHOWN = (1, 3, 6, 10)
"""Cycle lengths that figure A shows, where the clip is long enough."""


def cycle_length(context: ExperimentContext) -> Findings:
    """Train a refiner for each longest cycle, n seeds each, and compare the labels.

    Raises:
        DatasetError: The data have no truth to compare labels with.
    """
    networks, finished = context.label((FIRST_METHOD,))
    context.check_truth(finished)
    _train_together(context)
    rows: list[tuple[Cell, ...]] = []
    points = []
    for longest in sorted(context.recipe.longest_cycles):
        found = [_labels_with(context, longest, seed) for seed in context.seeds]
        by_distance = [
            spread_of(values) for values in zip(*(_by_distance(one) for one in found), strict=True)
        ]
        average = spread_of([one.scores[METHOD].miou for one in found])
        rows.append((f"l ≤ {longest}", *by_distance, average))
        if average is not None:
            points.append((float(longest), average))
    reach = context.horizon
    drawn = context.world.of_first(partial(draw_cycles, networks, networks.tau(), _SHOWN))
    table = ResultTable(
        title="mIoU (%) of warp-refine labels by the longest cycle that its refiner learned from",
        columns=("cycles", *(f"k={k}" for k in range(1, reach + 1)), "mean"),
        rows=tuple(rows),
    )
    return Findings(
        tables={"cycle-length": table},
        charts={
            "cycle-length": lambda kind: plot_lines(
                {METHOD: points}, xlabel="longest cycle", ylabel="mean mIoU of labels (%)", kind=kind
            )
        },
        pictures={"cycles": drawn},
    )


def work_of_cycle_length(context: ExperimentContext) -> tuple[Work, ...]:
    """Return what `cycle_length` labels."""
    work = Work.of(context, (FIRST_METHOD,))
    runs = [
        _run_with(context, longest, seed)
        for longest in sorted(context.recipe.longest_cycles)
        for seed in context.seeds
    ]
    return (replace(work, labellings=(*work.labellings, *runs)),)


def draw_cycles(networks: Networks, tau: float, lengths: Sequence[int]) -> Image.Image:
    """Draw the labels that return to a key frame after cycles of several lengths: the paper's figure A."""
    context = networks.context
    dataset, models = context.dataset, networks.models("stepwise", networks.segmenter())
    video = max(dataset.videos, key=lambda one: len(cycles_of(one, max(lengths))))
    chosen = {abs(cycle.reach): cycle for cycle in reversed(cycles_of(video, max(lengths)))}
    with open_evidence(video, dataset.classes, models, context.cache) as evidence:
        cycles = [chosen[length] for length in lengths if length in chosen]
        frames = [evidence.frame(cycle.key_frame) for cycle in cycles]
        truths = [evidence.key_labels(cycle.key_frame) for cycle in cycles]
        returned: list[LabelMaps] = [
            run_cycle(evidence, cycle, truth, tau=tau).labelling.labels
            for cycle, truth in zip(cycles, truths, strict=True)
        ]

    def painted(maps: Sequence[LabelMaps]) -> list[paint.Picture]:
        return [paint.paint_labels(labels, dataset.classes) for labels in maps]

    errors = [
        paint.paint_errors(labels, truth, frame=frame)
        for labels, truth, frame in zip(returned, truths, frames, strict=True)
    ]
    return draw_strip(
        [
            ("key frame", [paint.paint_frame(frame) for frame in frames]),
            ("labels by hand", painted(truths)),
            ("labels that return", painted(returned)),
            ("errors", errors),
        ],
        rows=[f"l = {abs(cycle.reach)}" for cycle in cycles],
        classes=dataset.classes,
    )


def _train_together(context: ExperimentContext) -> None:
    """Train the refiners of all runs at the same time, where the engine has several workers."""
    if context.engine.is_here:
        return
    runs = [
        (_run_with(context, longest, seed), seed)
        for longest in context.recipe.longest_cycles
        for seed in context.seeds
    ]
    begun = [
        Networks(context.start_again(name=run.folder, recipe=run.recipe, seed=seed)) for run, seed in runs
    ]
    train_runs_together(begun, (METHOD,))


def _labels_with(context: ExperimentContext, longest: int, seed: int) -> FinishedRun:
    run = _run_with(context, longest, seed)
    return context.label_again(run.methods, name=run.folder, recipe=run.recipe, seed=seed)


def _run_with(context: ExperimentContext, longest: int, seed: int) -> Labelling:
    """Return the run with a refiner that learns from cycles up to a length."""
    return Labelling(
        methods=(METHOD,),
        recipe=context.recipe.labels.changed(("refiner", "longest_cycle"), longest),
        folder=f"cycles-to-{longest}-seed{seed}",
        again=True,
    )


def _by_distance(finished: FinishedRun) -> Sequence[float | None]:
    return finished.scores[METHOD].miou_by_distance
