"""Vary the longest cycle that the refiner learns from, and show what cycles do to labels (figure A)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from warprefine.core.tensors import LabelMaps
from warprefine.evaluation import paint
from warprefine.evaluation.experiment_plots import plot_lines
from warprefine.evaluation.result_table import Cell, ResultTable
from warprefine.evaluation.strips import draw_strip
from warprefine.io.array_cache import ArrayCache
from warprefine.io.frames import open_frames
from warprefine.jobs.autolabel import Outcome, Started
from warprefine.jobs.experiments.findings import Findings, spread_of
from warprefine.jobs.experiments.lab import Lab
from warprefine.propagation.cycle import cycles_of, run_cycle
from warprefine.propagation.engine import read_key_labels
from warprefine.propagation.evidence import Evidence

METHOD = "warp-refine"
_SHOWN = (1, 3, 6, 10)
"""Cycle lengths that figure A shows, where the clip is long enough."""


def cycle_length(lab: Lab) -> Findings:
    """Train a refiner for each longest cycle, n seeds each, and compare the labels that they make.

    Raises:
        DatasetError: The data have no truth to compare labels with.
    """
    started, outcome = lab.label(("warp-inpaint",))
    lab.check_truth(outcome)
    rows: list[tuple[Cell, ...]] = []
    points = []
    for longest in sorted(lab.recipe.longest_cycles):
        found = [_labels_with(lab, longest, seed) for seed in lab.seeds]
        by_distance = [
            spread_of(values) for values in zip(*(_by_distance(one) for one in found), strict=True)
        ]
        average = spread_of([one.scores[METHOD].miou for one in found])
        rows.append((f"l ≤ {longest}", *by_distance, average))
        if average is not None:
            points.append((float(longest), average))
    reach = lab.recipe.data.horizon
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
        pictures={"cycles": draw_cycles(started, outcome.tau, _SHOWN)},
    )


def draw_cycles(started: Started, tau: float, lengths: Sequence[int]) -> Image.Image:
    """Draw what comes back to a key frame after cycles of several lengths: the paper's figure A."""
    preparation = started.preparation
    dataset = preparation.teachers.dataset
    video = max(dataset.videos, key=lambda one: len(cycles_of(one, max(lengths))))
    chosen = {abs(cycle.reach): cycle for cycle in reversed(cycles_of(video, max(lengths)))}
    with open_frames(video) as source:
        evidence = Evidence(video, source, preparation.segmenter(), ArrayCache(preparation.run.cache))
        cycles = [chosen[length] for length in lengths if length in chosen]
        frames = [evidence.frame(cycle.key_frame) for cycle in cycles]
        truths = [read_key_labels(evidence, cycle.key_frame, dataset.classes) for cycle in cycles]
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


def _labels_with(lab: Lab, longest: int, seed: int) -> Outcome:
    labels = lab.recipe.labels
    refiner = labels.refiner.model_copy(update={"longest_cycle": longest})
    return lab.label_again(
        (METHOD,),
        name=f"cycles-to-{longest}-seed{seed}",
        recipe=labels.model_copy(update={"refiner": refiner}),
        seed=seed,
    )


def _by_distance(outcome: Outcome) -> Sequence[float | None]:
    return outcome.scores[METHOD].miou_by_distance
